"""What both training scripts share: options, data, splits, and the log of a run in MLflow.

Before: a CSV or the generator. After: a run with params, metrics, the data set with its digest, statistics,
confusion matrix, per-class metrics and the model's lineage, and the splits as CSV artifacts, so that `tidegate
export` can verify against the same evaluation rows. The embedded store is SQLite under `--home`;
`MLFLOW_TRACKING_URI` wins. Heavy imports wait until the data is known to be good.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from exporters import texts
from exporters.texts import Row
from tidegate.cli import children
from tidegate.errors import TidegateError, UsageError
from tidegate.home import tracking_uri

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

EXPERIMENT = "tidegate-examples"


@dataclass(frozen=True, slots=True)
class Splits:
    """Stratified parts of a data set: 70 % training, 15 % validation, 15 % evaluation."""

    training: list[Row]
    validation: list[Row]
    evaluation: list[Row]

    @property
    def labels(self) -> list[str]:
        """Class labels in alphabetical order."""
        return sorted({label for _, label in self.training})


def options(description: str, *, threshold: str) -> argparse.ArgumentParser:
    """The command line that both scripts have in common."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, help="CSV file; without it, synthetic headlines are made up")
    parser.add_argument("--rows", type=int, default=3000, help="how many headlines to make up, without --data")
    parser.add_argument("--text-column", default="text", help="column of the texts")
    parser.add_argument("--label-column", default="label", help="column of the labels")
    parser.add_argument("--seed", type=int, default=0, help="of splits, shuffling and weights")
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default=threshold,
        metavar="quartile|none|0..1",
        help="confidence below which the fallback label answers; quartile: that of the validation confidences",
    )
    parser.add_argument("--fallback-label", help="what answers below the threshold; without it, the majority class")
    parser.add_argument("--register", metavar="NAME", help="register the model under this name")
    parser.add_argument("--alias", help="point this alias at the registered version, for example champion")
    parser.add_argument("--home", type=Path, default=Path(".tidegate"), help="folder of the embedded MLflow store")
    return parser


def checked(arguments: argparse.Namespace) -> argparse.Namespace:
    """The parsed options, if they fit together.

    Raises:
        UsageError: an alias without a model to give it to, or too few headlines for three splits.
    """
    if arguments.rows < 50:
        raise UsageError(f"--rows {arguments.rows}: make up at least 50, so that every split holds every class")
    if arguments.alias and not arguments.register:
        raise UsageError(f"--alias {arguments.alias} needs --register NAME: an alias belongs to a registered model")
    return arguments


def _threshold(value: str) -> str | float:
    if value in ("quartile", "none"):
        return value
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError
    return number


def run(train: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Parse the command line and train; an error of ours becomes one line and its exit code."""
    children.attend_parent()
    try:
        train(checked(parser.parse_args()))
    except TidegateError as error:
        children.refuse(error)


def say(text: str) -> None:
    """Tell what is going on, on stderr."""
    print(text, file=sys.stderr, flush=True)


def read_rows(arguments: argparse.Namespace) -> list[Row]:
    """Labelled texts of a CSV, or of the generator; texts that occur twice are kept once.

    Raises:
        UsageError: unreadable, a column is missing, a text or label is empty, or there is nothing to learn.
    """
    data: Path | None = arguments.data
    if data is None:
        from headlines import generate

        say(f"no --data: making up {arguments.rows} synthetic headlines (seed {arguments.seed})")
        return generate(arguments.rows, arguments.seed)
    rows = texts.read_rows(data, arguments.text_column, arguments.label_column)
    unique = list(dict(reversed(rows)).items())[::-1]  # a text in two splits would leak; the first label stays
    if len(unique) < len(rows):
        say(f"{data}: {len(rows) - len(unique)} rows repeat a text and are left out")
    _check_classes(unique, data)
    return unique


def _check_classes(rows: Sequence[Row], data: Path) -> None:
    counts = Counter(label for _, label in rows)
    if len(counts) < 2:
        raise UsageError(f"{data} has {len(counts)} class{'es' * (len(counts) != 1)}; a classifier needs at least 2")
    rarest, count = counts.most_common()[-1]
    if count < 3:
        raise UsageError(f"{data}: class {rarest!r} has {count} row(s); each split needs one, so at least 3")


def split(rows: Sequence[Row], seed: int) -> Splits:
    """Shuffle and split, class by class; every class of 3 rows or more is in every part."""
    rng = Random(seed)
    parts = Splits([], [], [])
    for label in sorted({label for _, label in rows}):
        own = [row for row in rows if row[1] == label]
        rng.shuffle(own)
        held = max(1, round(0.15 * len(own)))
        parts.evaluation.extend(own[:held])
        parts.validation.extend(own[held : 2 * held])
        parts.training.extend(own[2 * held :])
    for part in (parts.training, parts.validation, parts.evaluation):
        rng.shuffle(part)
    sizes = f"{len(parts.training)} training, {len(parts.validation)} validation, {len(parts.evaluation)} evaluation"
    say(f"{sizes} rows")
    return parts


def decide_threshold(
    wanted: str | float, confidences: "NDArray[np.float64]", splits: Splits, fallback_label: str | None
) -> dict[str, Any]:
    """Metadata for the model: `threshold` in [0, 1] and `fallback_label`, or nothing when there is no threshold.

    Args:
        wanted: `quartile` (the first quartile of `confidences`), `none`, or the threshold itself.
        confidences: top probability of each validation text, shape (rows,).
        splits: for the majority class of the training rows, the default fallback.
        fallback_label: what answers below the threshold, if the user said so.
    """
    import numpy as np

    if wanted == "none":
        return {}
    threshold = float(np.quantile(confidences, 0.25)) if wanted == "quartile" else float(wanted)
    majority = Counter(label for _, label in splits.training).most_common(1)[0][0]
    return {"threshold": threshold, "fallback_label": fallback_label or majority}


def start_run(arguments: argparse.Namespace, run_name: str) -> Any:
    """Open an MLflow run in the configured store, or in the home folder's."""
    import mlflow

    uri = tracking_uri(arguments.home)
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    say(f"logging to {_without_password(uri)}")
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        own_store = uri == f"sqlite:///{arguments.home.absolute() / 'mlflow' / 'mlflow.db'}"
        artifacts = (arguments.home.absolute() / "mlflow" / "artifacts").as_uri() if own_store else None
        mlflow.create_experiment(EXPERIMENT, artifact_location=artifacts)
    mlflow.set_experiment(EXPERIMENT)
    return mlflow.start_run(run_name=run_name, tags=_git_tags())


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

    hidden = {"home", "register", "alias"}
    mlflow.log_params({name: value for name, value in vars(arguments).items() if name not in hidden})
    name = arguments.data.stem if arguments.data else "synthetic-headlines"
    for context in ("training", "validation", "evaluation"):
        frame = pd.DataFrame(getattr(splits, context), columns=["text", "label"])
        with warnings.catch_warnings():  # MLflow has two classes for a local path and warns that it took the first
            warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted")
            dataset = mlflow.data.from_pandas(
                frame, source=str(arguments.data or "headlines.py"), name=name, targets="label"
            )
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
            "words": written.str.split().str.len().astype(float),
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
