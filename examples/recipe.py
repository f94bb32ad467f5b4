"""What both training scripts share before they train: options, data, splits, threshold. `tracking` logs the run.

Before: a CSV, splits that are made already (`--splits`), or the generator of headlines. After: stratified splits that
no text shares, and the options that repeat the training on other data. Bad data and bad options end in one clear line
and exit code 2, before any heavy import.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from exporters import texts
from exporters.texts import Row as Row  # the scripts' word for (text, label), too
from tidegate.cli import children
from tidegate.errors import TidegateError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    parser.add_argument(
        "--splits", type=Path, help="folder with training.csv, validation.csv and evaluation.csv, in place of --data"
    )
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
    parser.add_argument("--demo", type=Path, help="demo page to log with the run, such as examples/demo.py")
    parser.add_argument("--register", metavar="NAME", help="register the model under this name")
    parser.add_argument("--alias", help="point this alias at the registered version, for example champion")
    home = Path(os.environ.get("TIDEGATE_HOME", ".tidegate"))
    parser.add_argument("--home", type=Path, default=home, help="folder of the embedded MLflow store")
    return parser


def checked(arguments: argparse.Namespace) -> argparse.Namespace:
    """The parsed options, if they fit together.

    Raises:
        UsageError: a demo page that is not there, an alias without a model to give it to, or too few headlines for
            three splits.
    """
    if arguments.rows < 50:
        raise UsageError(f"--rows {arguments.rows}: make up at least 50, so that every split holds every class")
    if vars(arguments).get("splits") and arguments.data:
        raise UsageError(f"--splits {arguments.splits} and --data {arguments.data}: name one of them")
    demo = vars(arguments).get("demo")
    if demo is not None and not demo.is_file():
        raise UsageError(f"--demo {demo}: there is no such file; name a demo.py")
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
        arguments = checked(parser.parse_args())
        if "splits" in vars(arguments):
            arguments.recipe = {"script": Path(sys.argv[0]).name, "options": repeatable(parser, arguments)}
        train(arguments)
    except TidegateError as error:
        children.refuse(error)


# What says where data comes from and where the result goes: all else repeats the training on other data.
_PLACES = frozenset(
    {"data", "splits", "rows", "text_column", "label_column", "demo", "register", "alias", "home", "help"}
)


def repeatable(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[str]:
    """The options that train in the same way again, every default written out."""
    again: list[str] = []
    for action in parser._actions:
        value = getattr(arguments, action.dest, None)
        if action.dest in _PLACES or value is None:
            continue
        again += [action.option_strings[-1], *map(str, value if isinstance(value, (list, tuple)) else [value])]
    return again


def say(text: str) -> None:
    """Tell what is going on, on stderr."""
    print(text, file=sys.stderr, flush=True)


def read_splits(arguments: argparse.Namespace) -> Splits:
    """The splits of a folder as they are, else those that are made of the rows.

    Raises:
        UsageError: what `read_rows` refuses, or a class that the training split has not got.
    """
    folder: Path | None = arguments.splits
    if folder is None:
        return split(read_rows(arguments), arguments.seed)
    parts = Splits(*(texts.read_rows(folder / f"{name}.csv") for name in ("training", "validation", "evaluation")))
    strange = sorted({label for _, label in (*parts.validation, *parts.evaluation)} - set(parts.labels))
    if strange or len(parts.labels) < 2:
        raise UsageError(
            f"{folder / 'training.csv'} has the classes {', '.join(parts.labels)}; a classifier needs at least 2, "
            f"and all of the other splits{': ' + ', '.join(strange) + ' is missing' if strange else ''}"
        )
    return _told(parts)


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
    return _told(parts)


def _told(parts: Splits) -> Splits:
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
