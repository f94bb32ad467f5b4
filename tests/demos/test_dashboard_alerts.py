"""Alerts and drift on the dashboard: what is told, and who may decide, from this server's own form."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from demos.dashboard.content import Figure, Markup, Page
from demos.dashboard.page import render
from demos.dashboard.views import VIEWS
from demos.dashboard.visit import NoRuns, Visit
from monitoring.alerts import find
from serving.access import ADMIN, ANNOTATE, PREDICT
from tests.demos.reports import HOSTILE, drift_report
from tests.demos.watched_gateway import Watched, on_watched, table
from tests.serving.apps import Running, on_gateway
from tidegate.errors import InvalidInput, ItemNotFound

ALERTS, DRIFT = "/dashboard/alerts", "/dashboard/models/{model}/drift"
FROM_HERE = {"sec-fetch-site": "same-origin"}


def markup(page: Page) -> str:
    """What a page says beside its tables and figures."""
    return "".join(part.html for section in page.sections for part in section.parts if isinstance(part, Markup))


def hostile_alert(number: int = 7) -> dict[str, Any]:
    """An alert whose every text is somebody else's."""
    named = {"kind": HOSTILE, "severity": HOSTILE, "message": HOSTILE, "note": HOSTILE, "acknowledged_by": HOSTILE}
    return named | {
        "id": number, "model": "sentiment", "version": 1, "state": "acknowledged", "event": "acknowledged",
        "features": [{"name": HOSTILE, "score": 0.4, "threshold": 0.2}], "detail": {}, "window_id": 3,
        "window_ids": [3, 4], "occurrences": 2, "quiet_windows": 0, "relabel_items_queued": 10, "opened_at": 1e9,
        "last_seen_at": 1e9 + 60, "acknowledged_at": 1e9 + 120, "resolved_at": None, "resolved_by": "",
    }  # fmt: skip


def test_without_alerts_the_page_says_what_would_raise_one(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        page = await g.view(ALERTS, {})

        assert page.lead == "No alert: none was raised, or none is in that state."
        assert "two of three windows" in table(page, "alerts").empty
        assert "webhook_url" in table(page, "deliveries").empty

    on_watched(tmp_path, scenario)


def test_an_alert_is_told_on_a_strip_a_card_and_in_the_table(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        alert = g.drift()
        page = await g.view(ALERTS, {})
        none = await g.view(ALERTS, {}, state="resolved")

        assert "1 waits for somebody to look" in page.lead
        assert [part.caption for part in page.sections[0].parts if isinstance(part, Figure)]
        assert f'id="alert-{alert}"' in markup(page)
        assert [getattr(row[0], "word", "") for row in table(page, "alerts").rows] == [str(alert)]
        assert table(none, "alerts").rows == []
        with pytest.raises(InvalidInput, match="ask for one of: open"):
            await g.view(ALERTS, {}, state="closed")

    on_watched(tmp_path, scenario)


def test_the_drift_of_an_alert_is_told_with_its_windows_features_and_texts(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        alert = g.drift()
        page = await g.view(DRIFT, {"model": "sentiment"}, alert=str(alert))

        assert "differ from what this model was made for" in page.lead
        assert len(table(page, "windows").rows) == 6
        assert {"What changed", "Example inputs", "Windows", "Features"} <= {
            word.split("</h2>")[0] for word in markup(page).split("<h2>")
        }
        assert f"drift/sentiment?version=1&amp;alert={alert}" in markup(page)
        with pytest.raises(ItemNotFound):
            await g.view(DRIFT, {"model": "sentiment"}, alert="99")
        with pytest.raises(InvalidInput):
            await g.view(DRIFT, {"model": "sentiment"}, alert="x")

    on_watched(tmp_path, scenario)


def test_texts_of_others_are_text_never_markup(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        g.monitor.found, g.monitor.report = [hostile_alert()], drift_report() | {"model": "sentiment"}
        for address, path in ((ALERTS, {}), (DRIFT, {"model": "sentiment"})):
            page = await VIEWS[address](Visit(g.app.state.gateway, NoRuns(), path, {}))
            drawn = render(page, address)
            assert HOSTILE not in drawn
            assert "style=" not in drawn, "the policy would drop it"

    on_gateway(tmp_path, scenario)


async def send(g: Watched, alert: int, key: str, **headers: str) -> httpx.Response:
    """The form of the page."""
    return await g.client.post(
        f"/dashboard/alerts/{alert}?model=sentiment",
        data={"do": "acknowledge", "note": "I look"},
        headers={"authorization": f"Bearer {key}"} | headers,
    )


def test_who_may_administer_acknowledges_and_resolves_with_a_note_and_others_see_no_buttons(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        alert = g.drift()
        for role, shown in ((ANNOTATE, False), (ADMIN, True)):
            page = await g.client.get(ALERTS, headers={"authorization": f"Bearer {g.keys[role]}"})
            assert ("Acknowledge</button>" in page.text) is shown
        for role in (PREDICT, ANNOTATE):
            assert (await send(g, alert, g.keys[role])).status_code == 403
        assert find(g.house.database, alert).state == "open"

        done = await send(g, alert, g.keys[ADMIN])
        seen = find(g.house.database, alert)
        assert (done.status_code, done.headers["location"]) == (303, "/dashboard/alerts?model=sentiment")
        assert (seen.state, seen.acknowledged_by, seen.note) == ("acknowledged", "admin", "I look")
        over = await g.client.post(
            f"/dashboard/alerts/{alert}", data={"do": "resolve"}, headers={"x-api-key": g.keys[ADMIN]}
        )
        assert (over.status_code, find(g.house.database, alert).state) == (303, "resolved")

    on_watched(tmp_path, scenario, keys=True)


def test_a_form_of_another_site_decides_nothing_and_that_of_this_one_works_by_the_cookie(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        key, alert = g.keys[ADMIN], g.drift()
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
        ):
            assert (await send(g, alert, key, **headers)).status_code == 403, headers
        await g.client.post("/login", data={"key": key}, headers=FROM_HERE)
        sent = {"do": "acknowledge"}
        elsewhere = await g.client.post(
            f"/dashboard/alerts/{alert}", data=sent, headers={"sec-fetch-site": "cross-site"}
        )
        assert (elsewhere.status_code, find(g.house.database, alert).state) == (401, "open")

        here = await g.client.post(f"/dashboard/alerts/{alert}", data=sent, headers=FROM_HERE)
        assert (here.status_code, find(g.house.database, alert).acknowledged_by) == (303, "admin")

    on_watched(tmp_path, scenario, keys=True)


def test_without_keys_a_form_of_another_site_decides_nothing_either(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        alert = g.drift()
        at, sent = f"/dashboard/alerts/{alert}", {"do": "resolve"}
        refused = await g.client.post(at, data=sent, headers={"sec-fetch-site": "cross-site"})
        wrong = await g.client.post(at, data={"do": "delete"}, headers=FROM_HERE)
        long = await g.client.post(at, data=sent | {"note": "x" * 2_001}, headers=FROM_HERE)
        nobody = await g.client.post("/dashboard/alerts/99", data=sent, headers=FROM_HERE)
        no_form = await g.client.post(at, json=sent, headers=FROM_HERE)

        assert [one.status_code for one in (refused, wrong, long, nobody, no_form)] == [403, 422, 422, 404, 415]
        assert find(g.house.database, alert).state == "open"

    on_watched(tmp_path, scenario)
