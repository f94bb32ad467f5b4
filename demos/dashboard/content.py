"""What a view of the dashboard says, before it is drawn: a page of sections of tables, figures and paragraphs.

Plain values, so that a view is tested without a browser and every table is a CSV file without more code.
Before: the views; after: `page` (HTML) and `sheet` (CSV).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from tidegate.moments import moment


@dataclass(frozen=True, slots=True)
class Link:
    """A word that leads somewhere; `to` is an address below the root path, as `/dashboard/models/m`."""

    word: str
    to: str


@dataclass(frozen=True, slots=True)
class Number:
    """A value with the words it is shown as; the CSV has the value itself. `mood` as of `Mark`."""

    value: float | int
    shown: str
    mood: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A word with a colour: `good`, `bad`, or neither; never the colour alone."""

    word: str
    mood: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A box to tick: the form that the view gives the id `choices` sends `name=value` for those that are ticked."""

    name: str
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Heading:
    """A column that can be sorted by.

    Attributes:
        name: of the column.
        to: query that sorts the page by it, as `?sort=name`.
        order: `ascending` or `descending` where the rows are in its order.
    """

    name: str
    to: str
    order: str = ""


Cell = str | int | float | Link | Number | Mark | Choice | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns.

    Attributes:
        name: its file name as CSV, and its place on the page: lower case, digits and hyphens.
        caption: what the rows are.
        columns: their names, with units.
        rows: one cell a column; None where nothing is known.
        note: a sentence below it.
        first: how many rows the page shows, where it does not show all; the CSV has all.
        empty: what to say when there are no rows, and what would make some.
    """

    name: str
    caption: str
    columns: Sequence[str | Heading]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    empty: str = "Nothing yet."
    first: int | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot of `plots` or `charts`: HTML that is safe; values from outside are escaped by what drew it."""

    caption: str
    svg: str
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Markup:
    """HTML of a view's own, safe as it is."""

    html: str


Part = Table | Figure | Markup


@dataclass(frozen=True, slots=True)
class Section:
    """Parts under a heading; figures that follow each other share rows."""

    heading: str
    parts: Sequence[Part]
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One view.

    Attributes:
        title: of the page.
        lead: the one sentence that answers what a visitor came for.
        sections: what is on it.
        crumbs: the pages above it.
        model: whose views to offer beside it; empty for none.
        live: the script asks for the page's figures again and again.
        reload_seconds: the browser loads the page again after so many; 0 for never.
        scripts: files of its own beside `page.js`; the page says all it has to say without them.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    crumbs: Sequence[Link] = field(default=())
    model: str = ""
    live: bool = False
    reload_seconds: int = 0
    scripts: Sequence[str] = ()

    def tables(self) -> list[Table]:
        """Every table of the page, in order."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Table)]


def text(value: object) -> str:
    """A value from outside, safe in HTML."""
    return escape(str(value))


def share(value: float | None) -> Cell:
    """A share in [0, 1] as per cent."""
    return None if value is None else Number(value, f"{value:.1%}")


def milliseconds(seconds: float | None) -> Cell:
    """A duration in seconds, shown in milliseconds."""
    return None if seconds is None else Number(seconds, f"{seconds * 1_000:.3g} ms")


def when(seconds: float | None) -> Cell:
    """A Unix time as people read it, on one line."""
    return None if seconds is None else Mark(moment(seconds))


def megabytes(size: int | None) -> Cell:
    """A size in bytes, shown in megabytes of a million bytes, or in kilobytes where it is small."""
    if size is None:
        return None
    return Number(size, f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB")
