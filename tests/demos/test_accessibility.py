"""axe-core on every page of our own: nothing critical or serious, wide and narrow, light and dark.

Pages of the dashboard come from its table of views, so that a new view is walked by itself. The demo is Gradio's page
with our own content; what axe finds in Gradio's own components is listed here by rule, with the reason.
"""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from demos.dashboard.views import VIEWS
from monitoring.labels import answers
from monitoring.labels.answers import Label
from tests import bundles
from tests.demos import healths
from tests.demos.browser import chromium, watched
from tests.labelling import queue
from tests.servers import Server, running
from tidegate.bundle_store import BundleStore
from tidegate.store import open_database

pytestmark = pytest.mark.slow

KEY = "the operator's key"
MODEL = "sentiment"
RUNS = ("3f" * 16, "7a" * 16)
FILLED = {"{model}": MODEL, "{run_id}": RUNS[0], "{feature}": "chars"}
ASKED = {"/dashboard/compare": f"?run={RUNS[0]}&run={RUNS[1]}"}
SHAPES = [(1440, False), (390, True)]  # what is laid out by width and coloured by theme, each once
SERIOUS = ("critical", "serious")
GRADIOS_OWN: dict[str, str] = {}
RUN = """() => axe.run(document, {
  resultTypes: ["violations"],
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}).then(({violations}) => violations.map(({id, impact, help, nodes}) => ({
  id, impact, help, nodes: nodes.slice(0, 4).map((node) => `${node.target} ${node.failureSummary}`),
})))"""


def axe() -> str:
    """The script of axe-core, out of the wheel that brings it; skips, by name, where it is not installed."""
    found = find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("no axe-core here, so no page was judged: pip install axe-playwright-python")
    return (Path(found.origin).with_name("axe.min.js")).read_text(encoding="utf-8")


def pages() -> list[str]:
    """Every page of ours that a person opens; `/docs` is Swagger UI's."""
    views = []
    for path in VIEWS:
        for name, value in FILLED.items():
            path = path.replace(name, value)
        assert "{" not in path, f"{path}: say in FILLED what to put there"
        views.append(path + ASKED.get(path, ""))
    others = ["/login", "/relabel", f"/relabel/{MODEL}", f"/drift/{MODEL}", f"/demo/{MODEL}/"]
    return [*others, *views, "/dashboard/models/embedder", "/dashboard/models/embedder/relabel"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With two models, a queue that was worked on, and some traffic."""
    home = tmp_path_factory.mktemp("home")
    store = BundleStore(home / "bundles")
    toy = bundles.sentiment(store, MODEL)
    for run_id in RUNS:
        healths.published(store, toy, healths.health(), run_id=run_id)
    bundles.embedder(store, "embedder")
    database = open_database(f"sqlite:///{home / 'state.db'}")
    ids = queue(database, [f"profit rises by {n} percent" for n in range(12)], double_share=0.5)
    for place, item in enumerate(ids[:8]):
        for who in ("ada", "bob"):
            label = bundles.LABELS[place % 2 if who == "ada" else 0]
            answers.take_labels(
                database, [Label("line", item, label, who)], lambda _model, _version: bundles.LABELS, time.time()
            )
    database.dispose()
    with running(["serve"], home, TIDEGATE_API_KEY=KEY) as started:
        for n in range(30):
            ask = {"inputs": f"sales fell by {n} percent"}
            url = f"{started.url}/models/{MODEL}/predict"
            httpx.post(url, json=ask, headers={"authorization": f"Bearer {KEY}"}).raise_for_status()
        yield started


def judged(page: Page, script: str) -> list[dict[str, Any]]:
    """What axe finds on the page as it stands."""
    page.evaluate(script)
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return [one for one in found if one["impact"] in SERIOUS]


def test_a_planted_fault_is_found(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content('<html lang="en"><title>t</title><main><h1>t</h1><input><p style="color:#ccc">pale</p></main>')

    assert {one["id"] for one in judged(page, axe())} >= {"label", "color-contrast"}
    page.close()


@pytest.mark.timeout(900)  # some twenty pages
@pytest.mark.parametrize(("width", "dark"), SHAPES)
def test_no_page_of_ours_has_a_serious_fault(browser: Browser, server: Server, width: int, dark: bool) -> None:
    script, faults = axe(), []
    context, _ = watched(browser, server.url, width=width, dark=dark)
    for path in pages():
        page = context.new_page()
        if path != "/login":
            page.set_extra_http_headers({"authorization": f"Bearer {KEY}"})
        answer = page.goto(server.url + path)
        assert answer is not None, path
        assert answer.status == 200, path
        page.wait_for_load_state("load" if path != f"/demo/{MODEL}/" else "networkidle")
        excused = GRADIOS_OWN if path.startswith("/demo/") else {}
        faults += [f"{path}: {one}" for one in judged(page, script) if one["id"] not in excused]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{path} is too wide"
        page.close()
    context.close()

    assert faults == [], "\n\n".join(faults)
