"""The views of data, drift and alerts in a browser, on a phone and a desk: nothing from outside, no complaint."""

from pathlib import Path

import pytest

from tests.demos.browser import chromium, keep, watched
from tests.demos.watched_gateway import make_house
from tests.servers import running

pytestmark = pytest.mark.slow

VIEWS = {
    "data": "models/sentiment/data",
    "feature": "models/sentiment/features/words?by=hour",
    "answers": "models/sentiment/features/label",
    "drift": "models/sentiment/drift",
    "alerts": "alerts",
    "embeddings": "models/embedder/data",
}


def test_the_views_fit_and_an_alert_is_acknowledged_without_a_script(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    alert = house.drift()
    house.database.dispose()
    with running(["serve"], tmp_path) as server, chromium() as browser:
        for width, dark in ((390, False), (1440, False), (1440, True)):
            context, watch = watched(browser, server.url, width=width, dark=dark)
            page = context.new_page()
            for name, at in VIEWS.items():
                page.goto(f"{server.url}/dashboard/{at}")
                keep(page, f"dashboard-{name}-{width}-{'dark' if dark else 'light'}")
                assert page.evaluate("document.documentElement.scrollWidth") == width, name
                assert page.get_by_role("heading", level=1).count() == 1, name
            assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
            context.close()

        plain = browser.new_context(java_script_enabled=False)
        page = plain.new_page()
        page.goto(f"{server.url}/dashboard/alerts?state=open")
        page.get_by_label("Note").fill("the film page links here since Monday")
        page.get_by_role("button", name="Acknowledge").click()
        assert page.url == f"{server.url}/dashboard/alerts?state=open"
        assert page.get_by_text("No alert:").is_visible()
        page.goto(f"{server.url}/dashboard/alerts?state=acknowledged#alert-{alert}")
        assert page.locator(f"#alert-{alert}").get_by_text("the film page links here").is_visible()
