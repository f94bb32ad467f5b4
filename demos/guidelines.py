"""Guidelines for people who label: a Markdown file that a person writes, shown as HTML that can hold nothing else.

`guidelines/MODEL.md` in the home folder. Read are headings, lists, paragraphs, **bold**, *italic* and `code`; all else
is text, escaped: no links, no pictures, no HTML. Before: `relabel_page`, which asks for a served model's name only.
"""

import re
from html import escape
from pathlib import Path

MAX_BYTES = 65_536

_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ENTRY = re.compile(r"\s{0,8}(?:[-*+]|\d{1,3}[.)])\s+(.*)")
_NUMBERED = re.compile(r"\s{0,8}\d")
_CODE = re.compile(r"(`[^`]+`)")
_MARKS = ((re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"), (re.compile(r"\*(\S(?:.*?\S)?)\*"), r"<em>\1</em>"))


def read(home: Path, model: str) -> str:
    """The guidelines of a model as they stand; empty where there are none.

    Args:
        home: the home folder.
        model: a name that the bundle store takes.
    """
    try:
        with (home / "guidelines" / f"{model}.md").open("rb") as source:
            return source.read(MAX_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def render(text: str) -> str:
    """The text as HTML."""
    blocks = re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip("\n"))
    return "".join(_block(block.split("\n")) for block in blocks if block.strip())


def _block(lines: list[str]) -> str:
    """Lines without an empty one between them: headings and lists need none before what follows them."""
    parts: list[str] = []
    while lines:
        heading, entry = _HEADING.fullmatch(lines[0]), _ENTRY.fullmatch(lines[0])
        if heading:
            level = min(len(heading[1]) + 2, 6)  # below the page's own two
            parts.append(f"<h{level}>{_inline(heading[2])}</h{level}>")
            lines = lines[1:]
            continue
        count = 1 + next((n for n, line in enumerate(lines[1:]) if _starts(line) != bool(entry)), len(lines) - 1)
        parts.append(_list(lines[:count]) if entry else f"<p>{_inline(' '.join(lines[:count]))}</p>")
        lines = lines[count:]
    return "".join(parts)


def _starts(line: str) -> bool:
    return bool(_ENTRY.fullmatch(line) or _HEADING.fullmatch(line))


def _list(lines: list[str]) -> str:
    tag = "ol" if _NUMBERED.match(lines[0]) else "ul"
    found = [_ENTRY.fullmatch(line) for line in lines]
    return f"<{tag}>{''.join(f'<li>{_inline(entry[1])}</li>' for entry in found if entry)}</{tag}>"


def _inline(text: str) -> str:
    return "".join(
        f"<code>{escape(part[1:-1])}</code>" if part.startswith("`") and len(part) > 2 else _marked(escape(part))
        for part in _CODE.split(text)
    )


def _marked(text: str) -> str:
    for pattern, tag in _MARKS:
        text = pattern.sub(tag, text)
    return text
