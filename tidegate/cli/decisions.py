"""`tidegate relabel decide` and `tidegate relabel gold`: what one person settles about an item of the queue."""

import time
from typing import Annotated

import typer

from tidegate.bundle_store import BundleStore
from tidegate.cli import console
from tidegate.cli.monitor import relabel
from tidegate.cli.options import Home
from tidegate.cli.state import state_database
from tidegate.errors import UsageError
from tidegate.settings import Settings

_Item = Annotated[str, typer.Argument(help="Its id, or how that begins.")]


@relabel.command("decide", epilog="Example: tidegate relabel decide 5f2c81aa --label negative")
def decide(
    item: _Item,
    label: Annotated[str | None, typer.Option("--label", help="What it is.")] = None,
    none: Annotated[bool, typer.Option("--none", help="It is not a case for these labels.")] = False,
    home: Home = None,
) -> None:
    """Decide a disputed item, or any other: this overrules its annotators."""
    from monitoring.labels import decisions
    from monitoring.labels.known import KnownLabels

    if (label is None) != none:
        raise UsageError("say what the item is: --label LABEL, or --none")
    settings = Settings.load(home=home)
    allowed = KnownLabels(BundleStore(settings.bundles_dir))
    item_id, state = decisions.decide(state_database(settings), item, label, time.time(), allowed)
    console.say(f"item {item_id[:8]} is {'no case for these labels' if none else label}; {_shown(state)}")


@relabel.command("gold", epilog="Example: tidegate relabel gold 5f2c81aa --label negative")
def gold(
    item: _Item,
    label: Annotated[str | None, typer.Option("--label", help="What is right.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="It tests nobody any more.")] = False,
    home: Home = None,
) -> None:
    """Have an item test annotators: each gets it once among the others, and it is never training data."""
    from monitoring.labels import decisions
    from monitoring.labels.known import KnownLabels

    if (label is None) != remove:
        raise UsageError("say what is right: --label LABEL, or --remove")
    settings = Settings.load(home=home)
    allowed = KnownLabels(BundleStore(settings.bundles_dir))
    item_id, state = decisions.set_gold(state_database(settings), item, label, allowed)
    what = f"tests nobody any more; {_shown(state)}" if remove else f"is gold: {label} is right"
    console.say(f"item {item_id[:8]} {what}")


def _shown(state: str) -> str:
    return "somebody has it on the screen now" if state == "claimed" else f"its state is {state}"
