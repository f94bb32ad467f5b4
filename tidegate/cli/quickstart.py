"""`tidegate quickstart`: from nothing to two served, demoed, monitored models, on embedded defaults.

Trains both example recipes on the synthetic headlines, registers them in the embedded MLflow store, exports
them and serves them. What is there already is not made again, so the second start takes seconds.
"""

from dataclasses import dataclass
from typing import Annotated

import typer

from tidegate.bundle_store import BundleStore
from tidegate.cli import app, console
from tidegate.cli.options import Home, NoTune, joined
from tidegate.cli.server_options import Port, TrustDemo
from tidegate.cli.tune import QUICKSTART_SECONDS, tune_published
from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Recipe:
    """One example script, the arguments that keep it short, and the model it registers."""

    model: str
    script: str
    arguments: tuple[str, ...]


# Sized for 2 cores and 3 minutes in all: the transformer trains its upper layers for a few passes.
RECIPES = (
    Recipe(
        "headlines",
        "finetune_transformer.py",
        ("--rows", "2000", "--epochs", "3", "--freeze-layers", "3", "--batch-size", "16", "--learning-rate", "3e-4"),
    ),
    Recipe("headlines-tfidf", "train_tfidf.py", ("--rows", "3000")),
)


@app.command()
def quickstart(
    port: Port = None,
    exit_when_ready: Annotated[
        bool, typer.Option("--exit-when-ready", help="Stop, with exit code 0, once everything answers (for CI).")
    ] = False,
    no_tune: NoTune = None,
    trust_demo: TrustDemo = None,
    home: Home = None,
) -> None:
    """From nothing to served, demoed, monitored models: trains, exports and serves the examples."""
    from tidegate.cli import gateway

    settings = Settings.load(home=home, port=port, tune=False if no_tune else None, trust_demo=joined(trust_demo))
    listener = gateway.open_door(settings)
    for step, recipe in enumerate(_missing(settings), start=1):
        _make(settings, recipe, step)
    gateway.run(settings, listener, exit_when_ready=exit_when_ready)


def _missing(settings: Settings) -> list[Recipe]:
    present = BundleStore(settings.bundles_dir).names()
    return [recipe for recipe in RECIPES if recipe.model not in present]


def _make(settings: Settings, recipe: Recipe, step: int) -> None:
    from tidegate.cli.children import train_example
    from tidegate.cli.export import export_run, show_evidence

    console.step(f"{step}. {recipe.model}", f": training {recipe.script} on synthetic headlines")
    # The embedded store, whatever MLFLOW_TRACKING_URI says: a try must not write into a team's registry.
    arguments = [*recipe.arguments, "--register", recipe.model, "--alias", "champion"]
    train_example(settings, recipe.script, arguments, embedded_store=True)
    bundle = export_run(settings, f"models:/{recipe.model}@champion", recipe.model, embedded_store=True)
    show_evidence(bundle.manifest, as_message=True)
    tune_published(settings, bundle, budget_seconds=QUICKSTART_SECONDS)
