"""Answering in this process as a server would: texts in, records out. For backfills and simulated traffic.

Before: a bundle; after: monitoring's summaries, or its writer. Limits: on the CPU, with the variant that was exported.
"""

from collections.abc import Sequence

from tidegate.bundle import Bundle
from tidegate.devices import available_providers, choose
from tidegate.engine import Engine
from tidegate.records import Record, make_records
from tidegate.settings import Settings
from tidegate.tasks import decide_all


class Answering:
    """A bundle, opened once."""

    def __init__(self, settings: Settings, bundle: Bundle) -> None:
        self._engine = Engine.open(bundle, choose("cpu", available_providers()), threads=settings.threads)
        self._manifest = bundle.manifest

    def __call__(self, ids: Sequence[str], texts: Sequence[str], at: float) -> list[Record]:
        """Records of the answers to texts, one each, with these prediction ids and Unix seconds."""
        rows = self._engine.encode(texts)
        found = self._engine.answer(rows)
        decided = decide_all(found.probabilities.tolist(), self._manifest)
        embeddings = None if found.embedding is None else list(found.embedding)
        return make_records(self._manifest, self._engine.variant.name, ids, texts, rows, decided, at, embeddings)
