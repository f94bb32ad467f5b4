"""Skewed lengths: our batching against first come, first served, on the same engine, and what padding costs.

Half of the texts are under 20 tokens, a tenth over 300, the rest between (log-uniform), seeded, made of the
evaluation texts. `CALLERS` callers each send one text after the other. Ours is the served model as it is; its
padding is read from the metrics that `/metrics` shows. FIFO fills batches of up to the variant's own size, whatever
the plan found best; one text a run, which never pads, stands beside them.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle, islice
from random import Random

from prometheus_client import CollectorRegistry

from benchmarks.conditions import conditions
from benchmarks.fifo import Fifo
from benchmarks.opening import open_engine, served
from benchmarks.results import Skew
from benchmarks.workspace import MODEL, Workspace
from serving.model import ServedModel
from tidegate.cli import console
from tidegate.engine import Engine
from tidegate.errors import InferenceFailed, UsageError

CALLERS = 64
TEXTS = 640
SHORT, MIDDLE, LONG = (4, 19), (20, 300), (301, 400)  # tokens, special ones included
_SEED = 0


def measure_skew(workspace: Workspace, repeats: int) -> Skew:
    """Ours and FIFO in turn.

    Raises:
        UsageError: the bundle cuts its texts too short for skewed lengths.
    """
    engine = open_engine(workspace)
    texts = skewed(engine, [text for text, _ in workspace.read_texts()], TEXTS, _SEED)
    lengths = [row.length for row in engine.encode(texts)]
    under, over = share(lengths, 0, 19), share(lengths, 301, 10**9)
    if over < 0.09:
        raise UsageError(f"only {over:.0%} of the texts stay over 300 tokens: the bundle truncates; run prepare anew")
    registry = CollectorRegistry()
    rates: list[tuple[float, float, float]] = []
    for _ in range(repeats):
        registry = CollectorRegistry()
        ours = served(engine, workspace, registry, lambda model: _ours(model, texts))
        fifo, waste = asyncio.run(_fifo(engine, texts, engine.variant.max_batch_size))
        single, _ = asyncio.run(_fifo(engine, texts, 1))
        rates.append((ours, fifo, single))
        console.say(f"  ours {ours:6.0f} texts/s   FIFO {fifo:6.0f}, {waste:.0%} padding   one a run {single:6.0f}")
    every_ours, every_fifo, every_single = zip(*rates, strict=True)
    return Skew(
        conditions=conditions(workspace, len(texts)),
        under_20=under,
        over_300=over,
        ours=every_ours,
        fifo=every_fifo,
        single=every_single,
        padding=read_padding(registry),
        fifo_padding=waste,
    )


def skewed(engine: Engine, texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Texts of the lengths wanted, cut from the given ones put end to end."""
    chance = Random(seed)
    wanted = [_draw(chance) for _ in range(count)]
    return [_stretch(engine, texts, tokens, chance) for tokens in wanted]


def share(lengths: Sequence[int], low: int, high: int) -> float:
    """Share of lengths from `low` to `high` tokens, both included."""
    return sum(low <= length <= high for length in lengths) / len(lengths)


def read_padding(registry: CollectorRegistry) -> float:
    """Share of all tokens that were padding, from `tidegate_padding_tokens_total` and `tidegate_batch_tokens`."""
    model = {"model": MODEL}
    padding = registry.get_sample_value("tidegate_padding_tokens_total", model)
    total = registry.get_sample_value("tidegate_batch_tokens_sum", model)
    if not total or padding is None:
        raise InferenceFailed("no batch was counted in tidegate_batch_tokens; did every request fail?")
    return padding / total


def _draw(chance: Random) -> int:
    """Length of one text in tokens."""
    draw = chance.random()
    if draw < 0.5:
        return chance.randint(*SHORT)
    if draw < 0.9:
        return round(math.exp(chance.uniform(*map(math.log, MIDDLE))))
    return chance.randint(*LONG)


def _stretch(engine: Engine, texts: Sequence[str], tokens: int, chance: Random) -> str:
    """Words from a random text on, as many as make at most `tokens` tokens."""
    start = chance.randrange(len(texts))
    stream = (word for text in islice(cycle(texts), start, None) for word in text.split())
    words = list(islice(stream, tokens))  # a word is at least one token
    few, many = 1, len(words)
    while few < many:
        half = (few + many + 1) // 2
        (row,) = engine.encode([" ".join(words[:half])])
        few, many = (half, many) if row.length <= tokens else (few, half - 1)
    return " ".join(words[:few])


async def _ours(model: ServedModel, texts: Sequence[str]) -> float:
    async def ask(text: str) -> None:
        await model.predict([text])

    return await _callers(ask, texts)


async def _fifo(engine: Engine, texts: Sequence[str], max_rows: int) -> tuple[float, float]:
    """Texts a second, and padding's share of the tokens that were run."""
    async with Fifo(engine, max_rows) as fifo:
        rate = await _callers(fifo.predict, texts)
        return rate, 1 - fifo.tokens / fifo.padded


async def _callers(ask: Callable[[str], Awaitable[None]], texts: Sequence[str]) -> float:
    """Texts a second, with `CALLERS` callers who each wait for their answer before the next."""
    left = iter(texts)

    async def call() -> None:
        for text in left:
            await ask(text)

    started = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return len(texts) / (time.perf_counter() - started)
