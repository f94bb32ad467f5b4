"""A served model answers whoever calls it, within bounds; it also serves callers that are not HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from serving.batch import Ticket
from serving.metrics import ServingMetrics
from serving.model import ServedModel
from serving.tokenizing import piece_of
from tests import bundles
from tests.serving.apps import MemoryMonitor
from tidegate.bundle_store import BundleStore
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.errors import DeadlinePassed, InvalidInput, Overloaded, PayloadTooLarge
from tidegate.permits import Permits
from tidegate.preprocess import Encoded
from tidegate.settings import Settings


class SlowTokenizer(Engine):
    """A real engine whose tokenizer waits for `gate` before it takes a text that says `slow`."""

    gate: Callable[[], None]

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        if any("slow" in text for text in texts):
            self.gate()
        return super().encode(texts)


@asynccontextmanager
async def served(
    home: Path, kind: type[Engine] = Engine, **settings: Any
) -> AsyncIterator[tuple[ServedModel, MemoryMonitor, CollectorRegistry]]:
    bundle = bundles.wordpieces(BundleStore(home))
    device = choose("cpu", [])
    recorder, registry = MemoryMonitor(), CollectorRegistry()
    metrics = ServingMetrics(registry).of("wordpieces")
    model = ServedModel(kind.open(bundle, device), device, Settings(**settings), recorder, metrics, Permits(2))
    yield model, recorder, registry
    await model.close()


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_one_text_has_the_requests_id_and_several_have_it_numbered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as (model, recorder, _):
            one = await model.predict(["profit"])
            two = await model.predict(["profit", "loss"])

            assert list(one.ids) == [one.request_id]
            assert list(two.ids) == [f"{two.request_id}.0", f"{two.request_id}.1"]
            assert one.request_id != two.request_id
            assert [record.id for record in recorder.records] == [*one.ids, *two.ids]
            assert (one.model, one.version, one.variant) == ("wordpieces", 1, "fp32")
            assert min(one.timings.queue, one.timings.tokenize, one.timings.infer) >= 0

    run(scenario)


def test_the_limits_hold_for_callers_that_are_not_http(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, max_inputs=3, max_text_chars=10) as (model, recorder, registry):
            for texts, error in (
                ([], InvalidInput),
                ([" "], InvalidInput),
                (["a", "x" * 11], InvalidInput),
                (["\ud800"], InvalidInput),
                (["a"] * 4, PayloadTooLarge),
            ):
                with pytest.raises(error):
                    await model.predict(texts)
            assert recorder.records == []
            labels = {"model": "wordpieces", "outcome": "422"}
            assert registry.get_sample_value("tidegate_requests_total", labels) == 4

    run(scenario)


def test_a_deadline_that_passes_in_the_tokenizer_is_told_and_nothing_is_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, SlowTokenizer) as (model, recorder, registry):
            release = _gate(model)
            with pytest.raises(DeadlinePassed, match="before the answer"):
                await model.predict(["slow"], deadline_seconds=0.02)
            release()
            assert recorder.records == []
            labels = {"model": "wordpieces", "outcome": "504"}
            assert registry.get_sample_value("tidegate_requests_total", labels) == 1

    run(scenario)


def test_the_servers_own_deadline_bounds_a_longer_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, SlowTokenizer, deadline_seconds=0.02) as (model, _, _registry):
            release = _gate(model)
            with pytest.raises(DeadlinePassed):
                await asyncio.wait_for(model.predict(["slow"], deadline_seconds=3_600), 10)
            release()

    run(scenario)


def test_a_text_that_is_slow_to_tokenize_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, SlowTokenizer) as (model, _, _registry):
            release = _gate(model)
            slow = asyncio.create_task(model.predict(["slow profit" + 600 * " x"]))
            await asyncio.sleep(0.2)  # one thread has taken it, alone
            assert (await asyncio.wait_for(model.predict(["loss"]), 10)).answers[0].label == "negative"
            assert not slow.done()
            release()
            assert (await slow).answers[0].label == "positive"

    run(scenario)


def test_texts_that_wait_for_the_tokenizer_count_against_the_queue(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, SlowTokenizer, max_queued=3) as (model, _, _registry):
            release = _gate(model)
            first = asyncio.create_task(model.predict(["slow", "profit"]))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await model.predict(["profit", "profit"])
            release()
            await first
            assert len((await model.predict(["profit", "profit"])).answers) == 2  # the places are free again

    run(scenario)


def test_a_caller_that_leaves_is_counted_and_gives_its_places_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, SlowTokenizer, max_queued=2) as (model, recorder, registry):
            release = _gate(model)
            leaving = asyncio.create_task(model.predict(["slow", "slow"]))
            await asyncio.sleep(0.01)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            release()
            await model.predict(["profit", "loss"])

            outcomes = {
                outcome: registry.get_sample_value(
                    "tidegate_requests_total", {"model": "wordpieces", "outcome": outcome}
                )
                for outcome in ("200", "499")
            }
            assert outcomes == {"200": 1, "499": 1}
            assert registry.get_sample_value("tidegate_requests_in_flight", {"model": "wordpieces"}) == 0
            assert [record.text for record in recorder.records] == ["profit", "loss"]

    run(scenario)


@given(texts=st.lists(st.text(min_size=1, max_size=12_000), min_size=1, max_size=8), room=st.integers(1, 20_000))
def test_pieces_hold_every_text_once_and_in_order(texts: list[str], room: int) -> None:
    loop = asyncio.new_event_loop()
    ticket = Ticket(texts, 0.0, loop.create_future(), 0.0)
    loop.close()
    encoded = Encoded({}, length=1, words=1, unknown=0, truncated=False)
    taken: list[str] = []

    while len(taken) < len(texts):
        _, start, stop = piece_of(ticket, room)
        assert start == len(taken) < stop
        assert sum(map(len, texts[start : stop - 1])) < room
        taken += texts[start:stop]
        ticket.rows += [encoded] * (stop - start)

    assert taken == texts


def _gate(model: ServedModel) -> Callable[[], None]:
    """Make the model's tokenizer wait; returns what lets it go on."""
    import threading

    opened = threading.Event()

    def wait() -> None:
        if not opened.wait(20):
            raise TimeoutError

    assert isinstance(model.engine, SlowTokenizer)
    model.engine.gate = wait
    return opened.set
