"""Every row is answered once and in order; nobody harms anybody; nothing is left behind."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from serving.batcher import Batcher, Inferred
from serving.caller import ANYONE
from serving.metrics import ServingMetrics
from tidegate.engine import Inference
from tidegate.errors import DeadlinePassed, InferenceFailed, NotReady, Overloaded
from tidegate.permits import Permits
from tidegate.plan import Plan
from tidegate.preprocess import Encoded

POISON = -1.0
BUG = -2.0
UNREADABLE = -3.0


def row(value: float, length: int = 1) -> str:
    """A text that the model below encodes as `length` tokens of this value."""
    return f"{value!r} {length}"


def soon() -> float:
    return time.monotonic() + 30


@dataclass
class Model:
    """Answers each row with its own value; can be held busy, and fails on batches that hold poison."""

    plan: Plan = field(default_factory=lambda: Plan(variant="toy"))
    batches: list[list[float]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)
    busy: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.free.set()

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        return [self._encode(float(value), int(length)) for value, length in (text.split() for text in texts)]

    def _encode(self, value: float, length: int) -> Encoded:
        if value == UNREADABLE:
            raise ValueError("no such token")
        return Encoded({"x": np.full(length, value)}, length=length, words=1, unknown=0, truncated=False)

    def infer(self, rows: Sequence[Encoded]) -> Inference:
        values = [float(r.arrays["x"][0]) for r in rows]
        self.batches.append(values)
        self.tokens.append(len(rows) * max(r.length for r in rows))
        self.busy.set()
        if not self.free.wait(20):
            raise TimeoutError
        if POISON in values:
            raise InferenceFailed("poison")
        if BUG in values:
            raise KeyError("a bug")
        return Inference(np.array([[value, 1.0] for value in values]), np.array(values, dtype=np.float32)[:, None])


@dataclass
class Bench:
    """A batcher over a model, and ways to put work on it."""

    batcher: Batcher
    model: Model
    registry: CollectorRegistry

    async def hold(self) -> "asyncio.Task[Inferred]":
        """Keep the model busy with one row until `model.free` is set."""
        self.model.free.clear()
        self.model.busy.clear()
        task = asyncio.create_task(self.batcher.submit([row(0.5)], soon()))
        while not self.model.busy.is_set():
            await asyncio.sleep(0.001)
        return task

    async def queue(self, *rows: str) -> "asyncio.Task[Inferred]":
        """Submit one request, and return when it waits in the backlog."""
        task = asyncio.create_task(self.batcher.submit(rows, soon()))
        await asyncio.sleep(0)
        while not all(ticket.encoded_at for ticket in self.batcher._tickets):
            await asyncio.sleep(0.001)
        return task

    def waiting(self) -> float | None:
        return self.registry.get_sample_value("tidegate_queued_texts", {"model": "m"})


@asynccontextmanager
async def bench(model: Model, *, max_queued: int = 4_096, **plan: float) -> AsyncIterator[Bench]:
    registry = CollectorRegistry()
    model.plan = model.plan.model_copy(update=plan)
    permits = Permits(model.plan.runs)
    batcher = Batcher(model, ServingMetrics(registry).of("m"), permits, max_queued=max_queued)
    yield Bench(batcher, model, registry)
    model.free.set()
    await batcher.close(10)
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert registry.get_sample_value("tidegate_queued_texts", {"model": "m"}) == 0


def run(scenario: Callable[[Bench], Coroutine[Any, Any, None]], **limits: Any) -> Model:
    """Run a scenario; afterwards no task and no waiting row may be left."""
    model = Model()

    async def main() -> None:
        async with bench(model, **limits) as b:
            await scenario(b)

    asyncio.run(main())
    return model


requests = st.lists(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(1, 40)), min_size=1, max_size=12), min_size=1, max_size=8
)


@given(work=requests, max_rows=st.integers(1, 16), max_tokens=st.integers(1, 120), runs=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_every_row_is_answered_once_in_order_within_the_budgets(
    work: list[list[tuple[float, int]]], max_rows: int, max_tokens: int, runs: int
) -> None:
    model = Model()

    async def main() -> list[Inferred]:
        async with bench(model, runs=runs, max_batch_rows=max_rows, max_batch_tokens=max_tokens) as b:
            submitted = [b.batcher.submit([row(*item) for item in request], soon()) for request in work]
            return await asyncio.gather(*submitted)

    for request, inferred in zip(work, asyncio.run(main()), strict=True):
        assert [answer[0] for answer in inferred.probabilities] == [value for value, _ in request]
        assert [float(e[0]) for e in inferred.embeddings if e is not None] == [np.float32(v) for v, _ in request]
        assert inferred.queue_seconds >= 0
        assert inferred.infer_seconds > 0
    assert sorted(value for batch in model.batches for value in batch) == sorted(v for r in work for v, _ in r)
    for values, tokens in zip(model.batches, model.tokens, strict=True):
        assert len(values) <= max_rows
        assert tokens <= max_tokens or len(values) == 1


def test_an_idle_model_runs_a_row_at_once() -> None:
    async def scenario(b: Bench) -> None:
        assert (await b.batcher.submit([row(3.0)], soon())).probabilities == [[3.0, 1.0]]

    assert run(scenario).batches == [[3.0]]


def test_rows_gather_while_the_model_is_busy_and_leave_together() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        others = [await b.queue(row(float(n))) for n in range(1, 6)]
        b.model.free.set()
        await asyncio.gather(first, *others)

    assert [sorted(batch) for batch in run(scenario).batches] == [[0.5], [1.0, 2.0, 3.0, 4.0, 5.0]]


def test_a_large_request_does_not_block_small_ones_behind_it() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        large = await b.queue(*(row(float(n), 50) for n in range(100)))
        small = await b.queue(row(999.0, 1))
        b.model.free.set()
        await asyncio.gather(first, large, small)

    batches = run(scenario, max_batch_rows=4, max_batch_tokens=200).batches
    assert [999.0] in batches[:3]


def test_a_large_request_is_not_starved_by_a_stream_of_small_ones() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        large = await b.queue(*(row(float(n)) for n in range(20)))
        smalls = [await b.queue(row(100.0)) for _ in range(3)]
        b.model.free.set()
        answered = 0
        while not large.done() and answered < 1_000:  # three small requests are waiting at any time
            done, _ = await asyncio.wait(smalls, return_when=asyncio.FIRST_COMPLETED)
            answered += len(done)
            smalls = [task for task in smalls if task not in done] + [await b.queue(row(100.0)) for _ in done]
        await asyncio.gather(first, large, *smalls)
        # An equal share for each of four requests: about three small rows for each of its twenty.
        assert answered <= 4 * 20

    run(scenario, max_batch_rows=1)


def test_a_poisoned_row_fails_alone() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        good = [await b.queue(row(1.0)), await b.queue(row(2.0), row(3.0))]
        bad, buggy = await b.queue(row(POISON)), await b.queue(row(BUG))
        b.model.free.set()
        await first
        assert [(await task).probabilities[0][0] for task in good] == [1.0, 2.0]
        with pytest.raises(InferenceFailed, match="poison"):
            await bad
        with pytest.raises(InferenceFailed, match="the engine raised KeyError"):
            await buggy
        assert (await b.batcher.submit([row(7.0)], soon())).probabilities == [[7.0, 1.0]]

    run(scenario)


def test_a_text_that_cannot_be_tokenized_fails_alone() -> None:
    async def scenario(b: Bench) -> None:
        work = (b.batcher.submit([row(value)], soon()) for value in (1.0, UNREADABLE, 2.0))
        first, bad, second = await asyncio.gather(*work, return_exceptions=True)
        assert isinstance(first, Inferred)
        assert isinstance(second, Inferred)
        assert isinstance(bad, InferenceFailed)
        assert "the tokenizer raised ValueError" in str(bad)

    run(scenario)


def test_a_request_of_many_long_texts_is_tokenized_in_pieces_and_answered_in_order() -> None:
    padding = " " * 4_000  # three such texts fill a piece

    async def scenario(b: Bench) -> None:
        texts = [f"{float(n)!r} 1{padding}" for n in range(20)]
        inferred = await b.batcher.submit(texts, soon())
        assert [answer[0] for answer in inferred.probabilities] == [float(n) for n in range(20)]
        assert [int(r.arrays["x"][0]) for r in inferred.rows] == list(range(20))

    run(scenario)


def test_two_free_runners_share_what_waits() -> None:
    async def scenario(b: Bench) -> None:
        await b.batcher.submit([row(float(n), 10) for n in range(8)], soon())

    assert len(run(scenario, runs=2).batches[0]) == 4


def test_an_engine_that_loses_rows_fails_them_instead_of_mixing_them_up() -> None:
    class Forgetful(Model):
        def infer(self, rows: Sequence[Encoded]) -> Inference:
            probabilities, embedding = super().infer(rows)
            return Inference(probabilities[1:], embedding)

    async def main() -> None:
        async with bench(Forgetful()) as b:
            with pytest.raises(InferenceFailed, match="1 rows went in and 0 came out"):
                await b.batcher.submit([row(1.0), row(2.0)], soon())

    asyncio.run(main())


def test_a_caller_that_leaves_frees_its_places_at_once_and_its_rows_are_never_run() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        leaving = await b.queue(*(row(float(n)) for n in range(50)))
        staying = await b.queue(row(77.0))
        leaving.cancel()
        await asyncio.wait([leaving])
        await asyncio.sleep(0)
        assert b.waiting() == 1
        b.model.free.set()
        await asyncio.gather(first, staying)

    assert run(scenario).batches == [[0.5], [77.0]]


def test_a_caller_that_leaves_while_its_row_runs_harms_no_batch_mate() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        leaving, staying = await b.queue(row(1.0)), await b.queue(row(2.0))
        b.model.busy.clear()
        b.model.free.set()
        await first
        while not b.model.busy.is_set():
            await asyncio.sleep(0.001)
        leaving.cancel()
        assert (await staying).probabilities == [[2.0, 1.0]]

    run(scenario)


def test_callers_that_keep_leaving_do_not_fill_the_queue() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        for _ in range(100):
            leaving = await b.queue(row(1.0), row(2.0))
            leaving.cancel()
            await asyncio.wait([leaving])
            await asyncio.sleep(0)
        assert b.batcher.waiting == 0
        staying = await b.queue(*(row(9.0) for _ in range(10)))
        b.model.free.set()
        await asyncio.gather(first, staying)

    assert run(scenario, max_queued=10).batches[1:] == [[9.0] * 10]


def test_a_deadline_is_honoured_before_work_is_done() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        with pytest.raises(DeadlinePassed, match="deadline passed"):
            await b.batcher.submit([row(9.0)], time.monotonic() + 0.01)
        assert b.waiting() == 0
        b.model.free.set()
        await first

    assert run(scenario).batches == [[0.5]]


def test_a_deadline_that_has_already_passed_costs_no_run() -> None:
    async def scenario(b: Bench) -> None:
        with pytest.raises(DeadlinePassed):
            await b.batcher.submit([row(9.0)], time.monotonic() - 1)

    assert run(scenario).batches == []


def test_more_than_may_wait_is_refused_with_a_time_to_come_back() -> None:
    async def scenario(b: Bench) -> None:
        await b.batcher.submit([row(1.0)], soon())  # now the cost of a row is known
        first = await b.hold()
        waiting = await b.queue(*(row(1.0) for _ in range(6)))
        with pytest.raises(Overloaded, match="6 texts are waiting and 10 may") as refusal:
            await b.batcher.submit([row(2.0) for _ in range(5)], soon())
        assert refusal.value.retry_after_seconds == pytest.approx(b.batcher._admission.drain_seconds)
        fits = await b.queue(*(row(3.0) for _ in range(4)))
        b.model.free.set()
        await asyncio.gather(first, waiting, fits)

    run(scenario, max_queued=10)


def test_closing_finishes_what_waits_and_refuses_what_comes() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        waiting = await b.queue(row(1.0), row(2.0))
        closing = asyncio.create_task(b.batcher.close(10))
        await asyncio.sleep(0.01)
        with pytest.raises(NotReady, match="shutting down"):
            await b.batcher.submit([row(3.0)], soon())
        b.model.free.set()
        await asyncio.gather(first, closing)
        assert (await waiting).probabilities == [[1.0, 1.0], [2.0, 1.0]]

    run(scenario, max_batch_rows=1)


def test_closing_fails_what_cannot_be_finished_in_time() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        waiting = await b.queue(row(1.0))
        await b.batcher.close(0.02)
        for task in (first, waiting):
            with pytest.raises(NotReady, match="shut down before this request was answered"):
                await asyncio.wait_for(task, 1)

    run(scenario)


def test_several_runs_go_on_at_once() -> None:
    together = threading.Barrier(2, timeout=10)

    class Pair(Model):
        def infer(self, rows: Sequence[Encoded]) -> Inference:
            together.wait()  # passes only when two runs are in the model at the same time
            return Inference(np.ones((len(rows), 2)), None)

    async def main() -> None:
        async with bench(Pair(), runs=2, max_batch_rows=1) as b:
            await asyncio.gather(*(b.batcher.submit([row(1.0)], soon()) for _ in range(2)))

    asyncio.run(main())


def test_stages_are_timed_finer_than_a_millisecond_on_uvloop() -> None:
    model = Model()

    async def main() -> list[Inferred]:
        async with bench(model) as b:
            inferred = [await b.batcher.submit([row(1.0)], soon()) for _ in range(20)]
            assert b.batcher._admission._rate > 0
            return inferred

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        inferred = runner.run(main())
    assert all(one.infer_seconds > 0 and one.queue_seconds > 0 for one in inferred)


def test_only_what_came_too_late_counts_against_the_prediction() -> None:
    async def scenario(b: Bench) -> None:
        await b.batcher.submit([row(1.0)], soon())  # now the cost of a row is known
        admission = b.batcher._admission
        admission.observe(["x"] * 10, 10.0, 1.0)  # slow, so that predictions are worth something
        first = await b.hold()
        poisoned = await b.queue(row(POISON))
        b.model.free.set()
        await first
        with pytest.raises(InferenceFailed):
            await poisoned
        assert admission._slack == 1.0

        first = await b.hold()
        ticket = b.batcher._enqueue([row(1.0)], soon(), ANYONE)
        ticket.future.set_exception(DeadlinePassed("too late"))
        with pytest.raises(DeadlinePassed):
            await ticket.future
        await asyncio.sleep(0)
        assert admission._slack > 1.0
        b.model.free.set()
        await first

    run(scenario)


def test_a_run_that_hangs_is_noticed_and_given_up_with_its_core() -> None:
    model, permits = Model(), Permits(1)

    async def main() -> None:
        metrics = ServingMetrics(CollectorRegistry()).of("m")
        batcher = Batcher(model, metrics, permits, max_queued=10, run_seconds=0.05)
        b = Bench(batcher, model, CollectorRegistry())
        hung = await b.hold()
        waiting = await b.queue(row(1.0))
        await asyncio.sleep(0.1)
        assert batcher.stuck
        batcher.abandon()
        for task in (hung, waiting):
            with pytest.raises(NotReady, match="hung and is started again"):
                await task
        with pytest.raises(NotReady):
            await batcher.submit([row(1.0)], soon())
        await asyncio.wait_for(asyncio.to_thread(permits.acquire, 1), 5)  # its core is free, though its thread is not
        permits.release(1)
        model.free.set()  # now it ends after all: what it held it must not give back twice
        await batcher.close(1)
        await asyncio.to_thread(permits.acquire, 1)
        second = asyncio.create_task(asyncio.to_thread(permits.acquire, 1))
        await asyncio.sleep(0.05)
        assert not second.done()
        permits.release(1)
        await second

    asyncio.run(main())


def test_metrics_tell_rows_tokens_and_padding_of_a_batch() -> None:
    async def scenario(b: Bench) -> None:
        first = await b.hold()
        others = [await b.queue(row(1.0, length)) for length in (10, 16)]
        b.model.free.set()
        await asyncio.gather(first, *others)
        sums = {
            name: b.registry.get_sample_value(f"tidegate_batch_{name}_sum", {"model": "m"})
            for name in ("rows", "tokens", "padding_ratio")
        }
        assert sums == {"rows": 3, "tokens": 1 + 32, "padding_ratio": 0.1875}

    run(scenario)
