"""`tidegate retrain`: from accepted labels to a better version that takes traffic, or to the numbers that say no.

Run it again after it was stopped, however hard: it goes on with the step that it was at. Options are those of the call
that carries a step out. Exit code 3 says that a gate refused; nothing of what is served has changed then.
"""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.aliases import CHAMPION
from tidegate.bundle_store import BundleStore, checked_name
from tidegate.cli import app, console, retraining
from tidegate.cli.options import AnyModel, AsJson, Home, Model, Percent
from tidegate.cli.retraining_steps import STEPS
from tidegate.cli.state import state_database
from tidegate.errors import UsageError
from tidegate.moments import moment
from tidegate.settings import Settings

if TYPE_CHECKING:
    from monitoring.labels.retrainings import Retraining

DEFAULT_MARGIN = 1.0  # points; as `monitoring.labels.paired`, which would load numpy here

LAST_OF_LOOP = "settle"  # what a loop does before its retraining

Promote = Annotated[bool, typer.Option("--promote", help="Make it the champion as soon as the gate lets it.")]
Margin = Annotated[
    float,
    typer.Option(
        metavar="POINTS", min=0, max=100, help="Points of accuracy that the new version may lose on either set of rows."
    ),
]


@app.command("retrain", epilog="Example: tidegate retrain sentiment --percent 20")
def retrain(
    model: Model,
    command: Annotated[
        str,
        typer.Option(
            help="Trains in place of the run's own recipe: a program and its arguments, with {data}, {register}, "
            "{seed} and {home} to be filled in; no shell reads it."
        ),
    ] = "",
    quality: Annotated[
        bool, typer.Option(help="Have labels that are likely wrong looked at by one more annotator first.")
    ] = True,
    promote: Promote = False,
    percent: Percent = None,
    max_accuracy_drop: Margin = DEFAULT_MARGIN,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Train on the labels that people agree on, gate against the live version, and deploy as a canary."""
    settings = Settings.load(home=home)
    options = retraining.Options(command, quality, promote, percent, max_accuracy_drop)
    with retraining.alone(settings, checked_name(model)):
        done = run(settings, model, options)
    if as_json:
        console.json(asdict(done))
        return
    console.out(f"{model}/{done.version} is {done.state}: {done.run}, trained on data set {done.data_set}")


@app.command("retrainings")
def list_all(
    model: AnyModel = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """What retrainings have come to, newest first."""
    from monitoring.labels.retrainings import list_retrainings

    settings = Settings.load(home=home)
    found = list_retrainings(state_database(settings), model)
    if as_json:
        console.json([asdict(each) | {"now": _now(settings, each)} for each in found])
        return
    if not found:
        console.say("no model was retrained yet; `tidegate retrain M` does it once labels are accepted")
        return
    columns = ["id", "model", "state", "now", "last step", "data set", "version", "began", "why"]
    console.table("retrainings", columns, [_cells(settings, each) for each in found])


def run(settings: Settings, model: str, options: retraining.Options) -> "Retraining":
    """Go on with the model's retraining, or begin one; returns it as it ended.

    Raises:
        GateRefused: the labels or the new version are not good enough.
        TidegateError: what else stood in the way; what is done so far stays done.
    """
    from monitoring.labels import retrainings

    bundles = BundleStore(settings.bundles_dir)
    live = bundles.resolve(model, CHAMPION)
    database = state_database(settings)
    begun = retrainings.begin(database, model, live, time.time())
    if begun.detail.get("loop") and LAST_OF_LOOP not in begun.steps:
        raise UsageError(f"a loop of {model} is under way; run the same `tidegate loop {model} ...` again")
    if begun.step != retrainings.BEGUN:
        console.say(f"retraining {begun.id} of {model} goes on after {begun.step}")
    work = retraining.Work(settings, database, bundles, model, options, begun)
    retraining.carry_out(work, STEPS)
    return work.retraining


def _now(settings: Settings, each: "Retraining") -> str:
    """What the version is to callers by now: its aliases, which move after a retraining has ended."""
    if each.version is None:
        return ""
    return ", ".join(BundleStore(settings.bundles_dir).aliases(each.model).holders(each.version))


def _cells(settings: Settings, each: "Retraining") -> list[str]:
    numbers = ["" if value is None else str(value) for value in (each.data_set, each.version)]
    stands = [str(each.id), each.model, each.state, _now(settings, each), each.step]
    return [*stands, *numbers, moment(each.started_at), str(each.detail.get("why", ""))]
