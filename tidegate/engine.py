"""An engine: one variant of a bundle, open and ready: texts in, probabilities (or vectors) out, embeddings beside.

Composes preprocessing, session and postprocessing. Verification (exporters) runs texts through `classify`;
serving calls `encode` in its tokenizer thread and `infer` in its runner threads, with a batcher between;
`answer` is what the reference of monitoring is made with, in whole and in order.
A plan may name several GPUs: each has a session, and a run takes one that is free.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from queue import SimpleQueue
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tidegate.bundle import Bundle, TfidfPreprocessing, TokenizerPreprocessing
from tidegate.devices import Device, Grant
from tidegate.placement import buckets, estimate_footprint
from tidegate.plan import MAX_BATCH_TOKENS, Plan, exported
from tidegate.preprocess import Encoded, Feeds, Preprocessor, collate
from tidegate.session import Node, Outputs, Session
from tidegate.tasks import probabilities
from tidegate.tfidf import TfidfPreprocessor
from tidegate.wordpieces import TokenizerPreprocessor

Run = Callable[[Feeds], Outputs]

# Lengths between these fit into the memory that was cut for the next one; every one of them would take seconds.
_WARM_MULTIPLE = 32


class Inference(NamedTuple):
    """What the model says of some rows.

    Attributes:
        probabilities: (rows, classes); vectors (rows, dim) where the task is embedding.
        embedding: one vector a text, (rows, hidden), for monitoring; the vectors themselves where the task is
            embedding; None where the bundle has none.
    """

    probabilities: NDArray[np.float64]
    embedding: NDArray[np.float32] | None


class Engine:
    """An open variant.

    Attributes:
        bundle: the bundle it belongs to.
        variant: its manifest entry.
        plan: how it runs here.
        inputs, output: of its graph.
    """

    def __init__(self, bundle: Bundle, plan: Plan, session: Session, *replicas: Session) -> None:
        self.bundle = bundle
        self.variant = bundle.manifest.variant(plan.variant)
        self.plan = plan
        self._sessions = (session, *replicas)
        self._run = in_turn([one.run for one in self._sessions]) if replicas else session.run
        self._preprocessor = open_preprocessor(bundle, session.inputs)
        self.inputs: Sequence[Node] = session.takes
        self.output: Node = session.gives

    @classmethod
    def open(cls, bundle: Bundle, device: Device, *, variant: str | None = None, threads: int = 0) -> Self:
        """Load a variant (the chosen one by default) as it was exported to run; see `tidegate.plan.exported`.

        Raises:
            BundleCorrupt: a file cannot be loaded.
            BundleNotFound: no such variant.
            DeviceUnavailable: the device's provider did not start.
        """
        return cls.follow(bundle, exported(bundle.manifest, device, variant=variant, threads=threads))

    @classmethod
    def follow(cls, bundle: Bundle, plan: Plan) -> Self:
        """Load a variant as a plan says; raises what `open` raises."""
        return cls(bundle, plan, *(open_session(bundle, plan, name) for name in (plan.device, *plan.replicas)))

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Preprocess texts, one row each."""
        return self._preprocessor.encode(texts)

    def infer(self, rows: Sequence[Encoded]) -> Inference:
        """Run one batch of rows.

        Raises:
            InferenceFailed: the session raised.
        """
        feeds = collate(rows, self._preprocessor.pad_values, self.plan.length_multiple)
        manifest = self.bundle.manifest
        first, embedding = self._run(feeds)
        vectors = first if manifest.task == "embedding" else embedding
        return Inference(probabilities(first, manifest.postprocessing), vectors)

    def answer(self, rows: Sequence[Encoded], batch_size: int = 32) -> Inference:
        """Run any number of rows, one or more, in batches the variant allows.

        No batch has more padded tokens than a GPU session is granted room for.
        """
        size = min(batch_size, self.plan.max_batch_rows)
        parts = [self.infer(batch) for batch in _batches(rows, size)]
        embeddings = [part.embedding for part in parts if part.embedding is not None]
        return Inference(
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate(embeddings) if len(embeddings) == len(parts) else None,
        )

    def run_tensors(self, feeds: Feeds) -> NDArray[np.float32]:
        """Run the graph on tensors as they are; what it answers, before any postprocessing.

        Raises:
            InferenceFailed: the session raised.
        """
        return self._run(feeds).first

    def classify(self, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float64]:
        """Texts to probabilities (len(texts), classes), in batches the variant allows."""
        return self.answer(self.encode(texts), batch_size).probabilities

    def warm_up(self) -> None:
        """Run the bundle's samples once, so that the first caller does not pay for lazy allocation.

        On a GPU every shape is run instead, the largest first, on each session.
        """
        if self.plan.where.is_gpu:
            self.warm_shapes()
        else:
            self.classify(self.bundle.manifest.samples[:8])

    def warm_shapes(self) -> list[tuple[int, int]]:
        """Run one batch of each shape on each session; returns the shapes, (rows, tokens), in their order."""
        longest = self.encode([" ".join([self.bundle.manifest.samples[0]] * _most_tokens(self.bundle))])[0]
        multiple = max(self.plan.length_multiple, _WARM_MULTIPLE)
        shapes = buckets(self.plan.max_batch_rows, longest.length, self.plan.max_batch_tokens, multiple)
        for rows, tokens in shapes:
            cut = {name: array[:tokens] for name, array in longest.arrays.items()}
            feeds = collate([replace(longest, arrays=cut, length=tokens)] * rows, self._preprocessor.pad_values)
            for session in self._sessions:
                session.run(feeds)
        return shapes


