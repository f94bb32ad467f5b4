"""How demo pages look: our own Gradio theme, with fonts that ship inside Gradio's wheel, and `page.css`.

No `GoogleFont` anywhere: a page must load nothing from outside the server. Colours: ink on paper, one accent
(sea green), the same in light and dark; contrast is at least 4.5:1 for
text and 3:1 for the edges of fields (WCAG 2.2, 1.4.3 and 1.4.11).
"""

from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, sizes

STYLESHEET = Path(__file__).with_name("page.css")

_SEA = colors.Color(
    name="sea",
    c50="#eefaf8",
    c100="#d3f1ec",
    c200="#a9e2da",
    c300="#74ccc3",
    c400="#3fb0a8",
    c500="#1f938d",
    c600="#137672",
    c700="#125f5d",
    c800="#134c4b",
    c900="#143f3f",
    c950="#062425",
)
_INK = colors.Color(
    name="ink",
    c50="#f5f7f8",
    c100="#e9eef0",
    c200="#d8e0e4",
    c300="#b9c6cc",
    c400="#8ea1aa",
    c500="#566c77",
    c600="#47606b",
    c700="#324852",
    c800="#1c2d35",
    c900="#13222a",
    c950="#0b1418",
)


def theme() -> gr.themes.Base:
    """The theme of every demo page."""
    # Gradio 6.31 ships a SemiBold of this family that lacks most letters; 600 falls to Bold, which has them all.
    local = gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700))
    return gr.themes.Base(
        primary_hue=_SEA,
        secondary_hue=_SEA,
        neutral_hue=_INK,
        radius_size=sizes.radius_md,
        font=(local, "ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "monospace"),
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="#e6eff2",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="#9db3bc",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_shadow="none",
        block_label_text_size="*text_sm",
        block_title_text_weight="600",
        block_title_text_color="*neutral_900",
        block_title_text_color_dark="#e6eff2",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        input_border_color="#82959e",
        input_border_color_dark="#5f7681",
        input_border_color_focus="*primary_600",
        input_border_color_focus_dark="*primary_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*primary_50",
        button_secondary_background_fill_dark="*neutral_900",
        button_secondary_background_fill_hover_dark="*neutral_800",
        button_secondary_border_color="*neutral_200",
        button_secondary_border_color_dark="*neutral_700",
        button_secondary_text_color="*neutral_800",
        button_secondary_text_color_dark="#d5e1e6",
    )
