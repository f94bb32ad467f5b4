"""An explanation as people read it: the text with its words coloured, and the strongest of them in figures.

Pure, every value escaped. Colour is not alone: what speaks against an answer is underlined, and the list says it in
words. Before: `demos.client.Client.weigh_words`; after: `demos.page`. Styles: `page.css`.
"""

from collections.abc import Sequence

from demos.markup import escaped, percent
from demos.occlusion import MOST_PARTS, Explanation, Piece

MOST_LISTED = 3
FAINTEST = 0.1  # in log-odds, a share of 50 % becoming 52.5 %: what moves less is left uncoloured
_SHADES = (0.5, 1.0, 2.0)  # log-odds from which a stronger shade is used: 50 % becoming 62, 73 and 88 %


def explanation(one: Explanation) -> str:
    """The coloured text, and what weighs most for and against."""
    words = "".join(f"{' ' if piece.gap else ''}{_word(piece)}" for piece in one.pieces)
    ranked = sorted(one.pieces, key=lambda piece: piece.effect)
    against = [piece for piece in ranked if piece.effect <= -FAINTEST][:MOST_LISTED]
    speaking = [piece for piece in reversed(ranked) if piece.effect >= FAINTEST][:MOST_LISTED]
    return (
        f'<div class="tg-explained"><p class="tg-kicker">What speaks for <em>{escaped(one.label)}</em> '
        f"({percent(one.score)}), and what against</p>"
        f'<p class="tg-words">{words}</p>{_listed(speaking, against)}'
        f'<p class="tg-small">Each word was left out in turn; the colour is how far that moved the answer. '
        f"Words that say the same hide each other.{_grouped(one)}</p></div>"
    )


def _word(piece: Piece) -> str:
    strength = abs(piece.effect)
    if strength < FAINTEST:
        return escaped(piece.text)
    shade = 1 + sum(strength >= limit for limit in _SHADES)
    side = "for" if piece.effect > 0 else "against"
    return f'<span class="tg-{side} tg-shade-{shade}">{escaped(piece.text)}</span>'


def _listed(speaking: Sequence[Piece], against: Sequence[Piece]) -> str:
    if not speaking and not against:
        return '<p class="tg-why">No single word changes the answer: it rests on several together.</p>'
    items = "".join(
        f"<li>{side} it: <em>{escaped(piece.text)}</em>, {percent(piece.score)} without it</li>"
        for side, pieces in (("For", speaking), ("Against", against))
        for piece in pieces
    )
    return f'<ul class="tg-weights">{items}</ul>'


def _grouped(one: Explanation) -> str:
    if len(one.pieces) * 2 > MOST_PARTS and any(" " in piece.text for piece in one.pieces):
        return " The text is long, so several words were left out at a time."
    return ""
