"""The document of a comparison, and how the terminal draws it."""

import math
from typing import Any

import pytest

from tests import bundles
from tidegate.bundle_store import BundleStore
from tidegate.cli.terminal_plot import letter, plot
from tidegate.run_comparison import better, compare


def document(run_id: str = "a", **fields: Any) -> dict[str, Any]:
    """What is known of a run, with nothing logged to it but these fields."""
    known: dict[str, Any] = {"uri": run_id, "run_id": run_id, "name": run_id, "status": "FINISHED", "git_commit": ""}
    return known | {"params": {}, "metrics": {}, "curves": {}} | fields


def test_params_that_are_the_same_are_counted_and_the_others_listed() -> None:
    runs = [document(params={"seed": "1", "rate": "0.1"}), document("b", params={"seed": "1", "depth": "2"})]
    compared = compare(runs, [])
    assert compared["same_params"] == 1
    assert compared["params"] == [
        {"name": "depth", "values": [None, "2"]},
        {"name": "rate", "values": ["0.1", None]},
    ]


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("eval_loss", "lower"),
        ("evaluation_macro_f1", "higher"),
        ("validation.accuracy", "higher"),
        ("rmse", "lower"),
        ("word_error_rate", "lower"),
        ("eval_samples_per_second", "higher"),
        ("train_runtime", "lower"),
        ("roc_auc", "higher"),
        ("learning_rate", None),
        ("epoch", None),
    ],
)
def test_which_way_is_better_is_told_by_the_name_or_not_at_all(metric: str, way: str | None) -> None:
    assert better(metric) == way


def test_the_best_is_marked_where_there_is_one() -> None:
    runs = [
        document(metrics={"loss": 0.5, "accuracy": 0.8, "epoch": 3.0, "eval_loss": math.nan}),
        document("b", metrics={"loss": 0.4, "accuracy": 0.8 + 1e-9, "epoch": 4.0, "eval_loss": 1.0}),
        document("c", metrics={"loss": 0.4}),
    ]
    rows = {row["name"]: row for row in compare(runs, [])["metrics"]}
    assert rows["loss"]["best"] == [1, 2]
    assert rows["accuracy"]["best"] == []  # a float32's width apart
    assert rows["accuracy"]["final"] == [0.8, 0.8 + 1e-9, None]
    assert rows["epoch"]["best"] == []
    assert rows["eval_loss"]["best"] == []


def test_metrics_of_a_class_stand_apart() -> None:
    runs = [
        document(metrics={"evaluation_recall/bad": 0.5, "loss": 1.0}),
        document("b", metrics={"evaluation_recall/bad": 0.7}),
    ]
    compared = compare(runs, [])
    assert [row["name"] for row in compared["metrics"]] == ["loss"]
    (row,) = compared["classes"]
    assert (row["name"], row["label"], row["best"]) == ("evaluation_recall", "bad", [1])


def test_curves_that_more_runs_share_come_first_unless_some_are_named() -> None:
    curve = {"steps": [0, 1], "seconds": [0.0, 1.0], "values": [1.0, 0.5]}
    runs = [document(curves={"alone": curve, "loss": curve}), document("b", curves={"loss": curve})]
    assert [row["metric"] for row in compare(runs, [])["curves"]] == ["loss", "alone"]
    (row,) = compare(runs, [], ["alone", "unknown"])["curves"]
    assert (row["metric"], row["runs"]) == ("alone", [curve, None])


def test_variants_of_bundles_that_were_made_from_a_run_are_listed(tmp_path: Any) -> None:
    manifest = bundles.sentiment(BundleStore(tmp_path), "toy").manifest
    mine = manifest.model_copy(update={"lineage": manifest.lineage.model_copy(update={"run_id": "b"})})
    rows = compare([document(), document("b")], [manifest, mine])["variants"]
    assert [(row["run"], row["bundle"]) for row in rows] == [(1, "toy/1")] * len(mine.evidence)
    assert {row["variant"] for row in rows} == {each.variant for each in mine.evidence}
    assert sum(row["serves"] for row in rows) == 1


def test_a_plot_names_every_curve_at_its_end_and_its_axes() -> None:
    lines = [line.plain for line in plot([[(0, 1.0), (10, 0.0)], [(0, 0.0), (10, 1.0)], None], 60, 8)]
    assert lines[0].startswith("        1 │")
    assert lines[0].endswith("B")
    assert lines[7].endswith("A")
    assert lines[9].split() == ["0", "10"]
    assert not any("C" in line for line in lines)
    assert max(map(len, lines)) <= 60


def test_a_plot_leaves_out_what_is_no_number_and_bears_a_single_value() -> None:
    assert plot([[(0, math.nan)], None], 60, 8) == []
    lines = [line.plain for line in plot([[(3, 2.0), (4, math.inf)]], 60, 8)]
    assert sum(line.endswith("A") for line in lines) == 1


def test_letters_go_on_after_z() -> None:
    assert [letter(index) for index in (0, 25, 26, 27)] == ["A", "Z", "A2", "B2"]
