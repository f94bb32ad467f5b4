"""What monitoring costs a record once it is off the request path, stage by stage.

The writer's own steps, on made-up records as a TF-IDF classifier and a transformer leave them (20 words; 25 terms, or
25 tokens and an embedding of 384 numbers), in batches as a quiet and a busy server make them; then all of it against a
real SQLite file. CPU time of the writing thread, since that is what inference loses; the fastest of some turns, since
whatever else runs on the machine only ever adds. Limits: windows do not close meanwhile; closing one takes 3 ms.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from monitoring import building, kept, periods, profiles
from monitoring.features import Rows, Seen, derive
from monitoring.metrics import MonitoringMetrics
from monitoring.periods import Period
from monitoring.reference import Reference, References
from monitoring.summary import Summary
from monitoring.tables import turn
from monitoring.writer import Writer
from tidegate import store
from tidegate.preprocess import Encoded
from tidegate.records import Record
from tidegate.redaction import Redactor
from tidegate.settings import Settings

SIZES = (50, 500)
_BATCHES = 16
_LABELS = ("negative", "neutral", "positive")
_WORDS, _TERMS, _VOCABULARY, _EMBEDDING = 20, 25, 30_000, 384
_KEY = ("model", 1)

Kind = Literal["TF-IDF", "transformer"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds a record of one stage, for each of `SIZES`."""

    kind: Kind
    stage: str
    microseconds: tuple[float, ...]


def measure_recording() -> list[Cost]:
    """Every stage of both kinds; the last one of each is all of them together, with what SQL costs around them."""
    kinds: tuple[Kind, ...] = ("TF-IDF", "transformer")
    return [cost for kind in kinds for cost in _measure(kind)]


def _measure(kind: Kind) -> list[Cost]:
    by_size: dict[str, list[float]] = {}
    for size in SIZES:
        with TemporaryDirectory() as folder:
            for stage, found in _stages(kind, size, Path(folder)).items():
                by_size.setdefault(stage, []).append(found)
    return [Cost(kind, stage, tuple(found)) for stage, found in by_size.items()]


def _stages(kind: Kind, size: int, folder: Path) -> dict[str, float]:
    settings = Settings(home=folder, window_rows=1_000_000, keep_records=4 * size)
    records = _records(kind, size * _BATCHES)
    batches = [records[start : start + size] for start in range(0, len(records), size)]
    reference = building.reference_of(derive(_records(kind, 300), Seen()), _LABELS, {}, {})
    rows = [derive(batch, Seen()) for batch in batches]
    mapped = [reference.mapped(each) for each in rows]
    sums = reference.layout.summarise(mapped[0])
    frames = [each.frame() for each in rows]
    database = store.open_database(settings.state_url)
    metrics = MonitoringMetrics(CollectorRegistry())
    writer = Writer(database, cast(References, _Always(reference)), settings, metrics, time.time)
    renamed = [_renamed(batch) for batch in batches]
    seen = Seen()
    profiles.warm_up()
    found = {
        "derive": _fastest(lambda at: derive(batches[at], seen), size),
        "kernel": _fastest(lambda at: reference.mapped(rows[at]), size),
        "sums": _fastest(lambda at: reference.layout.summarise(mapped[at]), size),
        "period": _fastest(lambda _: _add(database, sums), size),
        "insert": _fastest(lambda at: _keep(database, renamed[at], rows[at]), size),
        "all of a batch": _fastest(lambda at: writer.write(batches[at]), size),
        "profile": _fastest(lambda at: profiles.profile_frame(frames[at]), size),
    }
    database.dispose()
    return found


@dataclass(frozen=True, slots=True)
class _Always:
    """The references of a house with one bundle."""

    reference: Reference

    def get(self, _model: str, _version: int) -> Reference:
        """That one's."""
        return self.reference


def _add(database: Engine, sums: Summary) -> None:
    with turn(database) as connection:
        periods.add(connection, _KEY, Period("minute", 0.0), sums)


def _keep(database: Engine, records: Sequence[Record], rows: Rows) -> None:
    with database.begin() as connection:
        kept.keep(connection, 1, records, rows, [0.5] * len(records), Redactor())
        kept.trim(connection, _KEY[0], 4 * len(records))


def _fastest(stage: Callable[[int], object], size: int) -> float:
    """Microseconds a record of the fastest batch, after one that warms up."""
    seconds = []
    for at in range(_BATCHES):
        started = time.thread_time()
        stage(at)
        seconds.append(time.thread_time() - started)
    return min(seconds[1:]) / size * 1e6


def _records(kind: Kind, count: int) -> list[Record]:
    rng = np.random.default_rng(1)
    words = np.array([f"word{number}" for number in range(2_000)])
    texts = [" ".join(drawn) for drawn in words[rng.integers(0, 2_000, (count, _WORDS))].tolist()]
    scores = rng.dirichlet((1.0, 1.0, 1.0), size=count)
    embeddings = rng.standard_normal((count, _EMBEDDING), dtype=np.float32)
    return [
        Record(
            id=uuid.uuid4().hex,
            model=_KEY[0],
            version=_KEY[1],
            variant="int8",
            text=text,
            label=_LABELS[int(shares.argmax())],
            score=float(shares.max()),
            abstained=False,
            scores=tuple(shares.tolist()),
            row=_encoded(kind, rng),
            embedding=vector if kind == "transformer" else None,
            created_at=time.time(),
        )
        for text, shares, vector in zip(texts, scores, embeddings, strict=True)
    ]


def _encoded(kind: Kind, rng: np.random.Generator) -> Encoded:
    ids = rng.integers(0, _VOCABULARY, size=_TERMS)
    weights = rng.random(_TERMS, dtype=np.float32)
    arrays: dict[str, NDArray[Any]] = {"indices": ids, "values": weights} if kind == "TF-IDF" else {"input_ids": ids}
    return Encoded(arrays, length=_TERMS, words=_WORDS, unknown=1, truncated=False)


def _renamed(records: Sequence[Record]) -> list[Record]:
    return [replace(record, id=uuid.uuid4().hex) for record in records]
