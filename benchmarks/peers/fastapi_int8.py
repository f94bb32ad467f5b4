"""The strongest simple rival: a FastAPI `def` endpoint, int8 on onnxruntime, one thread a run, no batching.

One uvicorn process with uvloop and httptools; the thread pool of FastAPI (40 threads) runs requests side by side,
and onnxruntime releases the interpreter, so both cores work. Requests are never merged; a list is run in the same
short pieces as everywhere (`int8`), because that is faster.
Source: fastapi.tiangolo.com/async, "Path operation functions"; onnxruntime.ai, "Thread management".
"""

import os
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.int8 import Classifier, as_list

app = FastAPI()
classifier = Classifier()


class Request(BaseModel):
    """One text or several."""

    inputs: str | list[str]


@app.post("/predict")
def predict(request: Request) -> list[dict[str, Any]]:
    """Label and score of each text."""
    return classifier.classify(as_list(request.inputs))


@app.get("/ready")
def ready() -> str:
    """Answers once the model is loaded."""
    return "ready"


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
