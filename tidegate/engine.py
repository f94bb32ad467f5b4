"""An engine: one variant of a bundle, open and ready: texts in, probabilities out.

Composes preprocessing, session and postprocessing. Verification (exporters) runs texts through `classify`;
serving calls `encode` in its tokenizer thread and `infer` in its runner threads, with a batcher between.
"""

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tidegate.bundle import Bundle, TfidfPreprocessing
from tidegate.devices import Device
from tidegate.plan import Plan, exported
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
        plan: how it runs here.
    """

    def __init__(self, bundle: Bundle, plan: Plan, session: Session) -> None:
        self.bundle = bundle
        self.variant = bundle.manifest.variant(plan.variant)
        self.plan = plan
        self._session = session
        self._preprocessor = open_preprocessor(bundle, session.inputs)

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
        file = bundle.file(bundle.manifest.variant(plan.variant).file)
        return cls(bundle, plan, Session.open(file, plan.where, plan.threads, plan.runs))

    @property
    def runs(self) -> int:
        """How many `infer` calls at once use the cores best."""
        return self.plan.runs

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Preprocess texts, one row each."""
        return self._preprocessor.encode(texts)

    def infer(self, rows: Sequence[Encoded]) -> NDArray[np.float64]:
        """Run one batch of rows; probabilities of shape (len(rows), classes).

        Raises:
            InferenceFailed: the session raised.
        """
        feeds = collate(rows, self._preprocessor.pad_values, self.plan.length_multiple)
        output = self._session.run(feeds)  # (batch, classes)
        return probabilities(output, self.bundle.manifest.postprocessing)

    def classify(self, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float64]:
        """Texts to probabilities (len(texts), classes), in batches the variant allows."""
        rows = self.encode(texts)
        size = min(batch_size, self.plan.max_batch_rows)
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