def open_session(bundle: Bundle, plan: Plan, name: str = "") -> Session:
    """A session of a plan, on one of its devices (the first by default); on a GPU within what placement grants.

    Raises:
        BundleCorrupt: a file cannot be loaded.
        DeviceUnavailable: the device's provider did not start.
    """
    variant = bundle.manifest.variant(plan.variant)
    file, where = bundle.file(variant.file), plan.where
    if where.is_gpu:
        home = bundle.path.parents[2]  # HOME/bundles/NAME/VERSION
        grant = Grant(estimate_footprint(file.stat().st_size), home, fp16=variant.precision == "fp16")
        where = replace(where, name=name or plan.device, grant=grant)
    return Session.open(file, where, plan.threads, plan.runs)


def in_turn(runs: Sequence[Run]) -> Run:
    """The runs of several sessions as one: each call takes a free one, and waits while there is none."""
    free: SimpleQueue[Run] = SimpleQueue()
    for each in runs:
        free.put(each)

    def run(feeds: Feeds) -> Outputs:
        taken = free.get()
        try:
            return taken(feeds)
        finally:
            free.put(taken)

    return run


def open_preprocessor(bundle: Bundle, inputs: Sequence[str]) -> Preprocessor:
    """The preprocessor of a bundle, for the inputs that its graph takes."""
    config = bundle.manifest.preprocessing
    if isinstance(config, TfidfPreprocessing):
        return TfidfPreprocessor(bundle.file(config.file))
    return TokenizerPreprocessor(bundle.file(config.file), config, inputs)


def _most_tokens(bundle: Bundle) -> int:
    config = bundle.manifest.preprocessing
    return config.max_tokens if isinstance(config, TokenizerPreprocessing) else 1


def _batches(rows: Sequence[Encoded], size: int) -> Iterator[Sequence[Encoded]]:
    """Rows as they come, `size` at most, and `MAX_BATCH_TOKENS` with their padding unless one alone has more."""
    batch: list[Encoded] = []
    for row in rows:
        longest = max(each.length for each in (*batch, row))
        if len(batch) == size or (batch and longest * (len(batch) + 1) > MAX_BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
