"""Several texts at once: rows out of pasted lines or a CSV file, and a CSV file out of their answers. Pure.

A row that cannot be asked stays, with what is wrong with it, so that nothing is lost in silence. The delimiter (comma,
semicolon or tab) is the one that the first line has most of; that line names the columns. Before: `demos.many_section`
has what the visitor gave; after: `demos.client` asks in pieces.
Limits: `MOST_ROWS` rows and `MOST_FILE_CHARS` characters, in memory; no file is ever written.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from demos.client import Reply
from monitoring.labels.exchange.plain import guard
from tidegate.errors import InvalidInput

MOST_ROWS = 1_000
MOST_FILE_CHARS = 1_000_000  # the gateway's own limit, `max_body_bytes`, is above it unless it was lowered
MOST_CELL_CHARS = 131_072
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Row:
    """A text and its place in what was given, from 1; `fault` says why it cannot be asked, empty where it can."""

    number: int
    text: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row: an answer, or why there is none."""

    row: Row
    reply: Reply | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV file that was read.

    Attributes:
        columns: their names, each once.
        rows: line number in the file, and the cells.
    """

    columns: Sequence[str]
    rows: Sequence[tuple[int, Sequence[str]]]

    def wordiest(self) -> str:
        """The column with the most characters: where the texts are, as a rule."""
        sizes: Counter[str] = Counter()
        for _, cells in self.rows:
            sizes.update({column: len(cell) for column, cell in zip(self.columns, cells, strict=False)})
        return max(self.columns, key=lambda column: sizes[column])


def from_lines(pasted: str, max_chars: int) -> list[Row]:
    """One row for each line that is not blank.

    Raises:
        InvalidInput: there is none, or there are too many.
    """
    lines = [(number, line.strip()) for number, line in enumerate(pasted.splitlines(), 1) if line.strip()]
    _check_count(len(lines), "lines")
    return [Row(number, line, _fault(line, max_chars)) for number, line in lines]


def read_sheet(content: str) -> Sheet:
    """Take a CSV file apart.

    Raises:
        InvalidInput: it is no CSV, is too large, or has no row below its column names.
    """
    if len(content) > MOST_FILE_CHARS:
        raise InvalidInput(
            f"the file has {len(content):,} characters; {MOST_FILE_CHARS:,} are the most, so split it into several"
        )
    lines = [(number, cells) for number, cells in _parsed(content.removeprefix("\ufeff")) if any(map(str.strip, cells))]
    if len(lines) < 2:
        raise InvalidInput("the file has no row below its first line, which names the columns")
    _check_count(len(lines) - 1, "rows")
    return Sheet(_names(lines[0][1]), lines[1:])


def from_sheet(sheet: Sheet, column: str, max_chars: int) -> list[Row]:
    """One row for each line of the file.

    Raises:
        InvalidInput: it has no such column.
    """
    if column not in sheet.columns:
        raise InvalidInput(f"the file has no column {column[:80]!r}; choose one of: {', '.join(sheet.columns[:20])}")
    place = list(sheet.columns).index(column)
    return [_row(number, cells, place, len(sheet.columns), max_chars) for number, cells in sheet.rows]


def to_csv(outcomes: Sequence[Outcome]) -> str:
    """The results, for spreadsheets: nothing in it starts a formula.

    Source of the guard: OWASP, "CSV Injection".
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(("row", "text", "label", "score", "abstained", "version", "prediction_id", "problem"))
    for outcome in outcomes:
        reply, row = outcome.reply, outcome.row
        answer = ("", "", "", "", "")
        if reply is not None:
            said = reply.answer
            answer = (said.label, f"{said.score:.6f}", str(said.abstained).lower(), str(reply.version), reply.id)
        writer.writerow(map(guard, (str(row.number), row.text, *answer, row.fault or outcome.fault)))
    return file.getvalue()


def _parsed(content: str) -> Iterator[tuple[int, list[str]]]:
    first = content.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=max(_DELIMITERS, key=first.count))
    start = 1
    try:
        for cells in reader:
            if any(len(cell) > MOST_CELL_CHARS for cell in cells):  # csv's own limit is one of the whole process
                raise InvalidInput(
                    f"line {reader.line_num} of the file is no CSV: a cell has more than {MOST_CELL_CHARS:,} characters"
                )
            yield start, cells
            start = reader.line_num + 1  # a cell in quotes may span lines: a row is named by its first
    except csv.Error as error:
        raise InvalidInput(f"line {reader.line_num} of the file is no CSV: {error}") from None


def _names(header: Sequence[str]) -> list[str]:
    names: list[str] = []
    for number, cell in enumerate(header, 1):
        name = " ".join(cell.split())[:80] or f"column {number}"
        names.append(name if name not in names else f"{name} (column {number})")
    return names


def _row(number: int, cells: Sequence[str], place: int, width: int, max_chars: int) -> Row:
    text = cells[place].strip() if place < len(cells) else ""
    if len(cells) != width:
        return Row(number, text, f"{len(cells)} cells where the first line has {width}")
    return Row(number, text, _fault(text, max_chars))


def _fault(text: str, max_chars: int) -> str:
    if not text:
        return "no text"
    if len(text) > max_chars:
        return f"{len(text):,} characters; {max_chars:,} are the most"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "half a character, which no encoding can carry"
    return ""


def _check_count(count: int, what: str) -> None:
    if not count:
        raise InvalidInput("there is no text yet; write one a line, or choose a CSV file")
    if count > MOST_ROWS:
        raise InvalidInput(f"there are {count:,} {what}; {MOST_ROWS:,} are the most at once, so send them in parts")
