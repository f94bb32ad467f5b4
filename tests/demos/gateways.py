"""A gateway for the demos' tests: a real engine answers, a real SQLite database takes the corrections.

It stands where serving and monitoring stand in production, so that these tests fail for the demos' own faults
only; `test_walk.py` walks the same page on the whole gateway as the command line composes it.
"""

import asyncio
import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Engine as Database
from sqlalchemy import delete, insert, select

from demos.app import Demos
from demos.front import mount_demos
from demos.guard import ShareGuard
from demos.meter import ShareMeter
from demos.share import ShareLinks
from serving.caller import ANYONE, Caller
from tests import bundles
from tidegate.bundle import Bundle, Manifest
from tidegate.bundle_store import BundleStore
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.errors import InvalidInput, ItemNotFound, ModelNotFound, PredictionNotFound, TidegateError
from tidegate.records import AlertState, Span
from tidegate.settings import Settings
from tidegate.store import open_database, relabel_items
from tidegate.tasks import Answer, decide

SETTINGS = Settings(max_text_chars=1_000, max_body_bytes=10_000)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What one request got."""

    answers: Sequence[Answer]
    ids: Sequence[str]
    version: int
    variant: str
    vectors: Sequence[Sequence[float]] = ()


class EngineModel:
    """A model served by a bare engine; `raises` makes every prediction fail with it."""

    def __init__(self, bundle: Bundle, monitor: "TableMonitor") -> None:
        self.raises: TidegateError | None = None
        self.compared: list[int] = []
        self.callers: list[Caller] = []
        self._engine = Engine.open(bundle, choose("cpu", []))
        self._monitor = monitor

    @property
    def bundle(self) -> Bundle:
        """What it serves."""
        return self._engine.bundle

    @property
    def manifest(self) -> Manifest:
        """The manifest of its bundle."""
        return self._engine.bundle.manifest

    @property
    def variant(self) -> str:
        """The variant that answers."""
        return self._engine.variant.name

    async def compare(self, texts: Sequence[str]) -> Sequence[Answer]:
        """Answer in the calling thread, with nothing kept."""
        if self.raises is not None:
            raise self.raises
        self.compared.append(len(texts))
        return self._decide(texts)

    async def predict(
        self, texts: Sequence[str], deadline_seconds: float | None = None, caller: Caller = ANYONE
    ) -> Predictions:
        """Answer in the calling thread; the toys take microseconds."""
        if self.raises is not None:
            raise self.raises
        self.callers.append(caller)
        answers, manifest = self._decide(texts), self.manifest
        ids = [uuid.uuid4().hex for _ in texts]
        for prediction_id, text, answer in zip(ids, texts, answers, strict=True):
            self._monitor.served[prediction_id] = (manifest.name, manifest.version, text, answer, manifest.labels)
        return Predictions(answers, ids, manifest.version, self.variant)

    def _decide(self, texts: Sequence[str]) -> list[Answer]:
        manifest = self.manifest
        rows = self._engine.classify(texts)
        return [decide(list(map(float, row)), manifest.labels, manifest.postprocessing) for row in rows]


@dataclass(frozen=True, slots=True)
class Rollout:
    """Who answers whom."""

    champion: EngineModel
    canary: EngineModel | None = None
    shadow: EngineModel | None = None


class Patient(EngineModel):
    """A model that takes its time; `left` counts who did not wait."""

    left = 0

    async def predict(
        self, texts: Sequence[str], deadline_seconds: float | None = None, caller: Caller = ANYONE
    ) -> Predictions:
        """Answer after a minute."""
        await self._wait()
        return await super().predict(texts, deadline_seconds, caller)

    async def compare(self, texts: Sequence[str]) -> Sequence[Answer]:
        """Answer after a minute."""
        await self._wait()
        return await super().compare(texts)

    async def _wait(self) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.left += 1
            raise


class Models:
    """The served models by name."""

    def __init__(self, models: dict[str, EngineModel]) -> None:
        self.by_name = models
        self.shadows: dict[str, EngineModel] = {}

    def get(self, name: str) -> EngineModel:
        """The model, or `ModelNotFound`."""
        if name not in self.by_name:
            raise ModelNotFound(f"no model named {name!r} is served")
        return self.by_name[name]

    def rollout(self, name: str) -> Rollout:
        """The versions of the model."""
        return Rollout(self.get(name), shadow=self.shadows.get(name))


class TableMonitor:
    """Writes corrections to the `relabel_items` table, as the monitoring room does."""

    def __init__(self, database: Database) -> None:
        self.served: dict[str, tuple[str, int, str, Answer, Sequence[str]]] = {}
        self._database = database

    def drift(self, model: str, version: int, alert: int | None = None) -> dict[str, Any]:
        """Nothing was watched."""
        return {"model": model, "version": version, "alert": alert, "status": "insufficient"}

    def data(self, model: str, version: int, window: str) -> dict[str, Any]:
        """Nothing was watched."""
        raise ItemNotFound(f"nothing was counted of {model}/{version}")

    def feature(self, model: str, version: int, feature: str, by: Span, most: int) -> dict[str, Any]:
        """Nothing was watched."""
        raise ItemNotFound(f"no feature {feature!r} of {model}/{version}")

    def deliveries(self) -> list[dict[str, Any]]:
        """Nobody listens."""
        return []

    def texts(self, model: str, ids: Sequence[str]) -> dict[str, str]:
        """What the predictions of a model were asked about."""
        found = {prediction_id: served for prediction_id, served in self.served.items() if prediction_id in ids}
        return {prediction_id: served[2] for prediction_id, served in found.items() if served[0] == model}

    def feedback(self, model: str, prediction_id: str, label: str, comment: str) -> str:
        """Put a correction on the queue and return the item's id."""
        if prediction_id not in self.served or self.served[prediction_id][0] != model:
            raise PredictionNotFound(f"no prediction {prediction_id!r} of {model} is kept")
        _, version, text, answer, labels = self.served[prediction_id]
        if label not in labels:
            raise InvalidInput(f"{label!r} is no label of {model}")
        item = uuid.uuid4().hex
        row = {
            "id": item,
            "model": model,
            "version": version,
            "prediction_id": prediction_id,
            "text": text,
            "text_digest": hashlib.sha256(text.encode()).hexdigest(),
            "predicted": answer.label,
            "score": answer.score,
            "scores": list(answer.scores),
            "reason": "reported",
            "state": "labelled",
            "label": label,
            "comment": comment,
            "created_at": time.time(),
        }
        same_text = (relabel_items.c.model == model) & (relabel_items.c.text_digest == row["text_digest"])
        with self._database.begin() as connection:
            connection.execute(delete(relabel_items).where(same_text))
            connection.execute(insert(relabel_items).values(row))
        return item

    def alerts(self, model: str | None, state: AlertState | None) -> list[dict[str, Any]]:
        """Nothing was found."""
        return []

    def alert(self, alert_id: int) -> dict[str, Any]:
        """There are none."""
        raise ItemNotFound(f"no alert {alert_id}")

    def label_studio(self, model: str, event: Any) -> dict[str, Any]:
        """Nobody labels elsewhere."""
        return {"labelled": 0, "changed": 0, "unchanged": 0}

    def acknowledge(self, alert_id: int, by: str, note: str) -> dict[str, Any]:
        """There are none."""
        return self.alert(alert_id)

    def resolve(self, alert_id: int, by: str, note: str) -> dict[str, Any]:
        """There are none."""
        return self.alert(alert_id)


