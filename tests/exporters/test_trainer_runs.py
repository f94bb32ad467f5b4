"""States of the Trainer in the form that transformers writes; what a real Trainer left is in test_run_import."""

import json
import os
from pathlib import Path
from typing import Any

from exporters.found_runs import FoundRun
from exporters.trainer_runs import find


def write_state(run: Path, step: int, best: str | None = None, seconds: float | None = None) -> Path:
    """checkpoint-STEP with a history up to that step, and a folder that could be exported."""
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    history: list[dict[str, Any]] = [{"step": at, "loss": 1 / at, "learning_rate": 0.1} for at in range(1, step + 1)]
    state = {"global_step": step, "max_steps": 100, "log_history": history, "best_model_checkpoint": best}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    if seconds:
        os.utime(folder / "trainer_state.json", (seconds, seconds))
    return folder


def only(root: Path) -> FoundRun:
    (place,) = find(root)
    return place.read()


def losses(found: FoundRun) -> list[int]:
    return [point.step for point in found.points if point.metric == "loss"]


def test_the_checkpoints_of_a_run_are_one_run_with_the_longest_history(tmp_path: Path) -> None:
    write_state(tmp_path / "out", 2, seconds=1000)
    write_state(tmp_path / "out", 10, seconds=2000)
    found = only(tmp_path)
    assert (found.name, losses(found)) == ("out", list(range(1, 11)))
    assert [point.seconds for point in found.points if point.metric == "loss"][1:3] == [1000, 2000]
    assert found.params == {"max_steps": "100", "model_type": "bert"}
    assert found.checkpoint == tmp_path / "out" / "checkpoint-10"


def test_the_best_checkpoint_is_the_one_to_export_wherever_it_was_written(tmp_path: Path) -> None:
    write_state(tmp_path / "out", 2)
    write_state(tmp_path / "out", 4, best="/elsewhere/out/checkpoint-2")
    assert only(tmp_path).checkpoint == tmp_path / "out" / "checkpoint-2"


def test_without_weights_there_is_no_checkpoint_to_export(tmp_path: Path) -> None:
    (write_state(tmp_path / "out", 2) / "model.safetensors").unlink()
    found = only(tmp_path)
    assert found.checkpoint is None
    assert losses(found) == [1, 2]


def test_a_half_written_state_is_named_and_the_one_before_is_taken(tmp_path: Path) -> None:
    write_state(tmp_path / "out", 2)
    last = write_state(tmp_path / "out", 4) / "trainer_state.json"
    last.write_text(last.read_text()[:50])
    found = only(tmp_path)
    assert losses(found) == [1, 2]
    assert "checkpoint-4/trainer_state.json cannot be read" in found.faults[0]


def test_runs_that_begin_alike_in_folders_of_their_own_are_two(tmp_path: Path) -> None:
    write_state(tmp_path / "a" / "out", 2)
    write_state(tmp_path / "b" / "out", 2)
    one, two = (place.read() for place in find(tmp_path))
    assert (one.name, two.name) == ("a/out", "b/out")
    assert one.identity != two.identity


def test_a_checkpoint_may_be_named_itself(tmp_path: Path) -> None:
    found = only(write_state(tmp_path / "out", 2))
    assert losses(found) == [1, 2]
    assert found.checkpoint == tmp_path / "out" / "checkpoint-2"
