"""The command line: composes the rooms, and is the only place that may import them all.

Each command lives in a module of its own, which imports its rooms inside the command, so that `tidegate
--help` and a mistyped flag answer at once. Messages go to stderr, results to stdout; `--json` prints one JSON
document alone on stdout. Exit codes: 0 done, 1 failed, 2 usage, 3 refused by a gate.
"""

import gc
import sys
from typing import Any

import typer
from sqlalchemy.exc import SQLAlchemyError
from typer.core import TyperGroup

from tidegate import __version__
from tidegate.cli import console
from tidegate.errors import TidegateError

# What `--help` shows: a model's life, from nothing to its next version. Imports have an order of their own.
PANELS = {
    "Begin": ("quickstart", "up", "doctor"),
    "From a run to a bundle": ("runs", "export", "behaviour", "tune", "bundles"),
    "Serve": ("serve", "share", "keys", "loadtest"),
    "Watch": ("drift", "alerts", "monitor"),
    "Labels, and the next version": ("relabel", "labels", "retrain", "retrainings", "loop"),
}


class _InPanels(TyperGroup):
    """The commands of `PANELS`, in that order."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        commands, self.commands = self.commands, {}
        for panel, names in PANELS.items():
            for name in names:
                command: Any = commands[name]  # a command or a group of Typer's; both have a panel
                command.rich_help_panel = panel
                self.commands[name] = command


app = typer.Typer(
    name="tidegate",
    cls=_InPanels,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Takes a registered run and keeps it honest in production: export, serve, demo, monitor, relabel.",
    epilog="Start with: tidegate quickstart",
)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True)) -> None:
    """Options that stand before any command."""
    if version:
        console.out(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point: turns the error tree into exit codes and one clear line."""
    try:
        app()
    except TidegateError as error:
        console.fail(str(error))
        sys.exit(error.exit_code)
    except SQLAlchemyError as error:
        console.fail(f"the state database: {type(error).__name__}: {str(error).splitlines()[0]}")
        sys.exit(1)
    except BrokenPipeError:  # `tidegate ... | head` is not a failure
        sys.stderr.close()
        sys.exit(0)


# Imports make some hundred thousand objects that stay. To look through them after every 700 new ones, as Python does,
# is an eighth of the time that `serve` and the children of `export` take to start; who serves goes back to that.
gc.set_threshold(20_000)

# Commands register themselves on `app`.
from tidegate.cli import quickstart, serve, export, runs, tune, bundles, behaviour, share, keys  # noqa: E402, F401, I001
from tidegate.cli import drift, alerts, backfill, monitor, decisions, labels, retrain, loop  # noqa: E402, F401
from tidegate.cli import loadtest, doctor  # noqa: E402, F401
