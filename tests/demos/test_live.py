"""The live view: its ring of points, its figures as JSON, and the page with and without a script."""

import asyncio
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, expect
from starlette.types import ASGIApp

from demos.dashboard.app import mount_dashboard
from demos.dashboard.ring import KEPT_SECONDS, LEAST_SECONDS, MOST_POINTS, Ring
from tests import bundles
from tests.demos.browser import chromium, keep, watched
from tests.servers import Server, running
from tests.serving.apps import Running, gateway
from tidegate.bundle_store import BundleStore


def dashboard(app: FastAPI) -> ASGIApp:
    mount_dashboard(app)
    return app


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def ask(g: Running, count: int = 1) -> None:
    for _ in range(count):
        answer = await g.client.post("/models/sentiment/predict", json={"inputs": "profit rises"})
        assert answer.status_code == 200


def test_the_ring_reads_no_oftener_than_it_may_keeps_a_quarter_of_an_hour_and_thins_what_is_long(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with gateway(tmp_path) as g:
            clock = Clock()
            ring, served = Ring(clock), g.app.state.gateway
            await ring.advance(served)
            await ask(g, 3)
            clock.now += LEAST_SECONDS - 0.1
            await ring.advance(served)
            assert ring.points() == [], "somebody just read"
            clock.now += 0.2
            await asyncio.gather(*(ring.advance(served) for _ in range(5)))
            (point,) = ring.points()
            assert sum(point["plots"]["statuses"].values()) == pytest.approx(3 / (LEAST_SECONDS + 0.1), abs=0.01)
            assert ring.points("wordpieces")[0]["plots"] == {}
            for _ in range(700):
                clock.now += LEAST_SECONDS
                await ring.advance(served)
            kept = ring.points()
            assert len(kept) <= MOST_POINTS
            assert kept[-1]["at"] == clock.now
            assert kept[0]["at"] >= clock.now - KEPT_SECONDS

    asyncio.run(main())


def test_the_figures_are_told_since_a_moment_and_of_one_model(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path, compose=dashboard) as g:
            first = (await g.client.get("/dashboard/live.json")).json()
            await ask(g, 2)
            await asyncio.sleep(LEAST_SECONDS)
            told = (await g.client.get("/dashboard/live.json?model=sentiment")).json()
            later = (await g.client.get(f"/dashboard/live.json?since={told['points'][-1]['at']}")).json()

            assert first["points"] == []
            assert told["points"][-1]["plots"]["requests"]["sentiment"] > 0
            assert [row[0] for row in told["rows"]] == ["sentiment"]
            assert "requests a second" in told["said"]
            assert later["points"] == []
            assert (await g.client.get("/dashboard/live.json?model=nope")).status_code == 404
            for since in ("x", "-1", "nan", "inf"):
                assert (await g.client.get(f"/dashboard/live.json?since={since}")).status_code == 422

    asyncio.run(main())


def test_the_page_says_the_same_without_a_script(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path, compose=dashboard) as g:
            assert "after a few seconds" in (await g.client.get("/dashboard/live")).text
            await ask(g, 2)
            await asyncio.sleep(LEAST_SECONDS)
            page = (await g.client.get("/dashboard/live")).text
            table = (await g.client.get("/dashboard/live?csv=now")).text

            assert '<noscript><meta http-equiv="refresh" content="15"></noscript>' in page
            assert 'data-plot="latency"' in page
            assert [row[0] for row in csv.reader(io.StringIO(table))] == ["model", "all", "sentiment", "wordpieces"]
            one = (await g.client.get("/dashboard/live?model=sentiment")).text
            assert 'data-plot="memory"' not in one
            assert '<option value="sentiment" selected>' in one
            assert (await g.client.get("/dashboard/live?model=<b>")).status_code == 404

    asyncio.run(main())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    bundles.sentiment(BundleStore(home / "bundles"))
    with running(["serve"], home) as started:
        yield started


def predict(server: Server, times: int) -> None:
    for _ in range(times):
        httpx.post(f"{server.url}/models/sentiment/predict", json={"inputs": "profit rises"}).raise_for_status()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_the_page_follows_pauses_and_goes_on(browser: Browser, server: Server, width: int, dark: bool) -> None:
    context, watch = watched(browser, server.url, width=width, dark=dark)
    page = context.new_page()
    predict(server, 5)
    page.goto(f"{server.url}/dashboard/live")
    expect(page.locator("#live-state")).to_contain_text("Newest figures")
    expect(page.locator("#now tbody th")).to_have_text(["all", "sentiment"])
    expect(page.locator('[data-plot="latency"] .legend li')).to_have_text(["p50", "p95", "p99"])
    keep(page, f"live-{width}-{'dark' if dark else 'light'}")

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#live-state")).to_contain_text("Paused")
    asked = len(watch.requests)
    page.wait_for_timeout(2_500)
    assert len(watch.requests) == asked
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#live-state")).to_contain_text("Newest figures")
    assert len(watch.requests) > asked

    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()


@pytest.mark.slow
def test_a_lost_connection_is_said_and_found_again(browser: Browser, server: Server) -> None:
    context, _ = watched(browser, server.url)
    page = context.new_page()
    page.goto(f"{server.url}/dashboard/live")
    expect(page.locator("#live-state")).to_contain_text("Newest figures")
    context.set_offline(True)
    expect(page.locator("#live-state")).to_contain_text("asking again in", timeout=10_000)
    context.set_offline(False)
    expect(page.locator("#live-state")).to_contain_text("Newest figures", timeout=10_000)
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_a_chosen_theme_is_there_before_the_page_is_painted_and_the_button_says_what_it_does(
    browser: Browser, server: Server, dark: bool
) -> None:
    context, watch = watched(browser, server.url, dark=dark)
    page = context.new_page()
    page.goto(f"{server.url}/dashboard")

    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    browsers = paper()
    page.get_by_role("button", name="Theme: as the browser. Change to light").click()
    light = paper()
    page.get_by_role("button", name="Theme: light. Change to dark").click()
    chosen = paper()
    assert chosen != light
    assert browsers == (chosen if dark else light)

    # `theme.js` alone, which is waited for before the first paint, has set it: the module never comes.
    page.route("**/dashboard/page.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
    page.reload()
    assert paper() == chosen
    page.unroute("**/dashboard/page.js")
    page.reload()
    page.get_by_role("button", name="Theme: dark. Change to as the browser").click()
    page.reload()
    assert paper() == browsers
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()


@pytest.mark.slow
def test_a_hidden_tab_asks_for_nothing(browser: Browser, server: Server) -> None:
    context, watch = watched(browser, server.url)
    page = context.new_page()
    page.add_init_script("Object.defineProperty(document, 'hidden', { get: () => true })")
    page.goto(f"{server.url}/dashboard/live")
    expect(page.locator("#live-state")).to_have_text("Asking for figures")
    page.wait_for_timeout(2_500)
    assert not [url for url in watch.requests if "live.json" in url]
    context.close()
