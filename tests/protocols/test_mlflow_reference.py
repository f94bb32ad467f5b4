"""The same requests to MLflow's own scoring server and to Tidegate: the same answers, but for what is listed."""

import json
import subprocess
from typing import Any

import httpx
import pytest

from tests.protocols.classifiers import DOWN, UP
from tests.protocols.classifiers import two_models as two_models
from tests.servers import Server, environment, export_python
from tidegate.environments import CHECKOUT

pytestmark = pytest.mark.slow

JSON, CSV = "application/json", "text/csv"
BODIES: list[Any] = [
    {"dataframe_split": {"columns": ["text"], "data": [[UP], [DOWN]]}},
    {"dataframe_split": {"columns": ["text"], "index": [3, 4], "data": [[UP], [DOWN]]}},
    {"dataframe_records": [{"text": UP}, {"text": DOWN}]},
    {"inputs": [UP, DOWN]},
    {"inputs": [[UP], [DOWN]]},
    {"inputs": UP},
    {"inputs": [UP], "params": {}},
    {"instances": [UP, DOWN]},
    {"instances": [[UP]]},
    {"instances": [{"text": UP}]},
    [UP],
    {},
    {"inputs": [UP], "instances": [UP]},
    {"data": [UP]},
    {"inputs": []},
    {"inputs": None},
    {"inputs": [42]},
    {"dataframe_records": {"text": [UP]}},
    {"dataframe_split": [[UP]]},
    {"dataframe_split": {"columns": ["a", "text"], "data": [[UP]]}},
]
ALIKE: list[tuple[str, str]] = [
    *((JSON, json.dumps(body)) for body in BODIES),
    (JSON, "{"),
    (JSON, '"x"'),
    (f"{JSON}; charset=UTF-8", '{"inputs": ["a b"]}'),
    (f"{JSON}; charset=latin-1", "{}"),
    (f"{JSON}; profile=x", "{}"),
    (CSV, f"text\n{UP}\n"),
    (CSV, ""),
    ("text/plain", "x"),
]
# (request, MLflow's status, ours): what MLflow ignores is refused, and what it fails at is answered or told.
OTHERWISE: list[tuple[tuple[str, str], int, int]] = [
    ((JSON, json.dumps({"inputs": [UP], "extra": 1})), 200, 400),
    ((JSON, json.dumps({"inputs": [UP], "params": {"x": 1}})), 200, 400),
    ((JSON, json.dumps({"messages": []})), 500, 400),
    ((JSON, json.dumps({"inputs": {"text": [UP]}})), 400, 200),
    ((JSON, json.dumps({"dataframe_records": [{"sentence": UP}]})), 500, 200),
    ((CSV, f",text\n0,{UP}\n"), 500, 200),
]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """MLflow's answers to `ALIKE` and then `OTHERWISE`: status and keys."""
    file = tmp_path_factory.mktemp("reference") / "requests.json"
    file.write_text(json.dumps([*ALIKE, *(request for request, _, _ in OTHERWISE)]))
    command = [str(export_python()), "-m", "tests.protocols.mlflow_reference", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment())
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


def ours(server: Server, request: tuple[str, str]) -> httpx.Response:
    kind, body = request
    with server.client() as http:
        return http.post("/models/headlines/invocations", content=body.encode(), headers={"content-type": kind})


@pytest.mark.parametrize("number", range(len(ALIKE)))
def test_a_request_is_answered_as_mlflow_answers_it(two_models: Server, theirs: list[Any], number: int) -> None:
    status, shape = theirs[number]
    response = ours(two_models, ALIKE[number])

    assert response.status_code == status
    if isinstance(shape, str):
        assert response.headers["content-type"].startswith(shape)
        return
    keys, rows = shape
    assert set(response.json()) <= set(keys)  # MLflow adds a class, a state and a trace to errors, which nothing reads
    assert [sorted(row) for row in response.json().get("predictions", [])] == rows
    if status != 200:
        assert response.json().keys() == {"error_code", "message"}


@pytest.mark.parametrize("number", range(len(OTHERWISE)))
def test_where_the_answers_differ_it_is_known(two_models: Server, theirs: list[Any], number: int) -> None:
    request, mlflow, tidegate = OTHERWISE[number]

    assert theirs[len(ALIKE) + number][0] == mlflow
    assert ours(two_models, request).status_code == tidegate
