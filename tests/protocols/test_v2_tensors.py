"""Runs on callers' own tensors: bounded, in order, within the deadline, on cores that come back; and tensors' forms."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.statistics import Statistics
from serving.tensor_runs import MOST_WAITING, TensorRuns
from serving.v2 import tensors
from serving.v2.tensors import DTYPES, Sent, Tensor
from tests import bundles
from tests.serving.apps import Running, on_gateway
from tidegate.bundle_store import BundleStore
from tidegate.devices import available_providers, choose
from tidegate.engine import Engine
from tidegate.errors import (
    DeadlinePassed,
    InferenceFailed,
    InvalidInput,
    MalformedRequest,
    NotReady,
    Overloaded,
    PayloadTooLarge,
)
from tidegate.permits import Permits
from tidegate.preprocess import Feeds

FAR = 30.0


class Held(Engine):
    """An engine whose runs wait until they are let go; keeps the rows of each."""

    def prepare(self) -> None:
        self.gate = threading.Event()
        self.runs: list[int] = []
        self.error: Exception | None = None

    def run_tensors(self, feeds: Feeds) -> NDArray[np.float32]:
        self.runs.append(len(next(iter(feeds.values()))))
        if not self.gate.wait(20):
            raise TimeoutError
        if self.error is not None:
            raise self.error
        return super().run_tensors(feeds)


def held(home: Path) -> Held:
    bundle = bundles.wordpieces(BundleStore(home / "bundles"))
    engine = Held.open(bundle, choose("cpu", available_providers()), threads=1)
    engine.prepare()
    return engine


def feeds(rows: int, tokens: int = 2) -> Feeds:
    ids = np.full((rows, tokens), 9, dtype=np.int64)
    ids[:, 0] = np.arange(rows) % 13 + 4
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def soon(seconds: float = FAR) -> float:
    return time.monotonic() + seconds


async def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until, "it never came to be"
        await asyncio.sleep(0.002)


def test_rows_are_run_in_pieces_that_a_batch_of_texts_could_have(tmp_path: Path) -> None:
    async def main() -> None:
        engine = held(tmp_path)
        engine.gate.set()
        statistics = Statistics()
        runs = TensorRuns(engine, Permits(1), statistics, 500)
        sent = feeds(150, 30)
        output = await runs.run(sent, soon())
        assert engine.runs == [64, 64, 22]
        assert np.array_equal(output, np.concatenate([engine.run_tensors(feeds(150, 30))]))
        assert (statistics.rows, statistics.infer.count) == (150, 1)
        assert [(rows, span.count) for rows, span in statistics.by_rows()] == [(22, 1), (64, 2)]
        engine.runs.clear()
        await runs.run(feeds(5, 1_000), soon())
        assert engine.runs == [2, 2, 1]  # 2048 values at most

    asyncio.run(main())


def test_too_many_rows_or_too_long_ones_are_refused_before_anything_runs(tmp_path: Path) -> None:
    async def main() -> None:
        engine = held(tmp_path)
        runs = TensorRuns(engine, Permits(1), Statistics(), 10)
        for sent, error in (
            (feeds(11), PayloadTooLarge),
            (feeds(1, 2_049), PayloadTooLarge),
            (feeds(2) | {"attention_mask": np.ones((3, 2), dtype=np.int64)}, InvalidInput),
        ):
            with pytest.raises(error):
                await runs.run(sent, soon())
        assert engine.runs == []

    asyncio.run(main())


def test_no_more_wait_than_are_allowed_and_the_others_are_told_when_to_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        engine = held(tmp_path)
        runs = TensorRuns(engine, Permits(1), Statistics(), 10)
        waiting = [asyncio.create_task(runs.run(feeds(1), soon())) for _ in range(MOST_WAITING)]
        await eventually(lambda: len(engine.runs) == 1)
        with pytest.raises(Overloaded) as refused:
            await runs.run(feeds(1), soon())
        assert refused.value.retry_after_seconds > 0
        assert len(engine.runs) == 1  # one at a time, as the plan has it
        engine.gate.set()
        assert all(output.shape == (1, 3) for output in await asyncio.gather(*waiting))
        await runs.run(feeds(1), soon())

    asyncio.run(main())


def test_a_deadline_that_passes_is_told_and_what_waited_is_never_run(tmp_path: Path) -> None:
    async def main() -> None:
        engine, permits = held(tmp_path), Permits(1)
        runs = TensorRuns(engine, permits, Statistics(), 10)
        first = asyncio.create_task(runs.run(feeds(1), soon()))
        await eventually(lambda: len(engine.runs) == 1)
        with pytest.raises(DeadlinePassed):
            await runs.run(feeds(2), soon(0.05))
        with pytest.raises(DeadlinePassed):
            await runs.run(feeds(2), soon(-1))
        engine.gate.set()
        await first
        assert (await runs.run(feeds(3), soon())).shape == (3, 3)
        assert engine.runs == [1, 3]

    asyncio.run(main())


def test_who_leaves_gives_the_place_back_and_the_cores_are_free_again(tmp_path: Path) -> None:
    async def main() -> None:
        engine, permits = held(tmp_path), Permits(1)
        runs = TensorRuns(engine, permits, Statistics(), 100)
        leaver = asyncio.create_task(runs.run(feeds(100), soon()))
        await eventually(lambda: len(engine.runs) == 1)
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        engine.gate.set()
        await asyncio.wait_for(asyncio.to_thread(permits.acquire, 1), 10)
        permits.release(1)
        assert (await runs.run(feeds(1), soon())).shape == (1, 3)
        assert engine.runs == [64, 1]  # its second piece was never run

    asyncio.run(main())


def test_a_run_that_hangs_is_seen_and_given_up_with_its_cores(tmp_path: Path) -> None:
    async def main() -> None:
        engine, permits = held(tmp_path), Permits(1)
        runs = TensorRuns(engine, permits, Statistics(), 10)
        assert runs.longest_run_seconds == 0
        calls = [asyncio.create_task(runs.run(feeds(1), soon())) for _ in range(3)]
        await eventually(lambda: runs.longest_run_seconds > 0.02)
        runs.abandon()
        for call in calls:
            with pytest.raises(NotReady, match="hung"):
                await call
        await asyncio.wait_for(asyncio.to_thread(permits.acquire, 1), 10)
        assert runs.longest_run_seconds == 0
        engine.gate.set()
        await asyncio.sleep(0.05)
        await asyncio.to_thread(permits.release, 1)  # what came back late did not give them back twice
        assert permits._free == 1

    asyncio.run(main())


def test_closing_finishes_what_was_taken_and_takes_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        engine = held(tmp_path)
        runs = TensorRuns(engine, Permits(1), Statistics(), 10)
        taken = asyncio.create_task(runs.run(feeds(1), soon()))
        await eventually(lambda: len(engine.runs) == 1)
        closing = asyncio.create_task(runs.close(10))
        await asyncio.sleep(0)
        with pytest.raises(NotReady, match="shutting down"):
            await runs.run(feeds(1), soon())
        engine.gate.set()
        assert (await taken).shape == (1, 3)
        await closing

    asyncio.run(main())


def test_closing_does_not_wait_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        engine = held(tmp_path)
        runs = TensorRuns(engine, Permits(1), Statistics(), 10)
        taken = asyncio.create_task(runs.run(feeds(1), soon()))
        await eventually(lambda: len(engine.runs) == 1)
        await runs.close(0.01)
        with pytest.raises(NotReady, match="shut down"):
            await taken
        engine.gate.set()
        await asyncio.sleep(0.05)

    asyncio.run(main())


def test_what_the_graph_refuses_is_the_callers_fault_without_its_words(tmp_path: Path) -> None:
    async def main() -> None:
        engine = held(tmp_path)
        engine.gate.set()
        engine.error = InferenceFailed("/a/path/of/ours failed")
        runs = TensorRuns(engine, Permits(1), Statistics(), 10)
        with pytest.raises(InvalidInput) as told:
            await runs.run(feeds(1), soon())
        assert "ours" not in str(told.value)
        engine.error = RuntimeError("a fault of ours")
        with pytest.raises(RuntimeError):
            await runs.run(feeds(1), soon())
        engine.error = None
        assert (await runs.run(feeds(1), soon())).shape == (1, 3)

    asyncio.run(main())


def test_a_model_with_a_hanging_tensor_run_is_opened_anew(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        repository = g.app.state.gateway.repository
        served = repository.get("wordpieces")
        engine = served.engine
        engine.__class__ = Held
        engine.prepare()
        with pytest.raises(NotReady, match="hung"):
            await served.run_tensors(feeds(1))
        await eventually(lambda: repository.get("wordpieces") is not served)
        assert (await repository.get("wordpieces").run_tensors(feeds(1))).shape == (1, 3)
        engine.gate.set()

    on_gateway(tmp_path, scenario, run_seconds=0.2)


@pytest.mark.parametrize("datatype", DTYPES)
def test_an_array_is_the_same_after_it_was_packed_and_is_no_copy(datatype: str) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(DTYPES[datatype])
    body = tensors.packed(Tensor("x", datatype, (2, 3), values))
    found = tensors.array(Sent("x", datatype, (2, 3), memoryview(body)))
    assert np.array_equal(found, values)
    assert found.dtype == DTYPES[datatype]
    assert np.shares_memory(found, np.frombuffer(body, np.uint8))


def test_an_array_at_an_odd_address_is_moved_to_an_even_one() -> None:
    body = b"{" + np.arange(4, dtype=np.int64).tobytes()
    found = tensors.array(Sent("x", "INT64", (4,), memoryview(body)[1:]))
    assert found.tolist() == [0, 1, 2, 3]
    assert found.flags.aligned


@pytest.mark.parametrize("datatype", DTYPES)
def test_json_values_become_an_array_of_their_datatype(datatype: str) -> None:
    values: list[Any] = [[True, False]] if datatype == "BOOL" else [[1, 0]]
    assert tensors.array(Sent("x", datatype, (1, 2), values)).dtype == DTYPES[datatype]


@pytest.mark.parametrize(
    ("datatype", "values"),
    [("INT8", [128]), ("UINT8", [-1]), ("INT32", [2**31]), ("INT64", [2**64]), ("FP16", [1e6]), ("FP32", [1e300])],
)
def test_numbers_beyond_their_datatype_are_refused(datatype: str, values: list[Any]) -> None:
    with pytest.raises(MalformedRequest):
        tensors.array(Sent("x", datatype, (1,), values))


def test_a_byte_that_is_no_truth_is_refused() -> None:
    with pytest.raises(MalformedRequest, match="neither 0 nor 1"):
        tensors.array(Sent("x", "BOOL", (2,), memoryview(b"\x01\x02")))


def test_texts_are_the_same_after_they_were_packed() -> None:
    texts = ["profit", "", "größer", "😀"]
    body = tensors.packed(Tensor("x", "BYTES", (4,), texts))
    assert tensors.texts(Sent("x", "BYTES", (2, 2), memoryview(body))) == texts
