"""Log folders that torch's SummaryWriter wrote, whole, cut and damaged."""

from pathlib import Path

import pytest

from exporters.found_runs import FoundRun
from exporters.tensorboard_runs import find
from tests.exporters.foreign_runs import tensorboard_run


def only(root: Path) -> FoundRun:
    (place,) = find(root)
    return place.read()


def values(found: FoundRun, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in found.points if point.metric == metric]


def events(run: Path) -> Path:
    return next(run.glob("events.out.tfevents.*"))


def test_scalars_tensors_texts_and_hparams_of_a_run_are_found(tmp_path: Path) -> None:
    found = only(tensorboard_run(tmp_path / "logs" / "first").parent)
    assert (found.name, found.kind, found.status, found.faults) == ("first", "tensorboard", "FINISHED", [])
    assert [step for step, _ in values(found, "loss")] == [0, 1, 2, 3, 4]
    assert values(found, "loss")[1][1] == 0.5
    assert values(found, "validation/accuracy")[2][1] == pytest.approx(0.2)
    assert values(found, "best") == [(0, 0.5)]  # of the folder that add_hparams made, which is no run of its own
    assert found.params == {"learning_rate": "0.01", "optimizer": "adam", "batch": "32"}
    assert found.tags == {"text.notes": "warm-up of **10** steps"}
    assert found.started_seconds <= min(point.seconds for point in found.points)
    assert {point.metric for point in found.points} == {"loss", "validation/accuracy", "best"}


def test_folders_below_each_other_are_runs_of_their_own(tmp_path: Path) -> None:
    for name in ("sweep/a", "sweep/b", "sweep"):
        tensorboard_run(tmp_path / name, hparams=False)
    found = [place.read() for place in find(tmp_path)]
    assert sorted(run.name for run in found) == ["sweep", "sweep/a", "sweep/b"]
    assert len({run.identity for run in found}) == 3


def test_a_run_that_was_moved_or_has_grown_is_the_same_run(tmp_path: Path) -> None:
    run = tensorboard_run(tmp_path / "a", hparams=False)
    before = only(tmp_path)
    tensorboard_run(run, 3, first=5, hparams=False)  # a restart: another file in the same folder
    run.rename(tmp_path / "b")
    after = only(tmp_path)
    assert after.identity == before.identity
    assert after.digest() != before.digest()
    assert [step for step, _ in values(after, "loss")] == list(range(8))


@pytest.mark.parametrize("cut", [-8, 0, 6])
def test_a_file_that_is_cut_gives_the_events_before_and_says_so(tmp_path: Path, cut: int) -> None:
    file = events(tensorboard_run(tmp_path / "a", 50, hparams=False))
    whole = len(values(only(tmp_path), "loss"))
    log = file.read_bytes()
    file.write_bytes(log[: log.index(b"loss", len(log) // 2) + cut])  # inside a record
    found = only(tmp_path)
    assert 0 < len(values(found, "loss")) < whole
    assert "is cut at byte" in found.faults[0]


def test_a_record_whose_bytes_changed_is_left_out_and_the_rest_is_kept(tmp_path: Path) -> None:
    file = events(tensorboard_run(tmp_path / "a", hparams=False))
    log = bytearray(file.read_bytes())
    log[log.index(b"validation/accuracy")] ^= 0xFF
    file.write_bytes(log)
    found = only(tmp_path)
    assert found.faults == [f"{file.name}: 1 damaged records were left out"]
    assert len(values(found, "loss")) == 5
    assert len(values(found, "validation/accuracy")) < 5


def test_a_broken_frame_ends_the_file(tmp_path: Path) -> None:
    file = events(tensorboard_run(tmp_path / "a", hparams=False))
    log = bytearray(file.read_bytes())
    log[0] ^= 0xFF
    file.write_bytes(log)
    found = only(tmp_path)
    assert "nothing behind it can be read" in found.faults[0]
    assert (found.points, found.identity) == ([], "")
