"""Labels among a run's own rows: evaluation stays, people win in training, what the gate measures on teaches nobody."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.labels.items import digest
from monitoring.labels.mixing import Labelled, mix

PARENT = {
    "training": [(f"the profit of company {number} rises strongly this year", "up") for number in range(60)]
    + [(f"the loss of company {number} grows once more", "down") for number in range(60)],
    "validation": [(f"validation text {number} about nothing", "up") for number in range(20)],
    "evaluation": [("shares of the paper maker fell sharply after it warned of lower demand in all markets", "down")],
}


def item(text: str, label: str = "up", *, random: bool = False, reason: str = "drift") -> Labelled:
    return Labelled(f"id of {text}", text, label, reason, "ann", None, random)


def fresh(count: int, *, random: bool = False) -> list[Labelled]:
    return [item(f"novel text number {number} {'x' * number}", random=random) for number in range(count)]


def test_new_labels_go_to_training_and_validation_in_the_shares_of_the_run() -> None:
    mixed = mix(PARENT, fresh(700))
    added = {split: len(mixed.rows[split]) - len(PARENT[split]) for split in ("training", "validation", "evaluation")}

    assert added["evaluation"] == 0
    assert added["training"] + added["validation"] == 700
    assert 60 < added["validation"] < 140  # 20 of 140 rows: 100 expected
    assert len(mixed.added) == len(mixed.placed) == 700


def test_half_of_the_random_labels_is_held_out_and_the_rest_teaches() -> None:
    mixed = mix(PARENT, fresh(400, random=True))

    assert 150 < len(mixed.rows["random"]) < 250
    assert {text for text, _ in mixed.rows["random"]}.isdisjoint(text for text, _ in mixed.rows["training"])
    assert len(mixed.placed) == 400


def test_a_person_overrules_a_training_row_but_never_an_evaluation_row() -> None:
    taught, kept = PARENT["training"][0][0], PARENT["evaluation"][0][0]
    mixed = mix(PARENT, [item(taught.upper(), "down"), item(kept, "up")])

    assert mixed.rows["training"][0] == (taught, "down")
    assert mixed.rows["evaluation"] == PARENT["evaluation"]
    assert [(conflict.split, conflict.was, conflict.label) for conflict in mixed.conflicts] == [
        ("training", "up", "down"),
        ("evaluation", "down", "up"),
    ]
    assert mixed.added == [item(taught.upper()).id]


def test_what_is_nearly_an_evaluation_text_is_left_out_and_said() -> None:
    near = PARENT["evaluation"][0][0].replace("sharply", "steeply") + " in all markets and beyond in demand"
    same = PARENT["evaluation"][0][0] + " in in in"
    mixed = mix(PARENT, [item(same), item(near)])

    assert list(mixed.left_out) == [item(same).id]
    assert "nearly a text that the gate measures on" in mixed.left_out[item(same).id]


def test_a_label_that_is_no_class_of_the_run_is_left_out_and_said() -> None:
    mixed = mix(PARENT, [item("novel", "sideways"), item("  ", "up")])

    assert sorted(mixed.left_out.values()) == ["'sideways' is no class of the training data", "empty"]
    assert mixed.rows["training"] == PARENT["training"]


def test_a_run_without_validation_rows_gets_some() -> None:
    parent = {name: rows for name, rows in PARENT.items() if name != "validation"}
    mixed = mix(parent, fresh(10))

    assert 5 < len(mixed.rows["validation"]) < 40
    assert len(mixed.rows["validation"]) + len(mixed.rows["training"]) == 130


@given(st.integers(0, 1_000), st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_order_changes_nothing_and_no_text_is_in_two_splits(seed: int, count: int) -> None:
    labelled = [item(f"text {number} {'word ' * (number % 7)}", random=number % 3 == 0) for number in range(count)]
    shuffled = list(labelled)
    Random(seed).shuffle(shuffled)
    one, other = mix(PARENT, labelled), mix(PARENT, shuffled)

    assert one.rows == other.rows
    digests = [digest(text) for rows in one.rows.values() for text, _ in rows]
    assert len(digests) == len(set(digests))
