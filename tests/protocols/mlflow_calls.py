"""Asks a running server by MLflow's own client; runs in the export environment: `mlflow_calls.py HOST PORT`.

Prints one JSON document: what each call came back with.
"""

import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import requests
from mlflow.models.utils import convert_input_example_to_serving_input
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

TEXTS = ["profit rises", "loss falls", "the company met analysts on monday"]


def refused(client: ScoringServerClient, data: Any, **options: Any) -> str:
    """What the client raises."""
    try:
        client.invoke(data, **options)
    except Exception as error:  # the client raises nothing narrower
        return str(error)
    return ""


def main(host: str, port: str) -> None:
    """Make the calls."""
    client = ScoringServerClient(host, int(port))
    client.wait_server_ready(timeout=10)
    frame = pd.DataFrame({"text": TEXTS})
    answers = {
        "frame": client.invoke(frame),
        "named otherwise": client.invoke(frame.rename(columns={"text": "sentence"})),
        "with an id": client.invoke(frame.assign(id=range(3))),
        "with an index": client.invoke(frame.set_index(pd.Index([7, 8, 9]))),
        "array": client.invoke(np.array(TEXTS)),
        "column of an array": client.invoke(np.array(TEXTS).reshape(-1, 1)),
        "list": client.invoke(TEXTS),
        "no params": client.invoke(TEXTS, params={}),
    }
    examples = {"frame": frame, "array": np.array(TEXTS), "list": TEXTS, "columns": {"text": TEXTS}, "one": TEXTS[0]}
    payloads = {name: convert_input_example_to_serving_input(example) for name, example in examples.items()}
    url, kind = f"http://{host}:{port}/invocations", {"Content-Type": "application/json"}
    told = {name: requests.post(url, data=body, headers=kind, timeout=10).json() for name, body in payloads.items()}
    table = requests.post(url, data=frame.to_csv(), headers={"Content-Type": "text/csv"}, timeout=10)
    document = {
        "answers": {name: answer["predictions"] for name, answer in answers.items()},
        "examples": {name: answer["predictions"] for name, answer in told.items()},
        "csv": table.json()["predictions"],
        "frame of answers": answers["frame"].get_predictions().to_dict(orient="list"),
        "version": client.get_version(),
        "refused": {
            "params": refused(client, TEXTS, params={"temperature": 1}),
            "numbers": refused(client, np.array([1.0, 2.0])),
            "columns": refused(client, pd.DataFrame({"a": TEXTS, "b": TEXTS})),
        },
    }
    print(json.dumps(document))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
