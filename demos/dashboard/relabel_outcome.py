"""What became of labels, for the view of the relabel queue: accuracy, labels saved, data sets, retrainings.

Before: the document of `Desk.stats`; after: `relabel`. Pure. What too few labels tell is said to be so, with how many
it takes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from demos.dashboard import content
from demos.dashboard.content import Cell, Link, Mark, Number, Section, Table
from tidegate.annotation import Document
from tidegate.moments import moment

_BY = {"random": "random labels alone", "weighted": "all chosen labels, each by its probability"}
_MOODS = {"promoted": "good", "canary": "good", "refused": "bad", "failed": "bad"}


def worth(told: Document | None) -> Section:
    """Accuracy by labels, and labels saved by choosing what to label."""
    heading = "What the labels tell"
    if told is None:
        empty = "No label is agreed on yet; accuracy and labels saved are told once some are."
        return Section(heading, [Table("accuracy", "Accuracy by labels", [], [], empty=empty)])
    rows: list[list[Cell]] = [
        [
            by,
            told[name]["labels"],
            Mark("too few to tell") if told[name]["accuracy"] is None else content.share(told[name]["accuracy"]),
            None if told[name]["low"] is None else f"{told[name]['low']:.1%} to {told[name]['high']:.1%}",
        ]
        for name, by in _BY.items()
    ]
    accuracy = Table(
        "accuracy", f"Accuracy of version {told['version']} in traffic", ["by", "labels", "accuracy", "95 % interval"],
        rows, note="Reports of callers and texts of alerts are left out: why they were chosen would bias it.",
    )  # fmt: skip
    return Section(heading, [accuracy, _saved(told["saved"])], lead=_said(told["saved"]))


def _said(saved: Document) -> str:
    if saved["why"]:
        return f"How many labels choosing has saved cannot be told yet: {saved['why']}."
    if saved["low"] > 0:
        return f"Choosing what to label has saved about {saved['labels']:,.0f} labels."
    return "Whether choosing what to label saves labels cannot be told apart from chance."


def _saved(saved: Document) -> Table:
    known = not saved["why"]
    row: list[Cell] = [
        saved["chosen"],
        Number(saved["labels"], f"{saved['labels']:,.0f}") if known else Mark("cannot tell"),
        f"{saved['low']:,.0f} to {saved['high']:,.0f}" if known else None,
    ]
    return Table(
        "saved", "Labels saved by choosing", ["labels chosen", "random labels saved", "95 % interval"], [row],
        note="Random labels that a light model would have needed for the same accuracy, less those that were chosen.",
    )  # fmt: skip


def data_sets(made: Sequence[Document]) -> Table:
    """Versions of the training data that labels went into."""
    rows: list[list[Cell]] = [
        [
            one["number"],
            moment(one["created_at"]),
            one["rows"],
            one["added"],
            one["detail"].get("labels"),
            one["detail"].get("conflicts"),
            one["parent_run"],
            one["digest"][:12],
        ]
        for one in made
    ]
    columns = ["data set", "made", "rows", "added", "labels", "conflicts", "parent run", "digest"]
    empty = "None yet; `tidegate retrain M` makes one of the labels that people agree on."
    return Table("datasets", "Data sets made from labels, newest first", columns, rows, empty=empty)


def gates(model: str, made: Sequence[Document]) -> Table:
    """Retrainings with what their gate measured."""
    rows = [_retraining(model, one) for one in made]
    columns = ["retraining", "began", "state", "step", "data set", "run", "version", "evaluation rows", "random rows",
               "why"]  # fmt: skip
    empty = "None yet; `tidegate retrain M` trains, gates and deploys."
    note = "Gate: accuracy of the live version, then of the new one, and the difference in points with its interval."
    return Table("retrainings", "Retrainings, newest first", columns, rows, note=note, empty=empty)


def _retraining(model: str, one: Mapping[str, Any]) -> list[Cell]:
    gate = one["detail"].get("steps", {}).get("gate", {})
    version = one["version"]
    run_id = one["detail"].get("steps", {}).get("train", {}).get("run_id", "")
    return [
        one["id"],
        moment(one["started_at"]),
        Mark(one["state"], _MOODS.get(one["state"], "")),
        one["step"].replace("_", " "),
        one["data_set"],
        Link(run_id[:8], f"/dashboard/runs/{run_id}") if run_id else one["run"] or None,
        Link(str(version), f"/dashboard/models/{model}/health?version={version}") if version else None,
        _compared(gate.get("evaluation")),
        _compared(gate.get("random")),
        one["detail"].get("why"),
    ]


def _compared(found: Mapping[str, Any] | None) -> str | None:
    """Two versions on the same rows, in short."""
    if not found or not found["rows"]:
        return None
    return (
        f"{found['live']:.1%} to {found['new']:.1%} of {found['rows']:,}: {found['difference'] * 100:+.1f} "
        f"({found['low'] * 100:+.1f} to {found['high'] * 100:+.1f})"
    )
