"""What the request path costs without its model: each step that was made cheaper, before and after, in one run.

Calls the ASGI app directly, with a model that answers at once, so that nothing but the path is timed: through the
router with FastAPI's own handling of bodies and answers (what a plain FastAPI endpoint pays), through the router with
our handling, and by the hot route in front of it. Beside it two steps on their own: ids and token arrays.
Limits: one process, no sockets; uvicorn's own work comes on top of each.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Scope

from serving import predict
from serving.auth import Door
from serving.caller import Caller
from serving.gateway import Gateway
from serving.metrics import ServingMetrics
from serving.observe import Observed
from serving.predictions import Predictions, Timings, random_ids
from serving.rollouts import Rollouts
from serving.schemas import LabelScore, PredictRequest
from tidegate.bundle_store import BundleStore
from tidegate.records import Monitor
from tidegate.settings import Settings
from tidegate.tasks import Answer

_CALLS = 2_000
_ANSWER = Answer("neutral", 0.7, False, (0.1, 0.7, 0.2))
_LABELS = ("negative", "neutral", "positive")
_BODY = b'{"inputs": "The order was valued at over EUR 15mn ."}'


class _Instant:
    """A served model without a model."""

    manifest = SimpleNamespace(task="text-classification")

    def get(self, _name: str) -> "_Instant":
        """Stands for the repository as well."""
        return self

    def admit(self, _name: str, _deadline: float | None, _caller: Caller) -> None:
        """There is always room."""

    async def predict(self, _name: str, texts: Sequence[str], **_: object) -> Predictions:
        """The same answer each time."""
        timings = Timings(0.001, 0.001, 0.001)
        return Predictions("0" * 32, ["0" * 32], [_ANSWER] * len(texts), _LABELS, "m", 1, "int8", timings)


def measure_path(repeats: int) -> list[tuple[str, float, float]]:
    """(step, microseconds before, microseconds after), medians over `repeats`."""
    plain, ours = _plain_app(), _our_app()
    routed = cast(ASGIApp, ours.router)
    hot = predict.HotRoute(routed, ours.state.gateway)
    pool = random_ids()
    lists = [list(range(30)) for _ in range(3)]
    ones = np.ones(512, dtype=np.int64)
    return [
        ("FastAPI endpoint -> lean route", _request(plain, repeats), _request(routed, repeats, ours)),
        ("lean route -> hot route", _request(routed, repeats, ours), _request(hot, repeats, ours)),
        ("hot route -> with request ids", _request(hot, repeats, ours), _request(Observed(hot), repeats, ours)),
        ("uuid4 -> ids from pooled randomness", _each(lambda: uuid.uuid4().hex, repeats), _each(pool, repeats)),
        (
            "three token lists to arrays -> one, two slices",
            _each(lambda: [np.asarray(one, dtype=np.int64) for one in lists], repeats),
            _each(lambda: [np.asarray(lists[0], dtype=np.int64), ones[:30], ones[:30]], repeats),
        ),
    ]


def _plain_app() -> FastAPI:
    app, model = FastAPI(), _Instant()

    @app.post("/models/{model_name}/predict")
    async def answer(model_name: str, request: PredictRequest) -> list[list[LabelScore]]:
        texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        predictions = await model.predict(model_name, texts)
        return [
            [LabelScore(label=label, score=score) for label, score in zip(_LABELS, each.scores, strict=True)]
            for each in predictions.answers
        ]

    return app


def _our_app() -> FastAPI:
    app, registry = FastAPI(), CollectorRegistry()
    repository: Any = _Instant()
    bundles, rollouts, monitor = BundleStore(Path()), cast(Rollouts, None), cast(Monitor, None)
    metrics, door = ServingMetrics(registry), Door(Settings())
    app.state.gateway = Gateway(Settings(), bundles, repository, rollouts, monitor, metrics, registry, door)
    app.include_router(predict.router)
    return app


def _request(target: ASGIApp, repeats: int, app: FastAPI | None = None) -> float:
    """Microseconds of one request, from scope to the last byte of the answer."""

    async def once() -> None:
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/models/m/predict",
            "raw_path": b"/models/m/predict",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))],
            **({"app": app} if app else {}),
        }
        await target(scope, _receive, _check)

    return _per_call(once, repeats)


async def _receive() -> Message:
    return {"type": "http.request", "body": _BODY, "more_body": False}


async def _check(message: Message) -> None:
    if message.get("status", 200) != 200:
        raise AssertionError(message)


def _per_call(once: Callable[[], Awaitable[None]], repeats: int) -> float:
    async def run() -> list[float]:
        seconds = []
        for _ in range(repeats + 1):  # the first one warms up
            started = time.perf_counter()
            for _ in range(_CALLS):
                await once()
            seconds.append((time.perf_counter() - started) / _CALLS)
        return seconds[1:]

    return median(asyncio.run(run())) * 1e6


def _each(step: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        for _ in range(_CALLS):
            step()
        seconds.append((time.perf_counter() - started) / _CALLS)
    return median(seconds) * 1e6
