"""A real HTTP server with a known capacity: it answers the predict contract, one request after the other.

Each request takes exactly `service_seconds` of a single virtual worker, so its capacity is 1 / service_seconds
requests a second, whatever the clock's granularity: a request starts when the one before it has ended.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

LABELS = ["negative", "neutral", "positive"]


class Toy:
    """A model named `toy`; set the attributes to make it misbehave.

    Attributes:
        service_seconds: time that one request keeps the only worker.
        spoil: every so many predictions one is answered with `spoiled`; 0 spoils none.
        spoiled: that answer.
        card: what `GET /models/toy` answers.
        key: the API key asked for; none when empty.
        seen: what was sent, newest last.
    """

    def __init__(self, service_seconds: float = 0.0) -> None:
        self.service_seconds = service_seconds
        self.spoil = 0
        self.spoiled: Response = JSONResponse([[{"label": "no label of ours", "score": 0.5}]])
        self.card: Response = JSONResponse({"name": "toy", "version": 3, "labels": LABELS, "samples": ["profit rose"]})
        self.key = ""
        self.seen: list[Any] = []
        self.app = Starlette(
            routes=[
                Route("/models", self.models),
                Route("/models/toy", self.show),
                Route("/models/toy/predict", self.predict, methods=["POST"]),
            ]
        )
        self._free_at = 0.0

    async def models(self, request: Request) -> Response:
        """Names of the served models."""
        return JSONResponse([{"name": "toy"}])

    async def show(self, request: Request) -> Response:
        """The model's card."""
        return self._refusal(request) or self.card

    async def predict(self, request: Request) -> Response:
        """Wait for the worker, then answer every text alike."""
        refusal = self._refusal(request)
        if refusal:
            return refusal
        inputs = (await request.json())["inputs"]
        self.seen.append(inputs)
        number = len(self.seen)
        queued = await self._work()
        if self.spoil and number % self.spoil == 0:
            return self.spoiled
        ranking = [{"label": label, "score": score} for label, score in zip(LABELS, (0.7, 0.2, 0.1), strict=True)]
        timing = f"queue;dur={queued * 1e3:.3f}, tokenize;dur=0.1, infer;dur={self.service_seconds * 1e3:.3f}"
        return JSONResponse(
            [ranking] * (1 if isinstance(inputs, str) else len(inputs)), headers={"server-timing": timing}
        )

    async def _work(self) -> float:
        """Keep the worker for one service time; seconds spent waiting for it."""
        now = time.perf_counter()
        begins = max(now, self._free_at)
        self._free_at = begins + self.service_seconds
        if self.service_seconds:
            await asyncio.sleep(self._free_at - now)
        return begins - now

    def _refusal(self, request: Request) -> Response | None:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"detail": "no key"}, status_code=401)
        return None


@contextmanager
def served(toy: Toy) -> Iterator[str]:
    """Serve a toy on a free port of loopback; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(toy.app, log_level="error", ws="none", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
