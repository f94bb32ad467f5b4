"""Tidegate without HTTP (tokenize, queue, batch, infer) against the best raw loop over the same texts.

The raw loop knows everything in advance: it tokenizes all texts at once, sorts them by length, cuts equal batches,
starts with the longest and does nothing else; batch size and padding are whichever were fastest of a grid. Provider,
threads and runs at once are the plan's, for both. Limits: one process; nothing is recorded for monitoring.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np
from prometheus_client import CollectorRegistry
from tokenizers import Tokenizer

from benchmarks.conditions import conditions
from benchmarks.opening import open_engine, served
from benchmarks.results import Engine as Result
from benchmarks.workspace import Workspace
from serving.model import ServedModel
from tidegate.bundle import Bundle, TokenizerPreprocessing
from tidegate.cli import console
from tidegate.engine import Engine
from tidegate.errors import UnsupportedSource
from tidegate.plan import Plan
from tidegate.preprocess import Feeds
from tidegate.session import Session

BATCHES = (1, 2, 4, 8, 16, 32, 64)
MULTIPLES = (1, 8)
# Texts of one request, and all requests at once: what waits is what the raw loop has in hand.
_REQUEST = 64


class RawLoop:
    """A session and a tokenizer, and nothing of the product between them."""

    def __init__(self, bundle: Bundle, plan: Plan) -> None:
        preprocessing = bundle.manifest.preprocessing
        if not isinstance(preprocessing, TokenizerPreprocessing):
            raise UnsupportedSource(f"bundle {bundle.manifest.name} is no transformer; the raw loop runs transformers")
        self._tokenizer = Tokenizer.from_file(str(bundle.file(preprocessing.file)))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(preprocessing.max_tokens)
        file = bundle.file(bundle.manifest.variant(plan.variant).file)
        self._session = Session.open(file, plan.where, plan.threads, plan.runs)
        self._pad = preprocessing.pad_id
        self._runs = plan.runs

    def run(self, texts: Sequence[str], batch: int, multiple: int) -> float:
        """Classify every text; texts a second, tokenization included."""
        started = time.perf_counter()
        rows = sorted((encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))), key=len)
        batches = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        with ThreadPoolExecutor(self._runs) as executor:
            for _ in executor.map(lambda part: self._session.run(self._feeds(part, multiple)), reversed(batches)):
                pass
        return len(texts) / (time.perf_counter() - started)

    def _feeds(self, rows: Sequence[Sequence[int]], multiple: int) -> Feeds:
        longest = -(-max(map(len, rows)) // multiple) * multiple
        ids = np.full((len(rows), longest), self._pad, np.int64)  # (batch, tokens)
        mask = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {name: known[name] for name in self._session.inputs}


def measure_engine(workspace: Workspace, repeats: int) -> Result:
    """Find the best raw loop, then measure it and ours in turn."""
    texts = [text for text, _ in workspace.read_texts()]
    engine = open_engine(workspace)
    raw = RawLoop(engine.bundle, engine.plan)
    raw.run(texts, BATCHES[0], MULTIPLES[0])  # warm-up
    sizes = [(batch, multiple) for batch in BATCHES for multiple in MULTIPLES]
    grid = {size: raw.run(texts, *size) for size in sizes}
    best = max(grid, key=lambda size: grid[size])
    console.say(f"best raw loop: batches of {best[0]}, lengths in steps of {best[1]}; {engine.plan}")
    ours, theirs = [], []
    _drain(engine, workspace, texts)
    for _ in range(repeats):
        ours.append(_drain(engine, workspace, texts))
        theirs.append(raw.run(texts, *best))
        console.say(f"  batcher {ours[-1]:7.0f} texts/s   raw loop {theirs[-1]:7.0f}")
    tried = {batch: max(grid[batch, multiple] for multiple in MULTIPLES) for batch in BATCHES}
    return Result(
        conditions=conditions(workspace, len(texts)),
        ours=tuple(ours),
        raw=tuple(theirs),
        raw_batch=best[0],
        grid=tried | {best[0]: median(theirs)},
    )


def _drain(engine: Engine, workspace: Workspace, texts: Sequence[str]) -> float:
    """Every text through tokenizer threads, queue, batcher and engine; texts a second."""

    async def work(model: ServedModel) -> float:
        started = time.perf_counter()
        requests = [texts[start : start + _REQUEST] for start in range(0, len(texts), _REQUEST)]
        await asyncio.gather(*(model.predict(request) for request in requests))
        return len(texts) / (time.perf_counter() - started)

    return served(engine, workspace, CollectorRegistry(), work)
