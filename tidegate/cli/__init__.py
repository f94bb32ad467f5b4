"""The command line: composes the rooms, and is the only place that may import them all.

Each command lives in a module of its own, which imports its rooms inside the command, so that `tidegate
--help` and a mistyped flag answer at once. Messages go to stderr, results to stdout; `--json` prints one JSON
document alone on stdout. Exit codes: 0 done, 1 failed, 2 usage, 3 refused by a gate.
"""

import sys

import typer
from sqlalchemy.exc import SQLAlchemyError

from tidegate import __version__
from tidegate.cli import console
from tidegate.errors import TidegateError

app = typer.Typer(
    name="tidegate",
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


# Commands register themselves on `app`, in the order in which --help lists them.
from tidegate.cli import quickstart, serve, export, runs, tune, bundles, behaviour, share, keys  # noqa: E402, F401, I001
from tidegate.cli import drift, alerts, backfill, monitor, decisions, labels, retrain, loop  # noqa: E402, F401
from tidegate.cli import loadtest, doctor  # noqa: E402, F401
