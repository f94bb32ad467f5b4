"""How commands speak: results on stdout, everything else on stderr (rich), JSON alone when asked."""

import sys
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

_PIPED_WIDTH = 160  # a file or a pipe has no width of its own; wide enough that no cell is folded

messages = Console(stderr=True, highlight=False)


def out(text: str) -> None:
    """Print a result line, unstyled, so that it can be piped."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def json(document: Any) -> None:
    """Print one JSON document alone on stdout."""
    out(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode())


def say(text: str) -> None:
    """Tell what is going on, to the letter: errors and callers' texts have brackets, which are no markup."""
    messages.print(text, markup=False, soft_wrap=True)


def step(name: str, what: str = "") -> None:
    """Tell that a step of long work begins; its name stands out."""
    messages.print(name, style="bold", markup=False, end="", soft_wrap=True)
    say(what)


def fail(text: str) -> None:
    """One line that says what went wrong."""
    messages.print("error: ", style="bold red", end="")
    say(text)


def table(title: str, columns: list[str], rows: list[list[str]], *, as_message: bool = False) -> None:
    """Print a table: a result on stdout, or a message on stderr."""
    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True)
    for column in columns:
        grid.add_column(column, overflow="fold")  # a name cut to "head..." names nothing
    for row in rows:
        grid.add_row(*row)
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    # Cells hold callers' texts, where "[/x]" is no markup.
    Console(highlight=False, markup=False, stderr=as_message, width=width).print(grid)
