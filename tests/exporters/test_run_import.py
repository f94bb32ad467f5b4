"""Imports into a real MLflow store: once, again, after growth, after a kill; and an export of what was imported."""

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from exporters.run_import import import_runs
from tests.exporters.foreign_runs import tensorboard_run, trainer_run
from tests.exporters.models import EVALUATION, write_rows
from tests.exporters.test_trainer_runs import write_state
from tidegate.cli.children import ANSWER_FILE
from tidegate.cli.export import export_run
from tidegate.errors import TidegateError, UsageError
from tidegate.home import tracking_uri
from tidegate.settings import Settings

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:Starting with pandas version 4.0 all arguments"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield tracking_uri(tmp_path / "home")
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


def bring(root: Path, store: str, register: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = import_runs(root, store, "imported", register, lambda *_: None)["runs"]
    return rows


def history(run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in mlflow.MlflowClient().get_metric_history(run_id, metric)]


def test_a_second_import_adds_nothing_and_growth_adds_what_is_new(tmp_path: Path, store: str) -> None:
    run = tensorboard_run(tmp_path / "logs" / "a")
    (first,) = bring(tmp_path / "logs", store)
    assert (first["result"], first["points"], first["params"], first["metrics"]) == ("added", 11, 3, 3)
    (again,) = bring(tmp_path / "logs", store)
    assert (again["result"], again["points"], again["run_id"]) == ("unchanged", 0, first["run_id"])
    tensorboard_run(run, 3, first=5, hparams=False)
    (grown,) = bring(tmp_path / "logs", store)
    assert (grown["result"], grown["points"], grown["run_id"]) == ("updated", 6, first["run_id"])
    assert [step for step, _ in history(first["run_id"], "loss")] == list(range(8))
    kept = mlflow.get_run(first["run_id"])
    assert kept.data.params == {"learning_rate": "0.01", "optimizer": "adam", "batch": "32"}
    assert kept.data.tags["text.notes"] == "warm-up of **10** steps"
    assert kept.info.run_name == "a"
    assert kept.info.start_time <= kept.info.end_time


def test_values_that_are_no_numbers_or_have_names_mlflow_refuses_are_kept_once(tmp_path: Path, store: str) -> None:
    state = write_state(tmp_path / "out", 1) / "trainer_state.json"
    entry = {
        "step": 1,
        "a@b": 1.0,
        "a#b": 2.0,
        "/up/../x": 3.0,
        "bad": math.nan,
        "far": math.inf,
        "flat": 1,
        "text": "x",
    }
    state.write_text(json.dumps({"global_step": 1, "log_history": [entry], "trial_params": {"long": "x" * 7000}}))
    (row,) = bring(tmp_path, store)
    assert set(mlflow.get_run(row["run_id"]).data.metrics) == {"a_b", "a_b_2", "x", "bad", "far", "flat"}
    assert "cut to 6000" in row["faults"][0]
    write_state(tmp_path / "out", 2)
    (grown,) = bring(tmp_path, store)
    assert grown["result"] in {"added", "updated"}
    assert (len(history(row["run_id"], "bad")), len(history(row["run_id"], "far"))) == (1, 1)


def test_a_param_that_changed_keeps_its_first_value_and_is_named(tmp_path: Path, store: str) -> None:
    write_state(tmp_path / "out", 2)
    (row,) = bring(tmp_path, store)
    later = write_state(tmp_path / "out", 4) / "trainer_state.json"
    later.write_text(later.read_text().replace('"max_steps": 100', '"max_steps": 200'))
    (grown,) = bring(tmp_path, store)
    assert grown["run_id"] == row["run_id"]
    assert grown["faults"] == ["param max_steps was 100 and is 200 now; MLflow keeps the first"]


def test_what_cannot_be_read_is_named_and_the_rest_is_imported(tmp_path: Path, store: str) -> None:
    write_state(tmp_path / "good", 2)
    (write_state(tmp_path / "bad", 2) / "trainer_state.json").write_text("{")
    rows = {row["name"]: row for row in bring(tmp_path, store)}
    assert (rows["bad"]["result"], rows["bad"]["run_id"]) == ("unreadable", None)
    assert "cannot be read" in rows["bad"]["faults"][0]
    assert rows["good"]["result"] == "added"


def test_no_folder_and_no_run_in_it_are_usage_errors(tmp_path: Path, store: str) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        bring(tmp_path / "none", store)
    with pytest.raises(UsageError, match=r"holds no run.*trainer_state\.json"):
        bring(tmp_path, store)
    assert not (tmp_path / "home").exists()


def test_a_store_that_refuses_is_named(tmp_path: Path) -> None:
    write_state(tmp_path / "out", 2)
    with pytest.raises(TidegateError, match="the import stopped"):
        bring(tmp_path, "http://127.0.0.1:9")


@pytest.mark.slow
def test_an_imported_checkpoint_is_registered_once_and_can_be_exported(tmp_path: Path, store: str) -> None:
    trainer_run(tmp_path / "runs" / "tiny")
    (row,) = bring(tmp_path / "runs", store, "headlines")
    assert (row["model"], row["registered"]) == (f"runs:/{row['run_id']}/checkpoint-6", "models:/headlines/1")
    (again,) = bring(tmp_path / "runs", store, "headlines")
    assert (again["result"], again["registered"]) == ("unchanged", "models:/headlines/1")
    logged = {entry.path for entry in mlflow.MlflowClient().list_artifacts(row["run_id"], "checkpoint-6")}
    assert "checkpoint-6/model.safetensors" in logged
    assert not [path for path in logged if path.endswith((".pt", ".pth", ".bin"))]
    settings = Settings(home=tmp_path / "home", export_python=sys.executable)
    data = write_rows(tmp_path / "rows.csv", EVALUATION)
    for run in (row["model"], row["registered"]):
        bundle = export_run(settings, run, "m", data=data, max_accuracy_drop=100)
        assert bundle.manifest.lineage.run_id == row["run_id"]
        assert bundle.manifest.lineage.metrics["eval_loss"] > 0
    trainer_run(tmp_path / "runs" / "tiny", 8, resume=True)
    (grown,) = bring(tmp_path / "runs", store, "headlines")
    assert (grown["run_id"], grown["registered"]) == (row["run_id"], "models:/headlines/2")
    assert [step for step, _ in history(row["run_id"], "loss")] == list(range(1, 9))


@pytest.mark.slow
def test_an_import_that_was_killed_is_completed_by_the_next_and_nothing_is_doubled(tmp_path: Path, store: str) -> None:
    steps = 12_000
    state = write_state(tmp_path / "out", 1) / "trainer_state.json"
    entries = [{"step": step, "loss": float(step % 3)} for step in range(1, steps + 1)]
    state.write_text(json.dumps({"global_step": steps, "log_history": entries}))
    request = tmp_path / "request.json"
    arguments = {
        "home": str(tmp_path / "home"),
        "path": str(tmp_path / "out"),
        "experiment": "imported",
        "register": "",
    }
    request.write_text(json.dumps(arguments))
    command = [sys.executable, "-m", "tidegate.cli.export_child", "import_runs", str(request)]
    environment = {name: value for name, value in os.environ.items() if name != ANSWER_FILE}
    database = tmp_path / "home" / "mlflow" / "mlflow.db"
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        while not 0 < written(database) < steps:
            assert child.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    assert 0 < written(database) < steps
    (row,) = bring(tmp_path / "out", store)
    assert row["result"] == "updated"
    assert 0 < row["points"] < steps
    assert Counter(history(row["run_id"], "loss")) == Counter((step, float(step % 3)) for step in range(1, steps + 1))
    assert bring(tmp_path / "out", store)[0]["result"] == "unchanged"
    assert len(mlflow.search_runs(experiment_names=["imported"], output_format="list")) == 1


def written(database: Path) -> int:
    """Values of metrics in MLflow's own table."""
    if not database.is_file():
        return 0
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM metrics").fetchone()[0])
        except sqlite3.OperationalError:  # before its tables are made
            return 0
