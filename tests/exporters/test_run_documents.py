"""What is read of runs for a comparison, from a real MLflow store."""

from pathlib import Path

import mlflow
import pytest

from exporters.run_documents import MOST_POINTS, read_runs, thinned
from exporters.run_figure import draw
from exporters.run_import import import_runs
from exporters.run_list import all_runs
from tests.exporters.test_trainer_runs import write_state
from tidegate.errors import RunNotFound, UsageError
from tidegate.run_comparison import compare

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:Starting with pandas version 4.0 all arguments"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]


def test_runs_are_read_by_id_and_by_registered_model_with_their_curves(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}"
    write_state(tmp_path / "runs" / "a", 3)
    write_state(tmp_path / "runs" / "b", 900)
    rows = import_runs(tmp_path / "runs", store, "imported", "headlines", lambda *_: None)["runs"]
    short, long = (row["run_id"] for row in rows)
    try:
        first, same, second = read_runs([short, rows[0]["registered"], f"runs:/{long}"], store)
        assert (first["name"], first["run_id"], same["run_id"]) == ("a", short, short)
        assert first["curves"]["loss"]["steps"] == [1, 2, 3]
        assert first["curves"]["loss"]["values"] == [1, 0.5, pytest.approx(1 / 3)]
        assert len(second["curves"]["loss"]["steps"]) <= MOST_POINTS
        assert (second["curves"]["loss"]["steps"][0], second["curves"]["loss"]["steps"][-1]) == (1, 900)
        with pytest.raises(RunNotFound, match="runs list"):
            read_runs(["0" * 32], store)
        with pytest.raises((RunNotFound, UsageError), match="run id"):
            read_runs(["nonsense"], store)
        check_drawings(tmp_path, compare([first, second], []))
    finally:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)


def test_every_run_is_listed_and_a_retrained_one_names_its_parent(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}"
    write_state(tmp_path / "runs" / "a", 3)
    (row,) = import_runs(tmp_path / "runs", store, "imported", "headlines", lambda *_: None)["runs"]
    try:
        with mlflow.start_run(
            run_name="again", tags={"tidegate.parent_run": row["registered"], "by": "x" * 900}
        ) as run:
            mlflow.log_param("seed", 1)
        with mlflow.start_run(run_name="orphan", tags={"tidegate.parent_run": "models:/gone/7"}) as orphan:
            pass
        listed = {one["name"]: one for one in all_runs(store)}
        assert list(listed) == ["orphan", "again", "a"]
        assert listed["a"]["registered"] == [row["registered"]]
        assert listed["a"]["metrics"]["loss"] == pytest.approx(1 / 3)
        first, again, alone = read_runs([row["run_id"], run.info.run_id, orphan.info.run_id], store)
        assert (again["parent"], alone["parent"]) == (row["run_id"], "")
        assert again["tags"]["by"] == "x" * 500
        assert first["registered"] == [row["registered"]]
        assert {"path": "checkpoint-3/model.safetensors", "size_bytes": 7} in first["artifacts"]
        assert first["experiment"] == "imported"
        assert first["ended_seconds"] >= first["started_seconds"]
    finally:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)


def check_drawings(folder: Path, comparison: dict[str, object]) -> None:
    """A picture that is one, and a page that loads nothing and keeps markup in names as text."""
    assert draw(comparison, folder / "a.png").read_bytes().startswith(b"\x89PNG")
    runs = comparison["runs"]
    assert isinstance(runs, list)
    runs[0]["name"] = "<script>alert(1)</script> $x_"
    page = draw(comparison, folder / "a.html").read_text()
    assert "<svg" in page
    assert "<script>" not in page
    assert 'src="' not in page


def test_a_long_curve_keeps_its_ends_and_its_extremes() -> None:
    values = [0.0] * 5000
    values[1234], values[4321] = 9.0, -9.0
    kept = thinned(values, 100)
    assert len(kept) <= 100
    assert {0, 1234, 4321, 4999} <= set(kept)
    assert thinned([1.0, 2.0], 100) == [0, 1]
    assert thinned([float("nan")] * 1000, 10) == [0, 999]
