"""Who labels, for the view of the relabel queue: annotators, how they agree, and what they do not settle.

Before: the document of `Desk.stats`; after: `relabel`. Pure.
"""

from collections.abc import Sequence

from demos.dashboard import content
from demos.dashboard.content import Cell, Number, Section, Table
from tidegate.annotation import Document
from tidegate.moments import moment


def people(told: Document) -> Section:
    """Each annotator, and how they agree."""
    rows: list[list[Cell]] = [
        [
            one["annotator"],
            one["answers"],
            one["skipped"],
            one["none"],
            None if one["seconds"] is None else Number(one["seconds"], f"{one['seconds']:.1f} s"),
            one["gold"]["items"] if one["gold"] else None,
            content.share(one["gold"]["accuracy"]) if one["gold"] else None,
            _interval(one["gold"]) if one["gold"] else None,
            moment(one["last_at"]),
        ]
        for one in told["annotators"]
    ]
    columns = [
        "annotator", "answers", "skipped", "no label fits", "mean time", "gold items", "right on gold",
        "95 % interval", "last answer",
    ]  # fmt: skip
    table = Table("annotators", "Annotators", columns, rows, empty="Nobody has answered yet.")
    return Section("People", [table, _agreement(told)], lead=_agreed(told["agreement"]))


def _agreed(all_pairs: Document) -> str:
    if all_pairs["value"] is None:
        return (
            f"{all_pairs['items']} items have two answers; how far people agree beyond chance is told from 10 on, "
            "where they use more than one label."
        )
    return (
        f"Krippendorff's alpha over {all_pairs['items']} items with two answers or more: {all_pairs['value']:.2f}, "
        f"95 % interval {all_pairs['low']:.2f} to {all_pairs['high']:.2f}; 1 is perfect, 0 is chance."
    )


def _agreement(told: Document) -> Table:
    rows: list[list[Cell]] = [
        [f"{pair['one']}, {pair['other']}", pair["items"], pair["value"], _plain_interval(pair)]
        for pair in told["pairs"]
    ]
    return Table(
        "agreement", "Cohen's kappa of pairs", ["pair", "items both labelled", "kappa", "95 % interval"], rows,
        note="Of the newest 500 items with two answers; told from 10 on.", empty="No item has answers of two people.",
    )  # fmt: skip


def disputed(items: Sequence[Document]) -> Section:
    """What its annotators do not settle, and how a person does."""
    rows: list[list[Cell]] = [
        [
            item["id"][:8],
            item["text"],
            item["predicted"],
            "; ".join(f"{who}: {label}" for who, label in item["answers"].items()) or None,
            item["doubt"] or None,
            item["slot"],
            moment(item["created_at"]),
        ]
        for item in items
    ]
    columns = ["item", "text", "model said", "people said", "doubt", "slot", "queued"]
    table = Table(
        "disputed", "Disputed items, oldest first", columns, rows, empty="Nothing is disputed.",
        note="Another annotator's answer settles one, and so does `tidegate relabel decide ITEM --label LABEL`.",
    )  # fmt: skip
    return Section("Disputed", [table])


def _interval(told: Document) -> str:
    return f"{told['low']:.1%} to {told['high']:.1%}"


def _plain_interval(told: Document) -> str | None:
    return None if told["low"] is None else f"{told['low']:.2f} to {told['high']:.2f}"
