"""What MLflow's own scoring server answers; runs in the export environment: `mlflow_reference.py REQUESTS`.

REQUESTS is a JSON file of `[content type, body]` pairs. Serves a tiny text classifier of the transformers flavour, and
prints one JSON document: a `[status, keys of the answer]` pair for each request.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import mlflow
from fastapi.testclient import TestClient
from mlflow.pyfunc.scoring_server import init
from transformers import pipeline

from tests.exporters.models import tiny_bert

warnings.simplefilter("ignore")


def main(requests: str) -> None:
    """Ask and print."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = tiny_bert(Path(folder) / "checkpoint")
        classifier = pipeline("text-classification", model=str(checkpoint), tokenizer=str(checkpoint))
        mlflow.transformers.save_model(classifier, f"{folder}/model", pip_requirements=["transformers"])
        client = TestClient(init(mlflow.pyfunc.load_model(f"{folder}/model")), raise_server_exceptions=False)
        answers = [
            client.post("/invocations", content=body.encode(), headers={"content-type": kind})
            for kind, body in json.loads(Path(requests).read_text())
        ]
        print(json.dumps([[answer.status_code, _keys(answer)] for answer in answers]))  # noqa: T201


def _keys(answer: Any) -> Any:
    """The keys of an answer, and of its predictions; its media type where it is no JSON."""
    if not answer.headers["content-type"].startswith("application/json"):
        return answer.headers["content-type"].partition(";")[0]
    document = answer.json()
    rows = document.get("predictions", []) if isinstance(document, dict) else []
    return [sorted(document), [sorted(row) for row in rows]]


if __name__ == "__main__":
    main(*sys.argv[1:])
