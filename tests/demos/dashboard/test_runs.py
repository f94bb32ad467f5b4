"""The views of runs: listed, told in full, and side by side, from the registry or from what bundles keep of it."""

import math
from pathlib import Path
from typing import Any

import pytest

from demos.dashboard.compare_runs import some_runs
from demos.dashboard.content import Choice, Figure, Heading, Link, Markup, Number, Page
from demos.dashboard.curves import base, grouped, smoothed
from demos.dashboard.page import render
from demos.dashboard.run_details import one_run
from demos.dashboard.runs import all_runs, main_metrics
from tests import bundles
from tests.demos.dashboard.visits import (
    HOSTILE,
    OTHER,
    RUN,
    THIRD,
    SlowRuns,
    ToldRuns,
    curve,
    on_dashboard,
    run,
    seen,
)
from tests.serving.apps import Running
from tidegate.bundle import Lineage, Manifest
from tidegate.bundle_store import BundleStore
from tidegate.errors import InvalidInput, ItemNotFound

GOOD = run(RUN, name="good", metrics={"eval_accuracy": 0.9, "eval_runtime": 3.0}, params={"lr": "1e-5", "seed": "0"})
POOR = run(
    OTHER, name="poor", metrics={"eval_accuracy": 0.7}, params={"lr": "1e-3", "seed": "0"}, started_seconds=1.6e9
)
BARE = run(THIRD, name="bare", status="FAILED", experiment="other", started_seconds=1.5e9)
DATA = [{"name": "news", "digest": "d1", "context": "training"}]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With a bundle that was made from RUN, its newest version."""
    store = BundleStore(tmp_path / "bundles")
    made_from(store, RUN)
    return tmp_path


def made_from(store: BundleStore, run_id: str) -> Manifest:
    """Publish the toy as a bundle of a run."""
    toy = bundles.sentiment(store, "news")
    lineage = Lineage(
        source_uri="models:/news/1", run_id=run_id, flavour="sklearn", params={"lr": "1e-5"}, metrics={"f1": 0.5}
    )
    with store.staging("news") as folder:
        for file in toy.manifest.files:
            (folder / file).write_bytes(toy.file(file).read_bytes())
        made = {"lineage": lineage}
        return store.publish(
            "news",
            folder,
            lambda version, files: toy.manifest.model_copy(update=made | {"version": version, "files": files}),
        ).manifest


def cells(page: Page, table: str, column: str) -> list[Any]:
    """A column of a table, links by their words."""
    found = next(one for one in page.tables() if one.name == table)
    names = [one.name if isinstance(one, Heading) else one for one in found.columns]
    values = [row[names.index(column)] for row in found.rows]
    return [value.word if isinstance(value, Link) else value for value in values]


def figures(page: Page) -> list[str]:
    """Captions of the plots."""
    return [part.caption for section in page.sections for part in section.parts if isinstance(part, Figure)]


def markup(page: Page) -> str:
    """What a page writes itself."""
    return "".join(part.html for section in page.sections for part in section.parts if isinstance(part, Markup))


def test_every_run_is_listed_newest_first_with_its_bundle_and_a_box_to_tick(home: Path) -> None:
    page = seen(home, all_runs, runs=ToldRuns(GOOD, POOR, BARE))

    assert cells(page, "runs", "run") == ["good", "poor", "bare"]
    assert cells(page, "runs", "bundle") == ["news/2", None, None]
    assert cells(page, "runs", "id")[0] == Choice("run", RUN, "compare good")
    assert cells(page, "runs", "eval_accuracy") == [0.9, 0.7, None]
    assert "3 of 3 runs. From the registry, as of 2023-11-14 22:13 UTC." in page.lead
    assert 'action="compare" id="choices"' in markup(page)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": ["OO"]}, ["good", "poor"]),
        ({"name": [THIRD]}, ["bare"]),
        ({"experiment": ["other"]}, ["bare"]),
        ({"metric": ["eval_runtime"]}, ["good"]),
        ({"name": ["nobody"]}, []),
        ({"sort": ["run"], "order": ["asc"]}, ["bare", "good", "poor"]),
        ({"sort": ["started"], "order": ["asc"]}, ["bare", "poor", "good"]),
        ({"sort": ["eval_accuracy"], "order": ["asc"]}, ["poor", "good", "bare"]),
        ({"sort": ["eval_accuracy"], "order": ["desc"]}, ["good", "poor", "bare"]),
    ],
)
def test_runs_are_filtered_and_sorted_by_the_address(home: Path, query: dict[str, list[str]], names: list[str]) -> None:
    page = seen(home, all_runs, query=query, runs=ToldRuns(GOOD, POOR, BARE))

    assert (cells(page, "runs", "run") if names else []) == names


@pytest.mark.parametrize("query", [{"sort": ["nonsense"]}, {"order": ["sideways"]}])
def test_what_runs_cannot_be_sorted_by_is_named(home: Path, query: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidInput, match="not '"):
        seen(home, all_runs, query=query, runs=ToldRuns(GOOD))


def test_the_metrics_that_are_shown_say_how_well_runs_do() -> None:
    metrics = {"train_loss": 1.0, "eval_f1/bad": 1.0, "epoch": 1.0, "eval_runtime": 1.0, "eval_accuracy": 1.0}

    assert main_metrics([run(metrics=metrics)]) == ["eval_accuracy", "train_loss"]


def test_while_the_registry_is_read_the_page_says_so_and_loads_itself_again(home: Path) -> None:
    views = [(all_runs, {}, {}), (one_run, {"run_id": RUN}, {}), (some_runs, {}, {"run": [RUN, OTHER]})]
    for view, path, query in views:
        page = seen(home, view, path, query, SlowRuns())
        assert page.reload_seconds == 2
        assert "Reading the registry" in page.lead


def test_without_a_registry_runs_are_what_bundles_keep_of_them_and_the_page_says_why(home: Path) -> None:
    listed = seen(home, all_runs)
    told = seen(home, one_run, {"run_id": RUN})

    assert cells(listed, "runs", "run") == ["run of news/2"]
    assert "could not be read: this server reads no registry. This is what bundles keep" in listed.lead
    assert cells(told, "params", "value") == ["1e-5"]
    assert cells(told, "metrics", "value") == [0.5]
    assert figures(told) == []


def test_a_store_without_runs_says_what_would_make_one(tmp_path: Path) -> None:
    page = seen(tmp_path, all_runs, runs=ToldRuns())

    assert "tidegate runs import" in page.tables()[0].empty


def test_a_run_tells_what_it_was_given_came_to_and_was_made_into(home: Path) -> None:
    artifacts = [{"path": "model/weights.bin", "size_bytes": 2_000_000}, {"path": "notes.txt", "size_bytes": None}]
    told = GOOD | {"datasets": DATA, "git_commit": "c0ffee", "artifacts": artifacts, "registered": ["models:/news/1"]}
    page = seen(home, one_run, {"run_id": RUN}, runs=ToldRuns(told))

    assert page.lead.startswith("Finished in 1.5 min, started 2023-11-14 22:13 UTC in experiment news.")
    assert cells(page, "params", "param") == ["lr", "seed"]
    assert cells(page, "data-sets", "digest") == ["d1"]
    assert cells(page, "bundles", "bundle") == ["news/2"]
    assert cells(page, "artifacts", "size") == [Number(2_000_000, "2.0 MB"), None]
    assert {"c0ffee", "models:/news/1"} <= set(cells(page, "about", "value")[:4])


def test_training_and_evaluation_are_drawn_on_the_same_axes(home: Path) -> None:
    curves = {
        "loss": curve(1, 0.5),
        "eval_loss": curve(1.1, 0.7),
        "epoch": curve(0, 1),
        "system/cpu": curve(1, 2),
        "val/acc": curve(0.5, math.nan, 0.7),
    }
    page = seen(home, one_run, {"run_id": RUN}, runs=ToldRuns(GOOD | {"curves": curves}))
    drawn = [part for section in page.sections for part in section.parts if isinstance(part, Figure)]

    assert figures(page) == ["acc", "loss", "epoch", "system/cpu"]
    assert "eval_loss from 1.1 to 0.7; loss from 1 to 0.5" in drawn[1].svg
    assert drawn[0].note == "1 values that are no finite numbers are not drawn."
    assert len(next(one for one in page.tables() if one.name == "curves").rows) == 11


def test_curves_are_drawn_over_seconds_and_smoothed_when_asked(home: Path) -> None:
    runs = ToldRuns(GOOD | {"curves": {"loss": curve(1, 0, 1, 0)}})
    page = seen(home, one_run, {"run_id": RUN}, {"x": ["seconds"], "smooth": ["0.9"]}, runs)
    (figure,) = [part for part in page.sections[0].parts if isinstance(part, Figure)]

    assert "seconds since its first value" in figure.svg
    assert figure.note == "Smoothed, 0.9 of what came before."
    for query in ({"x": ["moon"]}, {"smooth": ["1"]}, {"smooth": ["nan"]}):
        with pytest.raises(InvalidInput):
            seen(home, one_run, {"run_id": RUN}, query, runs)


def test_smoothing_has_no_bias_at_its_start_and_none_of_it_changes_nothing() -> None:
    assert smoothed([3.0, 3.0, 3.0], 0.9) == pytest.approx([3.0, 3.0, 3.0])
    assert smoothed([1.0, 0.0], 0.5) == pytest.approx([1.0, 1 / 3])
    assert smoothed([1.0, 5.0], 0.0) == [1.0, 5.0]


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("eval_loss", "loss"),
        ("train/loss", "loss"),
        ("validation.accuracy", "accuracy"),
        ("loss_train", "loss"),
        ("test", "test"),
        ("evaluation_recall/bad", "recall/bad"),
        ("training_rows", "rows"),
        ("value", "value"),
    ],
)
def test_the_split_is_no_part_of_what_is_measured(metric: str, name: str) -> None:
    assert base(metric) == name
    assert grouped([metric]) == {name: [metric]}


def test_a_retrained_run_leads_to_its_parent_the_comparison_and_its_alerts(home: Path) -> None:
    tags = {"tidegate.data_set": "news/3", "tidegate.alerts": "4,7,x"}
    page = seen(home, one_run, {"run_id": RUN}, runs=ToldRuns(GOOD | {"parent": OTHER, "tags": tags}))
    links = {cell.to for table in page.tables() for row in table.rows for cell in row if isinstance(cell, Link)}

    assert {
        f"/dashboard/runs/{OTHER}",
        f"/dashboard/compare?run={OTHER}&run={RUN}",
        "/dashboard/models/news/drift?alert=4",
        "/dashboard/models/news/drift?alert=7",
    } <= links


@pytest.mark.parametrize("run_id", ["../secret", "A" * 32, "f" * 32])
def test_a_run_that_nothing_knows_is_not_found(home: Path, run_id: str) -> None:
    with pytest.raises(ItemNotFound, match="no run"):
        seen(home, one_run, {"run_id": run_id}, runs=ToldRuns(GOOD))


def test_runs_side_by_side_show_what_differs_and_mark_the_best(home: Path) -> None:
    better = GOOD | {"curves": {"loss": curve(1, 0.5)}, "metrics": GOOD["metrics"] | {"eval_f1/bad": 0.5}}
    runs = ToldRuns(better, POOR | {"curves": {"loss": curve(1, 0.9)}}, BARE)
    page = seen(home, some_runs, query={"run": [RUN, OTHER, RUN]}, runs=runs)

    assert page.lead.startswith("A good: best at 1 of the 1 metrics")
    assert cells(page, "params", "param") == ["lr"]
    assert cells(page, "metrics", "A good")[0] == Number(0.9, "0.9", "good")
    assert cells(page, "metrics", "B poor")[0] == Number(0.7, "0.7")
    assert cells(page, "classes", "class") == ["bad"]
    assert figures(page) == ["loss", "Accuracy against latency", "Accuracy against size"]
    assert f'<input type="hidden" name="run" value="{OTHER}">' in markup(page)
    assert {one.word for one in [row[0] for row in table_rows(page, "variants")]} == {"news/2"}


def table_rows(page: Page, name: str) -> Any:
    """Rows of a table."""
    return next(table for table in page.tables() if table.name == name).rows


def test_one_metric_can_be_asked_for(home: Path) -> None:
    curves = {"loss": curve(1, 0.5), "eval_accuracy": curve(0.5, 0.6)}
    runs = ToldRuns(GOOD | {"curves": curves}, POOR)
    page = seen(home, some_runs, query={"run": [RUN, OTHER], "metric": ["eval_accuracy"]}, runs=runs)

    assert figures(page)[0] == "eval_accuracy"
    assert "loss" not in figures(page)


@pytest.mark.parametrize("wanted", [[], [RUN], [RUN, RUN], [f"{n:032x}" for n in range(9)]])
def test_two_to_eight_runs_are_compared(home: Path, wanted: list[str]) -> None:
    with pytest.raises(InvalidInput, match="two to 8"):
        seen(home, some_runs, query={"run": wanted}, runs=ToldRuns(GOOD))


def test_nothing_of_a_run_is_markup(home: Path) -> None:
    hostile = {
        "name": HOSTILE, "experiment": HOSTILE, "git_commit": HOSTILE, "params": {HOSTILE: HOSTILE},
        "metrics": {HOSTILE: 1.0, "loss": 1.0}, "curves": {HOSTILE: curve(1, 2)}, "tags": {HOSTILE: HOSTILE},
        "datasets": [{"name": HOSTILE, "digest": HOSTILE, "context": HOSTILE}], "registered": [HOSTILE],
        "artifacts": [{"path": HOSTILE, "size_bytes": 1}],
    }  # fmt: skip
    runs = ToldRuns(run(RUN, **hostile), run(OTHER, **hostile))
    pages = [
        seen(home, all_runs, query={"metric": [HOSTILE], "name": [""]}, runs=runs),
        seen(home, one_run, {"run_id": RUN}, runs=runs),
        seen(home, some_runs, query={"run": [RUN, OTHER]}, runs=runs),
    ]
    for page in pages:
        document = render(page, "/dashboard/runs", [("name", HOSTILE)])
        assert "<script>" not in document
        assert "alert('x')" not in document


def test_every_table_of_the_runs_is_a_csv_file(home: Path) -> None:
    async def scenario(running: Running) -> None:
        answer = await running.client.get("/dashboard/runs?csv=runs&name=good")
        assert answer.text.splitlines()[1].startswith(f"{RUN},good,finished,2023-11-14 22:13 UTC,news,0.9")
        answer = await running.client.get(f"/dashboard/compare?run={RUN}&run={OTHER}&csv=metrics")
        assert answer.text.splitlines()[1] == "eval_accuracy,0.9,0.7,higher"

    on_dashboard(home, scenario, ToldRuns(GOOD, POOR))
