"""The health view in Chromium: the slider moves numbers and lines as the server would have drawn them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import bundles
from tests.demos.browser import chromium, keep, watched
from tests.demos.healths import health, published
from tests.servers import running
from tidegate.bundle import Postprocessing
from tidegate.bundle_store import BundleStore

pytestmark = pytest.mark.slow

ADDRESS = "/dashboard/models/sentiment/health?version=2"
FACTS = ("coverage", "coverage-of", "precision", "precision-of", "abstained", "abstained-of", "caught", "caught-of")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    store = BundleStore(home / "bundles")
    post = Postprocessing(activation="none", threshold=0.4, fallback_label="unsure")
    published(store, bundles.sentiment(store), health(post=post), post=post)
    published(store, store.load("sentiment", 2), health(seed=1))
    with running(["serve"], home) as server:
        yield server.url


def facts(page: Page) -> list[str]:
    return [page.locator(f"#{name}").inner_text() for name in FACTS]


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_the_slider_says_what_the_server_says_and_nothing_leaves_it(
    url: str, browser: Browser, width: int, dark: bool
) -> None:
    context, watch = watched(browser, url, width=width, dark=dark)
    page = context.new_page()
    page.goto(f"{url}{ADDRESS}&against=3")
    slider = page.get_by_label("Threshold", exact=True)
    slider.focus()
    for _ in range(15):
        slider.press("ArrowRight")
    expect(page.locator("#chosen")).to_have_text("0.55")
    assert "threshold=0.55" in page.url
    moved, line = facts(page), page.locator("svg .at").first.get_attribute("x1")
    keep(page, f"health-{width}")
    page.reload()

    assert facts(page) == moved
    assert float(line or 0) == pytest.approx(float(page.locator("svg .at").first.get_attribute("x1") or 1), abs=0.1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()


def test_without_a_script_the_form_asks_for_the_same_numbers(url: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}{ADDRESS}&against=3")
    slider = page.get_by_label("Threshold", exact=True)
    slider.focus()
    slider.press("ArrowRight")
    page.locator("#threshold").get_by_role("button", name="Show").click()

    assert "version=2" in page.url
    assert "threshold=0.41" in page.url
    expect(page.locator("#chosen")).to_have_text("0.41")
    expect(page.get_by_role("heading", name="Side by side with version 3, fp32")).to_be_visible()
    context.close()
