"""The log of a training run in MLflow, for both training scripts; `recipe` comes before.

A run holds params, metrics, the data set with its digest, statistics, confusion matrix, per-class metrics, the git
commit, its recipe (script and options, for `tidegate retrain`), its demo page if it has one, and the splits as CSV
artifacts, so that `tidegate export` can verify on the same evaluation rows. The embedded store is SQLite under
`--home`; `MLFLOW_TRACKING_URI` wins. Heavy imports wait until they are needed.
"""

import argparse
import json
import re
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipe import Splits, say

from tidegate.cli import children
from tidegate.home import make_private, tracking_uri

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

EXPERIMENT = "tidegate-examples"
RECIPE_TAG = "tidegate.recipe"  # what `tidegate retrain` runs again on the next data set


def start_run(arguments: argparse.Namespace, run_name: str) -> Any:
    """Open an MLflow run in the configured store, or in the home folder's."""
    import mlflow

    uri = tracking_uri(arguments.home)
    own_store = uri == f"sqlite:///{arguments.home.absolute() / 'mlflow' / 'mlflow.db'}"
    if own_store:
        make_private(arguments.home)  # the splits are artifacts in it, and they are texts
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    say(f"logging to {_without_password(uri)}")
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        artifacts = (arguments.home.absolute() / "mlflow" / "artifacts").as_uri() if own_store else None
        mlflow.create_experiment(EXPERIMENT, artifact_location=artifacts)
    mlflow.set_experiment(EXPERIMENT)
    recipe = vars(arguments).get("recipe")
    return mlflow.start_run(run_name=run_name, tags=_git_tags() | ({RECIPE_TAG: json.dumps(recipe)} if recipe else {}))


def _without_password(uri: str) -> str:
    return re.sub(r"//[^/@]+@", "//***@", uri)


def _git_tags() -> dict[str, str]:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return {}  # no git here: a wheel has no commit to name
    return {"mlflow.source.git.commit": answer.stdout.strip()} if answer.returncode == 0 else {}


def log_data(arguments: argparse.Namespace, splits: Splits) -> None:
    """Log options, the data set with its digest, its statistics and the splits that export needs."""
    import mlflow
    import pandas as pd

    hidden = {"home", "register", "alias", "recipe", "demo"}
    mlflow.log_params({name: value for name, value in vars(arguments).items() if name not in hidden})
    if vars(arguments).get("demo"):
        mlflow.log_text(arguments.demo.read_text(), "demo.py")  # where export looks for it
    given = arguments.data or vars(arguments).get("splits")
    name = given.stem if given else "synthetic-headlines"
    for context in ("training", "validation", "evaluation"):
        frame = pd.DataFrame(getattr(splits, context), columns=["text", "label"])
        with warnings.catch_warnings():  # MLflow has two classes for a local path and warns that it took the first
            warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted")
            dataset = mlflow.data.from_pandas(frame, source=str(given or "headlines.py"), name=name, targets="label")
        mlflow.log_input(dataset, context=context)
        mlflow.log_metric(f"{context}_rows", len(frame))
        with tempfile.TemporaryDirectory() as folder:
            frame.to_csv(Path(folder) / f"{context}.csv", index=False)
            _write_statistics(frame, Path(folder) / f"{context}-profile.bin")
            mlflow.log_artifacts(folder, "data")


def _write_statistics(frame: "pd.DataFrame", file: Path) -> None:
    """A whylogs profile of numbers derived from the texts; the texts themselves never enter it."""
    import pandas as pd

    from monitoring.profiles import profile_frame, serialize

    written = frame["text"]
    characters = written.str.len()
    derived = pd.DataFrame(
        {
            "characters": characters.astype(float),
            "words": written.map(lambda text: float(len(text.split()))),
            "digit_share": written.str.count(r"\d") / characters,
            "upper_share": written.str.count(r"[A-Z]") / characters,
            "label": frame["label"],
        }
    )
    file.write_bytes(serialize(profile_frame(derived)))


def log_evaluation(labels: Sequence[str], truth: Sequence[str], answered: Sequence[str]) -> None:
    """Log accuracy, macro-F1, per-class metrics, and the confusion matrix as JSON and as a figure.

    Args:
        labels: class labels, in the model's order.
        truth: the right label of each evaluation row.
        answered: what the model answers, threshold and fallback label applied.
    """
    import mlflow
    from sklearn.metrics import classification_report, confusion_matrix

    everything = [*labels, *sorted(set(answered) - set(labels))]
    report: dict[str, Any] = classification_report(truth, answered, labels=labels, output_dict=True, zero_division=0)
    accuracy = sum(a == b for a, b in zip(truth, answered, strict=True)) / len(truth)
    mlflow.log_metrics({"evaluation_accuracy": accuracy, "evaluation_macro_f1": report["macro avg"]["f1-score"]})
    for label in labels:
        for metric in ("precision", "recall", "f1-score"):
            mlflow.log_metric(f"evaluation_{metric}/{_metric_name(label)}", report[label][metric])
    matrix = confusion_matrix(truth, answered, labels=everything)
    mlflow.log_dict({"labels": everything, "rows_truth_columns_answered": matrix.tolist()}, "confusion_matrix.json")
    mlflow.log_dict(report, "per_class_metrics.json")
    mlflow.log_figure(_draw(matrix, everything), "confusion_matrix.png")
    say(f"evaluation accuracy {accuracy:.3f}, macro-F1 {report['macro avg']['f1-score']:.3f} on {len(truth)} rows")


def _metric_name(label: str) -> str:
    """Metric names take letters, digits, `_ - . : /` and spaces."""
    return re.sub(r"[^\w\-. ]", "_", label, flags=re.ASCII)


def _draw(matrix: "NDArray[np.int64]", labels: Sequence[str]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + len(labels), 1.2 + 0.9 * len(labels)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix, cmap="Blues")
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("answered")
    axes.set_ylabel("truth")
    dark = matrix.max() / 2
    for row, line in enumerate(matrix):
        for column, count in enumerate(line):
            axes.text(column, row, str(count), ha="center", va="center", color="white" if count > dark else "black")
    return figure


def register(arguments: argparse.Namespace, model_uri: str, run_id: str) -> None:
    """Register the logged model if asked to, set its alias, and report how to export it."""
    import mlflow

    run = model_uri
    if arguments.register:
        version = mlflow.register_model(model_uri, arguments.register)
        run = f"models:/{arguments.register}/{version.version}"
        if arguments.alias:
            client = mlflow.MlflowClient()
            client.set_registered_model_alias(arguments.register, arguments.alias, version.version)
            run = f"models:/{arguments.register}@{arguments.alias}"
    say(f"done; next: tidegate export {run} --name {arguments.register or 'NAME'} --home {arguments.home}")
    children.answer({"run": run, "run_id": run_id, "model_uri": model_uri})
