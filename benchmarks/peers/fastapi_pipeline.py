"""What people write first: a FastAPI `def` endpoint around a transformers pipeline, in PyTorch.

One uvicorn process; PyTorch uses both cores in each run, its default. A list goes to the pipeline in batches of 32.
Source: huggingface.co/docs/transformers, "Pipelines for webservers" and "Pipeline batching".
"""

import os
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

app = FastAPI()
classify = pipeline("text-classification", model=os.environ["MODEL_FOLDER"] + "/checkpoint", device="cpu")


class Request(BaseModel):
    """One text or several."""

    inputs: str | list[str]


@app.post("/predict")
def predict(request: Request) -> list[dict[str, Any]]:
    """Label and score of each text."""
    texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
    answers: list[dict[str, Any]] = classify(texts, batch_size=32, truncation=True)
    return answers


@app.get("/ready")
def ready() -> str:
    """Answers once the model is loaded."""
    return "ready"


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
