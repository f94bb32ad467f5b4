"""BentoML with int8: one service, two workers of one thread, adaptive batching (its own dispatcher sets the window).

Run by `bentoml serve benchmarks.peers.bentoml_int8:Texts`. BentoML merges the lists of several requests into one
call. Source: docs.bentoml.com, "Adaptive batching" (batchable, max_batch_size, max_latency_ms) and "Workers".
"""

from typing import Any

import bentoml

from benchmarks.peers.int8 import Classifier


@bentoml.service(workers=2, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Texts:
    """Lists of texts in, lists of labels out."""

    def __init__(self) -> None:
        self.classifier = Classifier()

    @bentoml.api(batchable=True, max_batch_size=256, max_latency_ms=60_000)  # type: ignore[untyped-decorator]
    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """Label and score of each text."""
        return self.classifier.classify(texts)
