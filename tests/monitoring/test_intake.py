"""The intake never waits, never grows past its bounds, loses nothing it took, and its barrier holds."""

import threading
import time

import numpy as np

from monitoring.intake import Intake
from monitoring.parcels import seal
from tidegate.preprocess import Encoded
from tidegate.records import Record


def record(text: str = "x") -> Record:
    row = Encoded({"input_ids": np.ones(1, np.int64)}, length=1, words=1, unknown=0, truncated=False)
    return Record("id", "m", 1, "v", text, "a", 0.9, False, (0.9, 0.1), row, None, 0.0)


def test_what_does_not_fit_is_refused_whole() -> None:
    intake = Intake(max_rows=3, max_chars=10)

    assert intake.put([record()] * 2)
    assert not intake.put([record()] * 2)
    assert intake.put([record()])
    assert len(intake.take(0, 0) or []) == 3
    assert not intake.put([record("long" * 3)])
    assert intake.put([record()] * 3), "taking makes room again"


def test_eight_threads_hammering_lose_and_double_nothing() -> None:
    intake = Intake(max_rows=10**6)
    taken: list[Record] = []

    def read() -> None:
        while (rows := intake.take(0, 0.1)) is not None:
            taken.extend(rows)
            intake.done(len(rows))

    reader = threading.Thread(target=read)
    reader.start()
    writers = [threading.Thread(target=lambda: [intake.put([record()] * 3) for _ in range(500)]) for _ in range(8)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert intake.wait_written(5)
    assert len(taken) == 8 * 500 * 3
    intake.close()
    reader.join()


def test_the_barrier_hurries_a_reader_that_gathers() -> None:
    intake = Intake()
    intake.put([record()])

    def read() -> None:
        intake.done(len(intake.take(60, 60) or []))

    reader = threading.Thread(target=read)
    reader.start()

    assert intake.wait_written(10)
    reader.join(10)
    assert not reader.is_alive()


def test_a_reader_that_gathers_has_enough_at_some_time() -> None:
    intake = Intake(enough=5)
    taken: list[int] = []
    reader = threading.Thread(target=lambda: taken.append(len(intake.take(60, 60) or [])))
    reader.start()
    for _ in range(5):
        intake.put([record()])
    reader.join(10)

    assert taken == [5]


def test_parcels_count_as_what_is_in_them_and_are_opened_in_order() -> None:
    intake = Intake(max_rows=4, max_chars=10)

    assert not intake.put(seal([record("long"), record("longer!")]))
    assert intake.put(seal([record("a"), record("b")]))
    assert intake.put([record("c")])
    assert not intake.put(seal([record("d"), record("e")]))
    assert [each.text for each in intake.take(0, 0) or []] == ["a", "b", "c"]


def test_the_barrier_gives_up_in_time() -> None:
    intake = Intake()
    intake.put([record()])

    assert not intake.wait_written(0.01)


def test_closing_refuses_what_comes_and_ends_the_reader_after_the_rest() -> None:
    intake = Intake()
    intake.put([record()])
    intake.close()

    assert not intake.put([record()])
    assert len(intake.take(0, 0) or []) == 1
    assert intake.take(0, 0) is None


def test_an_idle_reader_returns_empty_handed() -> None:
    before = time.monotonic()
    assert Intake().take(60, 0.001) == []
    assert time.monotonic() - before < 30
