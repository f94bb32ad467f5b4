"""A table of the dashboard as a CSV file (RFC 4180): full values, and nothing that a spreadsheet would run.

Before: `app`, for `?csv=NAME`; after: the visitor's spreadsheet. Texts that begin like a formula get an apostrophe
(OWASP, CSV injection: https://owasp.org/www-community/attacks/CSV_Injection).
"""

import csv
import io

from demos.dashboard.content import Cell, Choice, Heading, Link, Mark, Number, Table

_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(table: Table) -> str:
    """The whole table, a header line first."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_safe(column.name if isinstance(column, Heading) else column) for column in table.columns])
    writer.writerows([_value(cell) for cell in row] for row in table.rows)
    return out.getvalue()


def _value(cell: Cell) -> str | int | float:
    match cell:
        case None:
            return ""
        case Link() | Mark():
            return _safe(cell.word)
        case Choice():
            return _safe(cell.value)
        case Number():
            return cell.value
        case str():
            return _safe(cell)
        case _:
            return cell


def _safe(word: str) -> str:
    return f"'{word}" if word.startswith(_RUN_BY_SPREADSHEETS) else word
