"""A walk in Chromium through a whole server: models, runs, one run, a comparison; on a desk and on a phone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests import bundles
from tests.demos.browser import chromium, keep, watched
from tests.demos.dashboard.visits import RUN
from tests.servers import Server, running
from tidegate.bundle_store import BundleStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    bundles.wordpieces(BundleStore(home / "bundles"), "news", fault="lies")
    with running(["serve"], home, MLFLOW_TRACKING_URI=f"sqlite:///{home / 'none.db'}") as started:
        yield started


def fits(page: Page) -> bool:
    """Whether the page is no wider than the window; tables scroll in themselves."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_the_views_fit_and_stay_at_home(browser: Browser, server: Server, width: int, dark: bool) -> None:
    context, watch = watched(browser, server.url, width=width, dark=dark)
    page = context.new_page()

    page.goto(f"{server.url}/dashboard")
    page.get_by_role("link", name="news").click()
    page.get_by_role("heading", name="Variants", exact=True).wait_for()
    assert page.get_by_role("img", name="Accuracy against latency").count() == 1
    assert fits(page)
    keep(page, f"dashboard-model-{width}")

    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_text("could not be read").wait_for(timeout=120_000)  # the page that waits loads itself again
    assert fits(page)
    page.get_by_label("Name or run id").fill("nobody")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**name=nobody**")

    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Theme: as the browser").click()
    if dark:
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert watch.complaints == []
    assert watch.failures == []
    assert watch.outside() == []
    context.close()


def test_an_address_that_is_not_there_is_a_page_with_a_way_back(browser: Browser, server: Server) -> None:
    context, watch = watched(browser, server.url)
    page = context.new_page()

    answer = page.goto(f"{server.url}/dashboard/runs/{RUN[:-1]}")
    assert answer is not None
    assert answer.status == 404
    page.get_by_role("link", name="Models").first.click()
    page.get_by_role("heading", name="Models").wait_for()
    assert watch.outside() == []
    context.close()
