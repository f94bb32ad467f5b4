"""`tidegate tune`: the fastest safe plan for a bundle on this machine; `export`, `up` and `quickstart` call it too.

Runs in the serve environment, where the providers that serve are, each trial in a process of its own. The result is
kept in the home folder under this machine's fingerprint; the next `serve` follows it.
"""

import os
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate import home as home_folder
from tidegate.aliases import CHAMPION
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.cli import app, console
from tidegate.cli.options import AsJson, Home, Model, Version
from tidegate.errors import GateRefused, TidegateError
from tidegate.settings import Settings

if TYPE_CHECKING:  # it would load onnxruntime, which `--help` need not wait for
    from tidegate.tunings import Tuning

# A try should not wait for it: two models must fit into the quickstart's three minutes.
QUICKSTART_SECONDS = 10.0


@app.command("tune", epilog="Example: tidegate tune sentiment --quick")
def tune(
    model: Model,
    version: Version = CHAMPION,
    goal: Annotated[
        str | None,
        typer.Option(help="latency or throughput: what to name first.", show_default="throughput"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Stop after 20 seconds; what was measured counts.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Measure the fastest safe plan for a bundle on this machine; the server follows it from its next start."""
    from exporters.tune import QUICK_SECONDS
    from tidegate.cli.tuning_table import goals, show_tuning
    from tidegate.tunings import refused

    settings = Settings.load(home=home, goal=goal)
    bundle = BundleStore(settings.bundles_dir).load(model, version)
    tuning = tune_bundle(settings, bundle, budget_seconds=QUICK_SECONDS if quick else None)
    best = {goal: tuning.best(goal) for goal in goals(settings.goal)}
    if as_json:
        winners = {goal: trial and trial.plan.model_dump(mode="json") for goal, trial in best.items()}
        named = {"model": bundle.manifest.name, "version": bundle.manifest.version, "best": winners}
        console.json(named | tuning.model_dump(mode="json"))
    else:
        show_tuning(bundle.manifest, tuning, settings.goal)
    if not any(best.values()):
        raise GateRefused(f"{model}: no plan passes on this machine: {refused(tuning.trials)}")


def tune_published(settings: Settings, bundle: Bundle, *, budget_seconds: float | None = None) -> None:
    """Tune what was just exported and say what came of it; a tuning that fails does not undo the export."""
    if not settings.tune:
        return
    from tidegate.cli.tuning_table import show_tuning

    try:
        tuning = tune_bundle(settings, bundle, budget_seconds=budget_seconds)
    except TidegateError as error:
        console.say(f"not tuned: {error}")
        return
    show_tuning(bundle.manifest, tuning, settings.goal, as_message=True)


def tune_bundle(settings: Settings, bundle: Bundle, *, budget_seconds: float | None) -> "Tuning":
    """Tune a bundle for these settings' device and threads, with progress on stderr, and keep the result.

    Raises:
        UsageError: no such device here.
        BundleCorrupt: no verification set, and its most exact variant does not run here.
    """
    from exporters import tune as tuner
    from exporters.candidates import offered
    from tidegate import tunings
    from tidegate.gpus import number_by_bus
    from tidegate.placement import parse_devices

    folder = home_folder.prepare(settings) / "tuning"
    number_by_bus(os.environ)
    requested = parse_devices(settings.device).of(bundle.manifest.name)
    places, stopping = offered(requested), Event()
    title = f"tuning {bundle.manifest.name}/{bundle.manifest.version} for this machine"
    with console.messages.status(title), tunings.measuring(folder, stopping):
        tuning = tuner.tune(
            bundle,
            places,
            requested=requested,
            threads=settings.threads,
            budget_seconds=budget_seconds,
            say=console.say,
        )
        tunings.write(folder, bundle, tuning)
    return tuning
