"""A peer for tests: a real server in a process of its own that tells `rose` from the rest, or misbehaves on demand.

MOOD: `swayed` labels depend on who else is in the list; `refusing` answers 503; `dying` never starts. It leaves a
child behind that sleeps, as Ray does, so that tests see whether whole families are paused and ended.
"""

import os
import subprocess
import sys
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.peers.catalog import Peer

MOOD = os.environ.get("MOOD", "")


def toy(mood: str = "", bar: str = "simple") -> Peer:
    """The catalog's entry for it."""
    return Peer(
        name="toy",
        title="Toy",
        requirements=(),
        command=("-m", "tests.benchmarks.toy_peer"),
        path="/predict",
        ready_path="/ready",
        body=lambda texts: {"inputs": list(texts)},
        labels=lambda answer: [row["label"] for row in answer],
        bar=bar,
        environment=(("MOOD", mood),),
    )


async def predict(request: Request) -> Response:
    """A label for each text."""
    if MOOD == "refusing":
        return Response(status_code=503)
    texts = (await request.json())["inputs"]
    swayed = MOOD == "swayed" and len(texts) > 1
    return JSONResponse([label(text, swayed=swayed) for text in texts])


def label(text: str, *, swayed: bool) -> dict[str, Any]:
    """What it thinks of one text."""
    return {"label": "up" if "rose" in text and not swayed else "down", "score": 1.0}


async def ready(request: Request) -> Response:
    """It is."""
    return Response("ready")


if __name__ == "__main__":
    if MOOD == "dying":
        sys.exit("the toy has no model today")
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    app = Starlette(routes=[Route("/predict", predict, methods=["POST"]), Route("/ready", ready)])
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="error", access_log=False)
