"""The routes of alerts: filters are checked, whoever acknowledges is named by the key, a body may be left out."""

from pathlib import Path
from typing import Any

import pytest

from serving.access import ADMIN, PREDICT
from serving.keys import ApiKeys
from tests.serving.apps import Running, on_gateway
from tidegate.store import open_database

ALERTS: list[dict[str, Any]] = [
    {"id": 2, "model": "b", "state": "open"},
    {"id": 1, "model": "a", "state": "resolved"},
]


def test_alerts_are_listed_by_model_and_state(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        g.monitor.found.extend(ALERTS)
        for query, ids in (("", [2, 1]), ("?model=a", [1]), ("?state=open", [2]), ("?model=a&state=open", [])):
            answer = await g.client.get(f"/alerts{query}")
            assert (answer.status_code, [alert["id"] for alert in answer.json()]) == (200, ids), query
        wrong = await g.client.get("/alerts?state=gone")
        assert wrong.status_code == 422
        assert "open, acknowledged, resolved" in wrong.json()["detail"]

    on_gateway(tmp_path, scenario)


@pytest.mark.parametrize("alert", ["7", "x", "-1", "%C2%B2", "9" * 40, "1.0", "<script>"])
def test_an_alert_that_is_not_there_is_404(tmp_path: Path, alert: str) -> None:
    async def scenario(g: Running) -> None:
        g.monitor.found.extend(ALERTS)
        for method, path in (("GET", ""), ("POST", "/ack"), ("POST", "/resolve")):
            answer = await g.client.request(method, f"/alerts/{alert}{path}")
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path

    on_gateway(tmp_path, scenario)


def test_a_note_may_be_left_out_and_a_wrong_body_is_refused(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        g.monitor.found.extend(ALERTS)
        assert (await g.client.get("/alerts/2")).json() == ALERTS[0]
        bare = await g.client.post("/alerts/2/ack")
        noted = await g.client.post("/alerts/2/resolve", json={"note": "naïve ☂"})
        assert (bare.json()["state"], bare.json()["note"]) == ("acknowledged", "")
        assert (noted.json()["state"], noted.json()["note"]) == ("resolved", "naïve ☂")
        for body in ({"note": 3}, {"not": "a note"}, ["note"], {"note": "x" * 2_001}):
            assert (await g.client.post("/alerts/2/ack", json=body)).status_code == 422, body
        typed = {"content-type": "text/plain"}
        assert (await g.client.post("/alerts/2/ack", content=b"{}", headers=typed)).status_code == 415
        assert (await g.client.post("/alerts/2/ack", content=b"{")).status_code == 400

    on_gateway(tmp_path, scenario)


def test_reading_takes_what_predicting_takes_and_changing_an_admin_who_is_named(tmp_path: Path) -> None:
    keys = ApiKeys(open_database(f"sqlite:///{tmp_path / 'state.db'}"))
    _, reader = keys.create("reader", PREDICT)
    _, admin = keys.create("ann", ADMIN)

    async def scenario(g: Running) -> None:
        g.monitor.found.extend(ALERTS)
        for key, reading, changing in (("", 401, 401), (reader, 200, 403), (admin, 200, 200)):
            headers = {"authorization": f"Bearer {key}"} if key else {}
            assert (await g.client.get("/alerts", headers=headers)).status_code == reading
            for change in ("ack", "resolve"):
                answer = await g.client.post(f"/alerts/2/{change}", headers=headers)
                assert answer.status_code == changing, (key, change)
        assert answer.json()["resolved_by"] == "ann"

    on_gateway(tmp_path, scenario, keys=keys)
