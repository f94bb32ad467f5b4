"""What is the same in every protocol of other servers: canary, caller, deadline, shedding, records, feedback's id."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests import bundles
from tests.serving.apps import Running, on_gateway
from tidegate.bundle_store import BundleStore

TEXT = "profit rises"
# address, body, the keys of an error
PROTOCOLS: dict[str, tuple[str, Any, set[str]]] = {
    "hf": ("/hf/sentiment", {"inputs": TEXT}, {"error"}),
    "tei": ("/tei/sentiment/predict", {"inputs": TEXT}, {"error", "error_type"}),
    "kserve": ("/v1/models/sentiment:predict", {"instances": [TEXT]}, {"error"}),
    "mlflow": ("/models/sentiment/invocations", {"inputs": [TEXT]}, {"error_code", "message"}),
    "mlflow, unnamed": ("/invocations", {"inputs": [TEXT]}, {"error_code", "message"}),
}
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def on_sentiment(home: Path, scenario: Any, versions: int = 1, **settings: Any) -> None:
    store = BundleStore(home / "bundles")
    for _ in range(versions):
        bundles.sentiment(store)
    if versions > 1:
        store.set_alias("sentiment", "canary", 2, 50)
    on_gateway(home, scenario, **settings)


@each_protocol
def test_callers_get_the_canary_or_not_and_stay_there(tmp_path: Path, protocol: str) -> None:
    path, body, _ = PROTOCOLS[protocol]

    async def scenario(g: Running) -> None:
        async def version_for(caller: str) -> str:
            response = await g.client.post(path, json=body, headers={"x-caller-key": caller})
            return response.headers["x-model-version"]

        callers = [f"caller {number}" for number in range(20)]
        first = [await version_for(caller) for caller in callers]
        assert set(first) == {"1", "2"}
        assert first == [await version_for(caller) for caller in callers]

    on_sentiment(tmp_path, scenario, versions=2)


@each_protocol
def test_an_answer_is_recorded_and_names_what_feedback_needs(tmp_path: Path, protocol: str) -> None:
    path, body, _ = PROTOCOLS[protocol]

    async def scenario(g: Running) -> None:
        response = await g.client.post(path, json=body)
        [record] = g.monitor.records
        assert (record.id, record.text) == (response.headers["x-prediction-id"], TEXT)
        assert response.headers["server-timing"].startswith("queue;dur=")

    on_sentiment(tmp_path, scenario)


@each_protocol
@pytest.mark.parametrize("status", [400, 415, 503])
def test_errors_have_the_shape_of_the_protocol(tmp_path: Path, protocol: str, status: int) -> None:
    path, body, keys = PROTOCOLS[protocol]

    async def scenario(g: Running) -> None:
        if status == 400:
            response = await g.client.post(path, json=body, headers={"x-deadline-ms": "soon"})
            assert "x-deadline-ms is 'soon'" in response.text
        elif status == 415:
            response = await g.client.post(path, content=b"x", headers={"content-type": "image/png"})
        else:
            await g.app.state.gateway.repository.unload("sentiment")
            response = await g.client.post(path, json=body)
            assert response.headers["retry-after"] == "1"
        assert response.status_code == status
        if protocol.startswith("mlflow") and status == 415:
            assert response.headers["content-type"].startswith("text/plain")
        else:
            assert response.json().keys() == keys

    on_sentiment(tmp_path, scenario)


@each_protocol
def test_callers_beyond_the_queue_are_told_when_to_come_back(tmp_path: Path, protocol: str) -> None:
    path, body, keys = PROTOCOLS[protocol]

    async def scenario(g: Running) -> None:
        responses = await asyncio.gather(*(g.client.post(path, json=body) for _ in range(200)))
        shed = [response for response in responses if response.status_code == 429]
        assert shed
        assert {response.status_code for response in responses} == {200, 429}
        assert all(int(response.headers["retry-after"]) >= 1 for response in shed)
        assert all(response.json().keys() == keys for response in shed)

    on_sentiment(tmp_path, scenario, max_queued=2)


def test_every_address_says_what_it_answers(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        paths = (await g.client.get("/openapi.json")).json()["paths"]
        for path, status in [
            ("/hf/{model}", "422"),
            ("/tei/{model}/predict", "424"),
            ("/v1/models/{model}:predict", "429"),
            ("/invocations", "415"),
            ("/models/{model}/invocations", "504"),
        ]:
            answers = paths[path]["post"]["responses"]
            assert {"200", "401", status} <= answers.keys(), path
            assert "application/problem+json" in answers["401"]["content"]
        assert set(paths["/invocations"]["post"]["requestBody"]["content"]) == {"application/json", "text/csv"}

    on_sentiment(tmp_path, scenario)
