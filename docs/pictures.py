"""Pictures of the pages, for the docs: `python docs/pictures.py URL MODEL` from the checkout, with a server at URL.

Of a running server whose model has seen traffic, so that the pages show something; with Chromium. Colours are reduced
to 128, which these flat pages do not show, to keep the files small. Look at every picture before it is committed.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.demos.browser import ARGUMENTS, CHROMIUM

DOCS = Path(__file__).parent
# Name, address, width, height, dark.
PAGES = (
    ("dashboard", "/dashboard/models/{model}", 1440, 1100, False),
    ("dashboard-health", "/dashboard/models/{model}/health", 1440, 1500, False),
    ("dashboard-drift", "/dashboard/models/{model}/drift", 1440, 1300, True),
    ("dashboard-phone", "/dashboard/models/{model}/data", 390, 1300, False),
)


def main(url: str, model: str) -> None:
    """Take all of them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, path, width, height, dark in PAGES:
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
            page.goto(url + path.format(model=model), wait_until="networkidle")
            _keep(page, name)
        page = browser.new_page(viewport={"width": 1440, "height": 1150})
        page.goto(f"{url}/demo/{model}/")
        page.locator("textarea").first.fill("Operating profit rose to EUR 13.1 mn from EUR 8.7 mn a year earlier .")
        page.get_by_role("button", name="Answer").or_(page.locator("button.primary")).first.click()
        page.wait_for_timeout(3_000)
        _keep(page, "demo")
        browser.close()


def _keep(page: Page, name: str) -> None:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(128)
    picture.save(DOCS / f"{name}.png", optimize=True)
    print(f"docs/{name}.png", (DOCS / f"{name}.png").stat().st_size)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
