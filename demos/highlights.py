"""An explanation as people read it: the text with its words coloured, and the strongest of them in figures.

Pure, every value escaped. Colour is not alone: what speaks against an answer is underlined, and the list says it in
words. Before: `demos.client.Client.weigh_words`; after: `demos.page`. Styles: `page.css`.
"""

from collections.abc import Sequence

from demos.markup import escaped, percent
from demos.occlusion import MOST_PARTS, Explanation, Piece

MOST_LISTED = 3
FAINTEST = 0.01  # effects below one point in a hundred are left uncoloured: they are within the noise of rounding
_SHADES = (0.05, 0.15, 0.35)  # effects from which a stronger shade is used


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
        f'<p class="tg-small">Each word was left out in turn, and its share of the answer is what then went missing. '
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
        return '<p class="tg-why">No single word changes the answer by a point: it rests on several together.</p>'
    items = "".join(
        f"<li>{side} it: <em>{escaped(piece.text)}</em> {abs(piece.effect) * 100:.1f} points</li>"
        for side, pieces in (("For", speaking), ("Against", against))
        for piece in pieces
    )
    return f'<ul class="tg-weights">{items}</ul>'


def _grouped(one: Explanation) -> str:
    if len(one.pieces) * 2 > MOST_PARTS and any(" " in piece.text for piece in one.pieces):
        return " The text is long, so several words were left out at a time."
    return ""
