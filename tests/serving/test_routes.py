"""The routes beside prediction: models, cards, drift, feedback, health, metrics, documentation."""

import re
from html.parser import HTMLParser
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from serving.schemas import ModelDescription, ModelSummary
from tests import bundles
from tests.serving.apps import Running, on_gateway, routes_of
from tidegate.bundle_store import BundleStore

# For people, not for programs; each has a test of its own.
PAGES = ("/docs", "/openapi.json", "/login", "/logout", "/static")

JSON = {"content-type": "application/json"}


def test_models_are_listed_and_described_from_their_manifests(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"), threshold=0.6, fallback="unsure", verified_on="tests")

    async def scenario(g: Running) -> None:
        listed = [ModelSummary.model_validate(entry) for entry in (await g.client.get("/models")).json()]
        [model] = listed
        assert (model.name, model.status, model.version, model.variant) == ("sentiment", "ready", 1, "fp32")
        assert model.labels == list(bundles.LABELS)

        document = (await g.client.get("/models/sentiment")).json()
        described = ModelDescription.model_validate(document)
        assert set(document) <= set(ModelDescription.model_fields)
        assert described.threshold == 0.6
        assert described.fallback_label == "unsure"
        assert described.samples == list(bundles.SAMPLES)
        assert described.evidence is not None
        assert described.evidence[0]["accuracy"] == 1.0
        assert described.lineage is not None
        assert described.lineage["source_uri"] == "tests"
        assert described.device == "cpu"
        assert described.device_reason
        assert described.warnings is not None
        assert "verified on another machine (tests;" in described.warnings[0]

    on_gateway(tmp_path, scenario)


def test_the_card_is_markdown_that_says_what_the_manifest_says(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"), threshold=0.6, fallback="unsure", verified_on="tests")

    async def scenario(g: Running) -> None:
        response = await g.client.get("/models/sentiment/card")

        assert response.headers["content-type"] == "text/markdown; charset=utf-8"
        text = response.text
        assert text.startswith("# sentiment, version 1\n")
        assert "below a probability of 0.600 it answers 'unsure'" in text
        assert "| fp32 | accepted | 1.000 (0.900 to 1.000) |" in text
        assert all(sample in text for sample in bundles.SAMPLES)
        assert "> Warning: variant fp32 was verified on another machine" in text

    on_gateway(tmp_path, scenario)


def test_unknown_models_are_not_found_by_any_route(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        for path in ("/models/none", "/models/none/card", "/models/none/drift"):
            response = await g.client.get(path)

            assert response.status_code == 404, path
            assert "served: sentiment, wordpieces" in response.json()["detail"]
        response = await g.client.post("/models/none/feedback", json={"prediction_id": "a", "label": "b"})
        assert response.status_code == 404

    on_gateway(tmp_path, scenario)


def test_drift_is_what_the_monitor_says_of_the_served_version(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        response = await g.client.get("/models/sentiment/drift")

        assert response.json() == g.monitor.drift("sentiment", 1)

    on_gateway(tmp_path, scenario)


def test_feedback_names_a_prediction_and_gets_the_items_id(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        answered = await g.client.post("/models/sentiment/predict", json={"inputs": "profit"})
        prediction_id = answered.headers["x-prediction-id"]
        sent = {"prediction_id": prediction_id, "label": "negative", "comment": "it was irony"}

        response = await g.client.post("/models/sentiment/feedback", json=sent)

        assert response.status_code == 201
        assert response.json() == {"item_id": "item-1"}
        assert g.monitor.corrections == [(prediction_id, "negative", "it was irony")]

    on_gateway(tmp_path, scenario)


def test_bad_feedback_gets_a_clear_problem(tmp_path: Path) -> None:
    cases: list[tuple[bytes, int, str]] = [
        (b"{", 400, "not JSON"),
        (b"[]", 422, "expected a JSON object"),
        (b'{"label": "a"}', 422, "/prediction_id: Field required"),
        (b'{"prediction_id": 3, "label": "a"}', 422, "/prediction_id: Input should be a valid string"),
        (b'{"prediction_id": "a", "label": ""}', 422, "/label"),
        (b'{"prediction_id": "a", "label": "b", "why": 1}', 422, "/why: unknown key"),
        (b'{"prediction_id": "a", "label": "b", "comment": "' + b"x" * 1_001 + b'"}', 422, "/comment"),
        (b'{"prediction_id": "nobody", "label": "neutral"}', 404, "no prediction 'nobody' is kept"),
        (b"x" * 3_000_000, 413, "more than 2000000 bytes"),
    ]

    async def scenario(g: Running) -> None:
        for body, status, words in cases:
            response = await g.client.post("/models/sentiment/feedback", content=body, headers=JSON)

            assert response.status_code == status, body[:60]
            assert words in response.json()["detail"], body[:60]
            assert len(response.content) < 700
        wrong_type = await g.client.post(
            "/models/sentiment/feedback", content=b"{}", headers={"content-type": "text/plain"}
        )
        assert wrong_type.status_code == 415

    on_gateway(tmp_path, scenario)


def test_health_is_answered_before_the_models_are_ready_and_readiness_is_not(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        assert (await g.client.get("/healthz")).json() == {"status": "ok"}
        response = await g.client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["models"]["sentiment"] == {"status": "loading"}
        refused = await g.client.post("/models/sentiment/predict", json={"inputs": "profit"})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert "still loading" in refused.json()["detail"]
        assert (await g.client.get("/models/sentiment")).json() == {"name": "sentiment", "status": "loading"}

    on_gateway(tmp_path, scenario, ready=False)


def test_metrics_parse_and_count_what_happened(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        await g.client.post("/models/sentiment/predict", json={"inputs": ["profit", "loss"]})
        await g.client.post("/models/sentiment/predict", json={"inputs": ""})
        for name in ("nobody", "somebody", "x" * 500):
            await g.client.post(f"/models/{name}/predict", json={"inputs": "a"})

        text = (await g.client.get("/metrics")).text

        families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families.values()
            for sample in family.samples
        }
        model = ("model", "sentiment")
        assert samples["tidegate_requests_total", model, ("outcome", "200")] == 1
        assert samples["tidegate_requests_total", model, ("outcome", "422")] == 1
        assert samples["tidegate_requests_total", ("model", ""), ("outcome", "404")] == 3
        assert samples["tidegate_texts_total", model] == 2
        assert samples["tidegate_model_ready", model] == 1
        assert samples["tidegate_requests_in_flight", model] == 0
        info = (("device", "cpu"), model, ("variant", "fp32"), ("version", "1"))
        assert samples[("tidegate_model_info", *info)] == 1
        for stage in ("request", "queue", "tokenize"):
            assert samples[f"tidegate_{stage}_seconds_count", model] == 1
        assert samples["tidegate_infer_seconds_count", model] >= 1
        assert all(family.documentation for family in families.values())
        assert {
            sample.labels["model"] for f in families.values() for sample in f.samples if "model" in sample.labels
        } == {
            "",
            "sentiment",
            "wordpieces",
        }

    on_gateway(tmp_path, scenario)


def test_the_documentation_loads_from_this_server_alone(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        root = await g.client.get("/")
        assert (root.status_code, root.headers["location"]) == (307, "/docs")
        page = await g.client.get("/docs")
        links = _links(page.text)
        assert len(links) == 4
        for link in links:
            assert not re.match(r"[a-z]*:?//", link)
            assert (await g.client.get(f"/{link}")).status_code == 200, link
        assert "http" not in page.headers["content-security-policy"]
        assert "script-src 'self';" in page.headers["content-security-policy"]
        assert "validatorUrl: null" in (await g.client.get("/docs/start.js")).text

    on_gateway(tmp_path, scenario)


def test_openapi_describes_every_route_with_its_parameters_and_answers(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        document = (await g.client.get("/openapi.json")).json()

        served = {path for _, path in routes_of(g.app.routes)}
        assert {"/models", "/models/{model}/predict", "/models/{model}/traffic", "/readyz"} <= set(document["paths"])
        assert set(document["paths"]) <= served
        assert {path for path in served - set(document["paths"]) if not path.startswith(PAGES)} == {"/"}
        predict = document["paths"]["/models/{model}/predict"]["post"]
        assert {parameter["name"] for parameter in predict["parameters"]} == {
            *("model", "x-deadline-ms", "x-caller-key", "x-priority")
        }
        assert set(predict["responses"]) == {
            str(status) for status in (200, 400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504)
        }
        schema = predict["requestBody"]["content"]["application/json"]["schema"]
        assert schema["required"] == ["inputs"]
        assert "top_k" in str(schema["properties"]["parameters"])
        components = document["components"]["schemas"]
        references = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
        assert references <= set(components)
        assert "$defs" not in str(document)

    on_gateway(tmp_path, scenario)


def _links(html: str) -> list[str]:
    """Everything that the page loads."""
    found: list[str] = []

    class Collector(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for name, value in attrs if name in ("src", "href") and value)

    Collector().feed(html)
    return found
