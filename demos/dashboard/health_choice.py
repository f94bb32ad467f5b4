"""The forms of the health view: which version and variant, what to hold it against, and the threshold's slider.

Forms of the method GET, so that every choice is in the address and nothing needs a script; what one form does not ask
for goes along as hidden fields. `health.js` moves the slider's numbers at once, from the counts beside it.
"""

import json
from collections.abc import Iterable, Sequence

from demos.dashboard.content import Markup, Section, text
from demos.dashboard.forms import Select, form
from tidegate.bundle import Manifest
from tidegate.health import VariantHealth


def choice(manifest: Manifest, variant: str, versions: Sequence[int], against: str) -> Section:
    """Which version and variant is shown, and what it is held against.

    Args:
        manifest: of the version that is shown.
        variant: of it.
        versions: all there are.
        against: what it is held against; empty for nothing.
    """
    newest = list(reversed(versions))
    own = {
        f"{manifest.version}/{each.name}": f"this version, {each.name}"
        for each in manifest.variants
        if each.name != variant
    }
    others = {str(number): f"version {number}" for number in newest if number != manifest.version}
    fields = (
        Select("version", "Version", {str(number): str(number) for number in newest}, str(manifest.version)),
        Select("variant", "Variant", {each.name: each.name for each in manifest.variants}, variant),
        Select("against", "Side by side with", {"": "nothing"} | own | others, against),
    )
    return Section("", [form(fields, "Show")])


def slider(at: float, kept: Iterable[tuple[str, str]]) -> Markup:
    """The slider, set to a threshold; `kept` are the other choices of the address."""
    hidden = "".join(
        f'<input type="hidden" name="{text(name)}" value="{text(value)}">' for name, value in kept if value
    )
    return Markup(
        f'<form method="get" action="#threshold" class="ask" id="threshold">{hidden}'
        '<label class="slider"><span>Threshold</span>'
        f'<input type="range" name="threshold" min="0" max="1" step="0.01" value="{at:g}"></label>'
        f'<output id="chosen">{at:.2f}</output><button>Show</button></form>'
    )


def counts(variant: VariantHealth) -> Markup:
    """The counts that the slider reckons with: data, which no browser runs."""
    document = {"rows": variant.rows, "cuts": variant.cuts, "reached": variant.reached, "right": variant.right}
    return Markup(f'<script type="application/json" id="counts">{json.dumps(document)}</script>')
