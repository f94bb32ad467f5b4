"""How commands speak: results on stdout, everything else on stderr (rich), JSON alone when asked."""

import sys
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

messages = Console(stderr=True, highlight=False)


def out(text: str) -> None:
    """Print a result line, unstyled, so that it can be piped."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def json(document: Any) -> None:
    """Print one JSON document alone on stdout."""
    out(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode())


def say(text: str) -> None:
    """Tell what is going on."""
    messages.print(text, soft_wrap=True)


def fail(text: str) -> None:
    """One line that says what went wrong."""
    messages.print("[bold red]error:[/] ", end="")
    messages.print(text, markup=False, soft_wrap=True)


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a result as a table on stdout."""
    grid = Table(title=title, title_justify="left")
    for column in columns:
        grid.add_column(column)
    for row in rows:
        grid.add_row(*row)
    Console(highlight=False, markup=False).print(grid)  # cells hold callers' texts, where "[/x]" is no markup
