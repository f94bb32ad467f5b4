"""QR codes of share links: for a terminal, and as SVG that stands inside a page.

Before: `tidegate share create --qr` and `demos.entrance`; after: a phone's camera. Error correction M (15 % of the code
may be dirt or glare) is what a screen needs; a link of 130 characters makes a code of 41 by 41.
Source: ISO/IEC 18004, drawn by segno.
"""

from typing import TextIO

import segno


def print_code(link: str, file: TextIO) -> None:
    """Draw the code of a link in half blocks, two rows a line."""
    segno.make_qr(link, error="m").terminal(out=file, border=2, compact=True)


def svg_code(link: str) -> str:
    """The code of a link as an SVG element that scales with its box; dark on white in either theme."""
    code = segno.make_qr(link, error="m")
    return str(code.svg_inline(border=3, omitsize=True, dark="#000", light="#fff", svgclass=None, lineclass=None))
