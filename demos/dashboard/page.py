"""A view of the dashboard as HTML: the frame around it, its tables and figures.

Pure functions from content to text; every value is escaped here, except what says that it is markup. The policy lets
in this server's own style and script alone, so nothing carries a style attribute.
Before: `app`; after: a browser. Looks: `page.css`; `page.js` adds the theme switch and what is live.
"""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from urllib.parse import urlencode

from demos.dashboard.content import (
    Cell,
    Choice,
    Figure,
    Heading,
    Link,
    Mark,
    Markup,
    Number,
    Page,
    Part,
    Section,
    Table,
)

_PLACES = (
    ("Models", "/dashboard"),
    ("Runs", "/dashboard/runs"),
    ("Alerts", "/dashboard/alerts"),
    ("Relabel", "/dashboard/relabel"),
    ("Live", "/dashboard/live"),
)
_OF_A_MODEL = (
    ("Overview", ""),
    ("Health", "/health"),
    ("Data", "/data"),
    ("Drift", "/drift"),
    ("Relabel", "/relabel"),
)
_FEW_COLUMNS = 3  # do not spread over the whole width of a page
_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">{reload}<title>{title} · Tidegate</title><link rel="icon" href="data:,">
<script src="{root}/dashboard/theme.js"></script><link rel="stylesheet" href="{root}/dashboard/page.css">
<script src="{root}/dashboard/page.js" type="module"></script>{live}{scripts}
</head><body data-root="{root}"><a class="skip" href="#content">Skip to content</a>
<header class="top"><a class="brand" href="{root}/dashboard">Tidegate</a>
<nav aria-label="Dashboard">{places}</nav>
<button type="button" id="theme" hidden>Theme</button></header>
<main id="content" tabindex="-1">{crumbs}<h1>{title}</h1><p class="lead">{lead}</p>{views}{sections}</main>
</body></html>
"""
# Without a script the page is loaded anew; with one it is followed.
# With a script, it reloads the page: a refresh that nobody can stop is a fault to those who hear pages slowly.
_RELOAD = '<noscript><meta http-equiv="refresh" content="{seconds}"></noscript><meta name="reload" content="{seconds}">'
_LIVE = """<noscript><meta http-equiv="refresh" content="15"></noscript>
<script src="{root}/dashboard/live.js" type="module"></script>"""


def render(page: Page, path: str, query: Sequence[tuple[str, str]] = (), root: str = "") -> str:
    """The whole document.

    Args:
        page: what it says.
        path: where it is, below the root path.
        query: what was asked with it, kept in links to its tables.
        root: what a proxy puts in front of every address.
    """
    return _FRAME.format(
        title=escape(page.title),
        lead=escape(page.lead),
        root=escape(root),
        reload=_RELOAD.format(seconds=page.reload_seconds) if page.reload_seconds else "",
        live=_LIVE.format(root=escape(root)) if page.live else "",
        scripts="".join(
            f'<script src="{escape(root)}/dashboard/{escape(name)}" type="module"></script>' for name in page.scripts
        ),
        places="".join(_place(name, at, path, root) for name, at in _PLACES),
        crumbs=_crumbs(page, root),
        views=_views(page, path, root),
        sections="".join(_section(section, path, query, root) for section in page.sections),
    )


def _place(name: str, at: str, path: str, root: str) -> str:
    inside = path == at or (at != "/dashboard" and path.startswith(f"{at}/"))
    inside = inside or (at == "/dashboard" and path.startswith("/dashboard/models/"))
    return _anchor(name, f"{root}{at}", current="page" if path == at else "true" if inside else "")


def _crumbs(page: Page, root: str) -> str:
    if not page.crumbs:
        return ""
    steps = "".join(f"<li>{_anchor(link.word, root + link.to)}</li>" for link in page.crumbs)
    return f'<nav class="crumbs" aria-label="Where this is"><ol>{steps}</ol></nav>'


def _views(page: Page, path: str, root: str) -> str:
    if not page.model:
        return ""
    at = f"/dashboard/models/{page.model}"
    links = "".join(
        _anchor(name, f"{root}{at}{rest}", current="page" if path == f"{at}{rest}" else "")
        for name, rest in _OF_A_MODEL
    )
    return f'<nav class="views" aria-label="Views of {escape(page.model)}">{links}</nav>'


def _section(section: Section, path: str, query: Sequence[tuple[str, str]], root: str) -> str:
    lead = f"<p>{escape(section.lead)}</p>" if section.lead else ""
    parts = "".join(_group(section.parts, path, query, root))
    heading = f"<h2>{escape(section.heading)}</h2>" if section.heading else ""
    return f"<section>{heading}{lead}{parts}</section>"


def _group(parts: Sequence[Part], path: str, query: Sequence[tuple[str, str]], root: str) -> Iterator[str]:
    """Figures that follow each other share a grid."""
    for are_figures, group in groupby(parts, lambda part: isinstance(part, Figure)):
        drawn = "".join(_part(part, path, query, root) for part in group)
        yield f'<div class="grid">{drawn}</div>' if are_figures else drawn


def _part(part: Part, path: str, query: Sequence[tuple[str, str]], root: str) -> str:
    if isinstance(part, Markup):
        return part.html
    if isinstance(part, Figure):
        note = f'<p class="soft">{escape(part.note)}</p>' if part.note else ""
        wide = ' class="wide"' if part.wide else ""
        return f"<figure{wide}><figcaption>{escape(part.caption)}</figcaption>{part.svg}{note}</figure>"
    return _table(part, f"{root}{path}?{urlencode([*query, ('csv', part.name)])}", root)


def _table(table: Table, csv: str, root: str) -> str:
    note = f'<p class="soft">{escape(table.note)}</p>' if table.note else ""
    if not table.rows:
        return f'<h3 id="{escape(table.name)}">{escape(table.caption)}</h3><p class="soft">{escape(table.empty)}</p>'
    kinds = [
        _kind(next((cell for cell in column if cell is not None), None)) for column in zip(*table.rows, strict=True)
    ]
    head = "".join(_heading(column, kind) for kind, column in zip(kinds, table.columns, strict=True))
    rows = "".join(_row(row, kinds, root) for row in table.rows[: table.first])
    cut = table.first is not None and len(table.rows) > table.first
    narrow = " narrow" if len(table.columns) <= _FEW_COLUMNS else ""
    beside = f" has all {len(table.rows):,} rows; these are the first {table.first}." if cut else ""
    return (
        f'<div class="sheet{narrow}" id="{escape(table.name)}"><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(table.caption)}"><table><caption>{escape(table.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="soft csv"><a href="{escape(csv)}" download>CSV</a>{beside}</p>{note}</div>'
    )


def _heading(column: str | Heading, kind: str) -> str:
    if isinstance(column, str):
        return f'<th scope="col"{kind}>{escape(column)}</th>'
    order = f' aria-sort="{column.order}"' if column.order else ""
    return f'<th scope="col"{kind}{order}><a href="{escape(column.to)}">{escape(column.name)}</a></th>'


def _row(row: Sequence[Cell], kinds: Sequence[str], root: str) -> str:
    """The first cell names the row; a box to tick may stand before it."""
    names = 1 if isinstance(row[0], Choice) else 0
    cells = zip(row, kinds, strict=True)
    return f"<tr>{''.join(_data(cell, kind, root, names=at == names) for at, (cell, kind) in enumerate(cells))}</tr>"


def _data(cell: Cell, kind: str, root: str, *, names: bool) -> str:
    if names:
        return f'<th scope="row">{_cell(cell, root)}</th>'
    return f"<td{kind if cell is None else _kind(cell)}>{_cell(cell, root)}</td>"


def _kind(cell: Cell) -> str:
    return ' class="number"' if isinstance(cell, int | float | Number) else ""


def _cell(cell: Cell, root: str) -> str:
    match cell:
        case None:
            return '<span class="soft">-</span>'
        case Link():
            return _anchor(cell.word, root + cell.to)
        case Number(mood=""):
            return escape(cell.shown)
        case Number(shown=word, mood=mood) | Mark(word=word, mood=mood):
            return f'<span class="mark {escape(mood)}">{escape(word)}</span>'
        case Choice():
            return (
                f'<input type="checkbox" form="choices" name="{escape(cell.name)}" value="{escape(cell.value)}" '
                f'aria-label="{escape(cell.label)}">'
            )
        case float():
            return f"{cell:.4g}"
        case int():
            return f"{cell:,}"
        case _:
            return escape(cell)


def _anchor(word: str, to: str, current: str = "") -> str:
    here = f' aria-current="{current}"' if current else ""
    return f'<a href="{escape(to)}"{here}>{escape(word)}</a>'
