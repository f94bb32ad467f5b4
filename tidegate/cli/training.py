"""Training again: a run's own recipe, or a command that is named, on a data set; and finding the run afterwards.

Both run in the export environment as a child that ends with this process. Every MLflow run that starts in it carries
the tags below, by MLflow's own `MLFLOW_RUN_CONTEXT`, whatever program starts it: so the run of a retraining that was
killed is found again, and a run says where it comes from.
Before: `monitoring.labels.data_sets`; after: `tidegate.cli.export.export_run`.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.cli import children
from tidegate.cli.export import ask
from tidegate.errors import UsageError
from tidegate.home import tracking_uri
from tidegate.settings import Settings

_EXAMPLES = ("train_tfidf.py", "finetune_transformer.py")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be trained.

    Attributes:
        splits: folder with training.csv, validation.csv and evaluation.csv.
        recipe: script and options of the parent run, if it logged them.
        command: in its place; `{data}`, `{register}`, `{seed}` and `{home}` are filled in, no shell reads it.
        register: the name to register the model under; empty for none.
        seed: the parent run's.
        tags: of the new run; `tidegate.retraining` is the one that it is found by.
    """

    splits: Path
    recipe: Mapping[str, Any] | None
    command: str
    register: str
    seed: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Trained:
    """A run, as a URI to export, and its id (empty for a directory); whether an earlier try had made it."""

    run: str
    run_id: str
    again: bool


def fetch_parent(settings: Settings, run: str, target: Path) -> dict[str, Any]:
    """Copy a run's splits into a folder; see `exporters.training_runs`."""
    found: dict[str, Any] = ask(settings, "fetch_parent", {"run": run, "target": str(target)})
    return found


def train(settings: Settings, order: Order) -> Trained:
    """The run of this order: the one that is there already, or a new one.

    Raises:
        UsageError: the parent run logged no recipe and no command is named, or the command made no run.
        TidegateError: what the training said.
    """
    found = _found(settings, order)
    if found is not None:
        return Trained(found["run"], found["run_id"], again=True)
    variables = {"MLFLOW_RUN_CONTEXT": json.dumps(dict(order.tags)), "MLFLOW_TRACKING_URI": tracking_uri(settings.home)}
    said = _run_command(settings, order, variables) if order.command else _run_recipe(settings, order, variables)
    found = _found(settings, order)
    if found is not None:
        return Trained(found["run"], found["run_id"], again=False)
    if "run" not in said:
        raise UsageError(
            "the command ended well, but no finished MLflow run of it holds a model; log one, or print a last line "
            'such as {"run": "models:/NAME/3"}'
        )
    return Trained(str(said["run"]), str(said.get("run_id", "")), again=False)


def filled(command: str, values: Mapping[str, str]) -> list[str]:
    """A command's words with `{name}` filled in; braces that name nothing stay.

    Raises:
        UsageError: quotes that do not close, or nothing at all.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command {command!r}: {error}") from None
    if not words:
        raise UsageError("--command is empty; write a program and its arguments, such as 'python train.py {data}'")
    for name, value in values.items():
        words = [word.replace(f"{{{name}}}", value) for word in words]
    return words


def _run_recipe(settings: Settings, order: Order, variables: Mapping[str, str]) -> dict[str, Any]:
    if order.recipe is None or order.recipe.get("script") not in _EXAMPLES:
        raise UsageError(
            "the run of the live version logged no recipe (tag tidegate.recipe); name the command that trains it: "
            "--command 'python train.py --splits {data} --register {register}'"
        )
    arguments = [*map(str, order.recipe["options"]), "--splits", str(order.splits.absolute())]
    arguments += ["--register", order.register] if order.register else []
    return children.train_example(settings, order.recipe["script"], arguments, variables=variables)


def _run_command(settings: Settings, order: Order, variables: Mapping[str, str]) -> dict[str, Any]:
    places = {"data": str(order.splits.absolute()), "home": str(settings.home.absolute())}
    words = filled(order.command, places | {"register": order.register, "seed": order.seed})
    argv = ["-m", "tidegate.cli.command_child"]
    said: dict[str, Any] = children.run_child(settings, argv, {"command": words}, variables=variables)
    return said


def _found(settings: Settings, order: Order) -> dict[str, Any] | None:
    """None, too, where there is no store yet."""
    request = {"token": order.tags["tidegate.retraining"], "register": order.register}
    found: dict[str, Any] | None = ask(settings, "find_trained", request)
    return found
