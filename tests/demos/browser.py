"""Chromium for the walks: Debian's own, headless, watched for everything that a page should not do."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; skips, by name, where there is none."""
    if not Path(CHROMIUM).is_file():
        pytest.skip("no Chromium here, so no page was walked: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass(slots=True)
class Watch:
    """What the pages of one context did."""

    origin: str
    requests: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """Requests that left the server's origin."""
        return [url for url in self.requests if not url.startswith((f"{self.origin}/", "data:", "blob:"))]


def watched(browser: Browser, origin: str, *, width: int = 1440, dark: bool = False) -> tuple[BrowserContext, Watch]:
    """A fresh visitor, and what is seen of them: every request, failed answer, console warning and page error."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )
    watch = Watch(origin)
    context.on("request", lambda request: watch.requests.append(request.url))
    context.on("response", lambda response: _note(watch, response.status, response.url))
    context.on("console", lambda message: watch.complaints.append(f"{message.type}: {message.text}"))
    context.on("weberror", lambda error: watch.complaints.append(f"error: {error.error}"))
    return context, watch


def _note(watch: Watch, status: int, url: str) -> None:
    if status >= 400:
        watch.failures.append(f"{status} {url}")


def classify(page: Page, text: str) -> None:
    """Type a text, ask, and wait for its answer."""
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Classify", exact=True).click()
    page.get_by_text("Is this label wrong?").wait_for()


def keep(page: Page, name: str) -> None:
    """Keep a screenshot of the whole page in the folder that the variable TEST_SCREENSHOTS names, if any."""
    folder = os.environ.get("TEST_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
