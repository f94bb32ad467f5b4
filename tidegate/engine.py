"""An engine: one variant of a bundle, open and ready: texts in, probabilities out.

Composes preprocessing, session and postprocessing. Verification (exporters) runs texts through `classify`;
serving calls `encode` in its tokenizer thread and `infer` in its runner threads, with a batcher between.
"""

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tidegate.bundle import Bundle, TfidfPreprocessing
from tidegate.devices import Device, cores
from tidegate.preprocess import Encoded, Preprocessor, collate
from tidegate.session import Session
from tidegate.tasks import probabilities
from tidegate.tfidf import TfidfPreprocessor
from tidegate.wordpieces import TokenizerPreprocessor


class Engine:
    """An open variant.

    Attributes:
        bundle: the bundle it belongs to.
        variant: its manifest entry.
        runs: how many `infer` calls at once use the cores best.
    """

    def __init__(self, bundle: Bundle, variant_name: str | None, session: Session, runs: int) -> None:
        self.bundle = bundle
        self.variant = bundle.manifest.variant(variant_name)
        self.runs = runs
        self._session = session
        self._preprocessor = open_preprocessor(bundle, session.inputs)

    @classmethod
    def open(cls, bundle: Bundle, device: Device, *, variant: str | None = None, threads: int = 0) -> Self:
        """Load a variant (the chosen one by default) on a device, with `threads` cores in all (0: every core).

        Raises:
            BundleCorrupt: a file cannot be loaded.
            BundleNotFound: no such variant.
        """
        entry = bundle.manifest.variant(variant)
        total = threads or cores()
        runs = total if entry.one_thread_runs and device.name == "cpu" else 1
        session = Session.open(bundle.file(entry.file), device, max(1, total // runs))
        return cls(bundle, entry.name, session, runs)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Preprocess texts, one row each."""
        return self._preprocessor.encode(texts)

    def infer(self, rows: Sequence[Encoded]) -> NDArray[np.float64]:
        """Run one batch of rows; probabilities of shape (len(rows), classes).

        Raises:
            InferenceFailed: the session raised.
        """
        output = self._session.run(collate(rows, self._preprocessor.pad_values))  # (batch, classes)
        return probabilities(output, self.bundle.manifest.postprocessing)

    def classify(self, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float64]:
        """Texts to probabilities (len(texts), classes), in batches the variant allows."""
        rows = self.encode(texts)
        size = min(batch_size, self.variant.max_batch_size)
        return np.concatenate([self.infer(batch) for batch in _batches(rows, size)])

    def warm_up(self) -> None:
        """Run the bundle's samples once, so that the first caller does not pay for lazy allocation."""
        self.classify(self.bundle.manifest.samples[:8])


def open_preprocessor(bundle: Bundle, inputs: Sequence[str]) -> Preprocessor:
    """The preprocessor of a bundle, for the inputs that its graph takes."""
    config = bundle.manifest.preprocessing
    if isinstance(config, TfidfPreprocessing):
        return TfidfPreprocessor(bundle.file(config.file))
    return TokenizerPreprocessor(bundle.file(config.file), config, inputs)


def _batches(rows: Sequence[Encoded], size: int) -> Iterator[Sequence[Encoded]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
