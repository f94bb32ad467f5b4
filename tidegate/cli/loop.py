"""`tidegate loop M --simulate LABELS.csv`: the whole circle with annotators that are simulated, one command.

    send -> queue -> label -> doubt -> settle -> check_labels -> ... -> deploy

The texts are a day of traffic that the served version answers in this process; drift is found, the queue fills, and
annotators claim and answer as people do, wrongly now and then. For teaching, tests and benchmarks: labels given in
this way are marked `simulated`. Run it again after it was stopped: it goes on where it was. Before: an exported model;
after: its next version, promoted, or the numbers that say why not.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from tidegate.aliases import CHAMPION
from tidegate.cli import app, console, retraining
from tidegate.cli.options import AsJson, Home, Model
from tidegate.cli.retrain import DEFAULT_MARGIN, Margin
from tidegate.cli.retraining_steps import STEPS
from tidegate.errors import UsageError
from tidegate.settings import Settings


@app.command("loop", epilog="Example: tidegate loop sentiment --simulate labels.csv")
def loop(
    model: Model,
    simulate: Annotated[Path, typer.Option(help="CSV of texts to send and their right labels (text, label).")],
    annotators: Annotated[int, typer.Option(min=1, max=50, help="How many people to simulate.")] = 2,
    noise: Annotated[float, typer.Option(min=0, max=1, help="Share of answers that are wrong.")] = 0.05,
    labels: Annotated[int, typer.Option(min=10, help="Texts to put on the queue, a fifth of them at random.")] = 300,
    seed: Annotated[int, typer.Option(help="Of the annotators' mistakes.")] = 0,
    quality: Annotated[bool, typer.Option(help="Have labels that are likely wrong answered once more.")] = True,
    max_accuracy_drop: Margin = DEFAULT_MARGIN,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Drift, queue, simulated labels, new run, gate, canary, promotion: the circle once around."""
    from monitoring.labels import retrainings
    from tidegate.bundle_store import BundleStore, checked_name
    from tidegate.cli.simulation import Simulation, key_of, read_truth, summary
    from tidegate.cli.state import state_database

    settings = Settings.load(home=home)
    bundles = BundleStore(settings.bundles_dir)
    truth = read_truth(simulate, bundles.load(checked_name(model)).manifest)
    key = key_of(truth, seed)
    database = state_database(settings)
    options = retraining.Options("", quality, True, None, max_accuracy_drop)
    with retraining.alone(settings, model):
        begun = retrainings.begin(database, model, bundles.resolve(model, CHAMPION), time.time(), key)
        if begun.detail.get("loop") != key:
            raise UsageError(
                f"retraining {begun.id} of {model} is under way, and not of this loop; finish it with "
                f"`tidegate retrain {model}`, or repeat the loop that began it"
            )
        work = retraining.Work(settings, database, bundles, model, options, begun)
        steps = Simulation(truth, annotators, noise, labels, seed).steps()
        retraining.carry_out(work, (*steps, *STEPS))
    found = summary(work, truth)
    if as_json:
        console.json(found)
        return
    for line in found["told"]:
        console.out(line)
