"""Mixing: people's labels among the rows that a run was trained on; pure, and the same however often it is done.

Evaluation rows stay as they are, and no text that is nearly one of them, or of the random labels held out for the gate,
is added to training. Where a text was there already with another label, the person's counts. Everything follows from
hashes of the texts, so a label that is held out stays so in every data set to come.
Before: `data_sets`, which reads the queue; after: its files.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from monitoring.labels.items import digest
from monitoring.labels.likeness import alike

Row = tuple[str, str]  # (text, label)
Split = Literal["training", "validation", "evaluation", "random"]
SPLITS: Sequence[Split] = ("training", "validation", "evaluation", "random")
RANDOM_SHARE = 0.5  # of the labels drawn at random that only the gate sees; the others teach
VALIDATION_SHARE = 0.15  # where the run kept no validation rows of its own


@dataclass(frozen=True, slots=True)
class Labelled:
    """An item of the queue with the label that people agree on; `random` where chance alone chose it."""

    id: str
    text: str
    label: str
    reason: str
    annotator: str
    alert_id: int | None
    random: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """A text that stood in a split with another label than people give it."""

    item: str
    text: str
    split: Split
    was: str
    label: str


@dataclass(slots=True)
class Mixed:
    """What became of the rows and of the labels.

    Attributes:
        rows: by split.
        placed: item id to the split that holds its text.
        added: item ids whose text or label is new to training or validation.
        conflicts: told to people; in training and validation the person's label won, in evaluation the old one stays.
        left_out: item id to why it is in no split.
    """

    rows: dict[Split, list[Row]]
    placed: dict[str, Split] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def mix(parent: Mapping[str, Sequence[Row]], labelled: Sequence[Labelled]) -> Mixed:
    """Put labels among the splits of the parent run.

    Args:
        parent: rows of `training` and `evaluation`, and of `validation` where there are any.
        labelled: one a text; their order does not matter.
    """
    mixed = Mixed({split: list(parent.get(split, ())) for split in SPLITS})
    classes = {label for _, label in mixed.rows["training"]}
    known = {digest(text): split for split in SPLITS for text, _ in mixed.rows[split]}
    by_text = {digest(item.text): item for item in labelled}
    fresh: list[Labelled] = []
    for text_digest, item in sorted(by_text.items()):
        if not item.text.strip() or item.label not in classes:
            mixed.left_out[item.id] = (
                f"{item.label!r} is no class of the training data" if item.text.strip() else "empty"
            )
        elif text_digest in known:
            mixed.placed[item.id] = known[text_digest]
        else:
            fresh.append(item)
    _relabel(mixed, by_text)
    _hold_out(mixed, fresh)
    _teach(mixed, [item for item in fresh if item.id not in mixed.placed])
    return mixed


def _relabel(mixed: Mixed, by_text: Mapping[str, Labelled]) -> None:
    """What a person says of a text that is there already."""
    for split in ("training", "validation", "evaluation"):
        for place, (text, was) in enumerate(mixed.rows[split]):
            item = by_text.get(digest(text))
            if item is None or item.id not in mixed.placed or item.label == was:
                continue
            mixed.conflicts.append(Conflict(item.id, text, split, was, item.label))
            if split != "evaluation":
                mixed.rows[split][place] = (text, item.label)
                mixed.added.append(item.id)


def _hold_out(mixed: Mixed, fresh: Sequence[Labelled]) -> None:
    for item in fresh:
        if item.random and _place(item.text, "random") < RANDOM_SHARE:
            mixed.rows["random"].append((item.text, item.label))
            mixed.placed[item.id] = "random"


def _teach(mixed: Mixed, fresh: Sequence[Labelled]) -> None:
    kept = [text for split in ("evaluation", "random") for text, _ in mixed.rows[split]]
    near = alike([item.text for item in fresh], kept)
    taught, seen = len(mixed.rows["training"]), len(mixed.rows["validation"])
    share = seen / (taught + seen) if seen else VALIDATION_SHARE
    for item, place in zip(fresh, near, strict=True):
        if place is not None:
            mixed.left_out[item.id] = "it is nearly a text that the gate measures on"
            continue
        split: Split = "validation" if _place(item.text, "validation") < share else "training"
        mixed.rows[split].append((item.text, item.label))
        mixed.placed[item.id] = split
        mixed.added.append(item.id)
    if not seen:
        _carve(mixed)


def _carve(mixed: Mixed) -> None:
    """Validation rows out of the training rows, for a run that kept none."""
    taught = mixed.rows["training"]
    moved = [_place(text, "validation") < VALIDATION_SHARE for text, _ in taught]
    mixed.rows["validation"] += [row for row, goes in zip(taught, moved, strict=True) if goes]
    mixed.rows["training"] = [row for row, goes in zip(taught, moved, strict=True) if not goes]


def _place(text: str, salt: str) -> float:
    """Where a text falls in [0, 1), evenly and the same everywhere; apart for each salt."""
    found = hashlib.sha256(f"tidegate {salt}\0{digest(text)}".encode()).digest()
    return int.from_bytes(found[:6]) / 2.0**48