@dataclass(frozen=True, slots=True)
class Gateway:
    """What `demos.client.Gateway` asks for."""

    repository: Models
    monitor: TableMonitor
    settings: Settings


@dataclass(frozen=True, slots=True)
class House:
    """A gateway with two demos, its guard and its database."""

    app: FastAPI
    guard: ShareGuard
    links: ShareLinks
    gateway: Gateway
    database: Database

    def queue(self) -> list[Any]:
        """Everything on the relabel queue."""
        with self.database.connect() as connection:
            return list(connection.execute(select(relabel_items)).all())


def build_house(home: Path, settings: Settings = SETTINGS, page: str = "") -> House:
    """`headline-sentiment` (abstains below 0.6) and `other`, with API routes beside them, behind the guard.

    Args:
        home: folder of its store and database.
        settings: its limits.
        page: `demo.py` that the run of the first one brought.
    """
    store = BundleStore(home / "bundles")
    database = open_database(f"sqlite:///{home / 'state.db'}")
    monitor = TableMonitor(database)
    served = {
        "headline-sentiment": bundles.sentiment(store, "headline-sentiment", threshold=0.6, fallback="unsure"),
        "other": bundles.wordpieces(store, "other"),
    }
    if page:
        served["headline-sentiment"] = bundles.with_page(store, served["headline-sentiment"], page)
    gateway = Gateway(
        Models({name: EngineModel(bundle, monitor) for name, bundle in served.items()}), monitor, settings
    )
    app = FastAPI()

    @app.get("/metrics")
    async def metrics() -> str:
        return "up 1"

    @app.get("/models")
    async def models() -> list[str]:
        return sorted(served)

    mount_demos(app, gateway, Demos(gateway))
    links = ShareLinks(database, b"a secret of thirty-two bytes ...")
    return House(app, ShareGuard(app, links, ShareMeter(links)), links, gateway, database)
