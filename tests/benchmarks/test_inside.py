"""The measurements inside one process, over a tiny real bundle."""

import asyncio
import socket
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from benchmarks.engine import RawLoop
from benchmarks.fifo import Fifo
from benchmarks.overhead import read_answer
from benchmarks.skew import read_padding, share, skewed
from serving.metrics import ServingMetrics
from tests import bundles
from tidegate.bundle_store import BundleStore
from tidegate.devices import available_providers, choose
from tidegate.engine import Engine
from tidegate.errors import InferenceFailed

TEXTS = bundles.headlines(60, seed=1)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    bundle = bundles.wordpieces(BundleStore(tmp_path), max_tokens=512)
    return Engine.open(bundle, choose("cpu", available_providers()), threads=1)


def test_skewed_texts_have_the_lengths_that_were_asked_for(engine: Engine) -> None:
    texts = skewed(engine, TEXTS, 400, seed=0)
    lengths = [row.length for row in engine.encode(texts)]

    assert share(lengths, 0, 19) == pytest.approx(0.5, abs=0.08)
    assert share(lengths, 301, 400) == pytest.approx(0.1, abs=0.05)
    assert max(lengths) <= 400
    assert skewed(engine, TEXTS, 400, seed=0) == texts


def test_fifo_runs_every_text_and_counts_its_padding(engine: Engine) -> None:
    async def run(max_rows: int) -> tuple[int, int]:
        async with Fifo(engine, max_rows) as fifo:
            await asyncio.gather(*(fifo.predict(text) for text in TEXTS))
            return fifo.tokens, fifo.padded

    tokens = sum(row.length for row in engine.encode(TEXTS))

    assert asyncio.run(run(1)) == (tokens, tokens)
    batched, padded = asyncio.run(run(64))
    assert batched == tokens
    assert padded >= tokens


def test_the_raw_loop_takes_what_the_engine_takes(engine: Engine) -> None:
    raw = RawLoop(engine.bundle, engine.plan)

    assert raw.run(TEXTS, 8, 1) > 0
    assert raw.run(TEXTS, 64, 8) > 0


def test_padding_is_read_from_the_metrics() -> None:
    registry = CollectorRegistry()
    metrics = ServingMetrics(registry).of("sentiment")

    metrics.observe_batch(rows=2, tokens=15, padded=20, seconds=0.01)

    assert read_padding(registry) == pytest.approx(0.25)


def test_an_answer_is_read_to_its_end_in_however_many_pieces_it_comes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        theirs.sendall(b"cde")

        assert read_answer(ours) == b"abcde"


def test_a_refusal_or_a_hang_up_is_no_answer() -> None:
    for said in (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(said)
            theirs.close()
            with pytest.raises(InferenceFailed):
                read_answer(ours)
