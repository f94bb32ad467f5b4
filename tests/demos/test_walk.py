"""Walks in Chromium through a real server: its own process, the real gateway, monitoring job and database."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from demos import snippets
from demos.entrance import COOKIE
from tests import bundles
from tests.demos.browser import chromium, classify, keep, watched
from tests.demos.hostile import CLOSED, DEMO, DISGUISED, STRAY
from tests.servers import TIDEGATE, Server, environment, running
from tidegate.behaviour import load_suite
from tidegate.behaviour_file import kept_file
from tidegate.bundle_store import BundleStore
from tidegate.store import open_database, relabel_items

pytestmark = pytest.mark.slow

KEY = "the operator's key"
TEXT = "Operating profit rises on strong sales"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    store = BundleStore(folder / "bundles")
    bundles.sentiment(store, "headline-sentiment", threshold=0.6, fallback="unsure")
    bundles.sentiment(store, "headline-sentiment", threshold=0.5, fallback="unsure")
    store.set_alias("headline-sentiment", "champion", 1)
    store.set_alias("headline-sentiment", "shadow", 2)
    bundles.wordpieces(store, "other")
    bundles.embedder(store, "embedder")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def server(browser: Browser, home: Path) -> Iterator[Server]:
    with running(["serve"], home, TIDEGATE_API_KEY=KEY) as started:
        yield started


def share(home: Path, url: str, *arguments: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
    """Run `tidegate share` as the operator does, beside the running server."""
    command = [*TIDEGATE, "share", *arguments, "--home", str(home)]
    variables = environment() | {"TIDEGATE_PUBLIC_URL": url}
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=variables, input=typed)


def queued(home: Path, label: str) -> list[Any]:
    """What stands on the relabel queue with that label."""
    database = open_database(f"sqlite:///{home / 'state.db'}")
    with database.connect() as connection:
        rows = list(connection.execute(select(relabel_items).where(relabel_items.c.suggested == label)).all())
    database.dispose()
    return rows


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (390, False), (390, True)])
def test_the_page_answers_explains_itself_and_fits(browser: Browser, server: Server, width: int, dark: bool) -> None:
    context, watch = watched(browser, server.url, width=width, dark=dark)
    context.set_extra_http_headers({"authorization": f"Bearer {KEY}"})
    name = f"{width}-{'dark' if dark else 'light'}"
    page = context.new_page()

    page.goto(f"{server.url}{DEMO}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Headline sentiment")
    expect(page.get_by_text("it says unsure instead")).to_be_visible()
    page.evaluate("document.fonts.ready")
    keep(page, f"empty-{name}")

    classify(page, TEXT)
    expect(page.locator(".tg-answer")).to_contain_text("positive")
    expect(page.locator(".tg-small")).to_contain_text("version 1")
    keep(page, f"answer-{name}")

    page.get_by_role("button", name="shares fell after the warning").click()
    expect(page.locator(".tg-answer")).to_contain_text("neutral")
    expect(page.get_by_label("Text", exact=True)).to_have_value("shares fell after the warning")

    classify(page, "profit falls")
    expect(page.locator(".tg-answer")).to_have_text("unsure")
    expect(page.locator(".tg-why")).to_contain_text("for this model to commit itself")
    keep(page, f"abstained-{name}")

    page.get_by_label("Text", exact=True).fill("   ")
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(page.get_by_text("There is no text yet")).to_be_visible()
    keep(page, f"problem-{name}")

    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_the_page_explains_takes_lists_compares_and_shows_programs_that_run(
    browser: Browser, server: Server, tmp_path: Path, width: int, dark: bool
) -> None:
    context, watch = watched(browser, server.url, width=width, dark=dark)
    context.set_extra_http_headers({"authorization": f"Bearer {KEY}"})
    name = f"{width}-{'dark' if dark else 'light'}"
    page = context.new_page()
    page.goto(f"{server.url}{DEMO}/")
    expect(page.get_by_text("What it does not do")).to_be_visible()

    classify(page, 'it\'s "profit" that rises $HOME')
    page.get_by_role("button", name="Which words mattered?").click()
    expect(page.locator(".tg-words .tg-for").first).to_have_text('"profit"')

    page.get_by_role("button", name="Compare versions").click()
    page.get_by_role("button", name="Ask every version").click()
    expect(page.locator(".tg-version")).to_have_count(2)
    page.get_by_role("button", name="Ask from a program").click()
    expect(page.locator(".tg-code")).to_have_count(3)
    for program, interpreter in zip(page.locator(".tg-code pre").all(), (["sh"], [sys.executable]), strict=False):
        variables = {"PATH": os.environ["PATH"], snippets.KEY: KEY}
        said = subprocess.run(
            [*interpreter, "-c", program.text_content() or ""],
            capture_output=True,
            text=True,
            check=True,
            env=variables,
        )
        assert "positive" in said.stdout

    page.get_by_role("button", name="Several texts at once").click()
    file = tmp_path / "news.csv"
    file.write_bytes(f"id;headline\r\n1;{TEXT}\r\n2;\r\n3;=die Erl\u00f6se\r\n".encode("windows-1252"))
    page.locator(".tg-file input").set_input_files(file)
    expect(page.get_by_label("Column with the texts")).to_have_value("headline")
    expect(page.get_by_label("Texts, one a line")).to_be_hidden()
    page.get_by_role("button", name="Classify all").click()
    expect(page.get_by_text("row 3: no text")).to_be_visible()
    keep(page, f"everything-{name}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    written = download.value.path().read_text(encoding="utf-8-sig")
    assert f"2,{TEXT},positive," in written
    assert "4,'=die Erl\u00f6se," in written

    page.get_by_role("button", name="Remove the file").click()
    page.get_by_label("Texts, one a line").fill("\n".join(["the loss falls"] * 70))
    page.get_by_role("button", name="Classify all").click()
    expect(page.get_by_text("70 answered: 70 negative")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_the_page_of_an_embedder_ranks_texts_by_how_alike_they_are(
    browser: Browser, server: Server, width: int, dark: bool
) -> None:
    context, watch = watched(browser, server.url, width=width, dark=dark)
    context.set_extra_http_headers({"authorization": f"Bearer {KEY}"})
    page = context.new_page()
    page.goto(f"{server.url}/demo/embedder/")

    page.get_by_label("Text", exact=True).fill("profit rises")
    page.get_by_label("Other texts").fill("shares fell\nstrong sales")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".tg-bars .tg-name").first).to_have_text("strong sales")
    keep(page, f"embedder-{width}-{'dark' if dark else 'light'}")
    page.get_by_label("Other texts").fill("")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("write 1 to 32, one a line")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()


def test_a_wrong_label_reported_on_the_page_stands_on_the_relabel_queue(
    browser: Browser, server: Server, home: Path
) -> None:
    context, watch = watched(browser, server.url)
    context.set_extra_http_headers({"authorization": f"Bearer {KEY}"})
    page = context.new_page()
    page.goto(f"{server.url}{DEMO}/")
    report = page.get_by_role("button", name="Report wrong label")
    beside = (report, page.get_by_role("button", name="Which words mattered?"))
    expect(page.get_by_role("button", name="Classify")).to_be_visible()
    for part in beside:
        expect(part).to_be_hidden()  # there is no answer yet
    classify(page, TEXT)
    for part in beside:
        expect(part).to_be_visible()
    page.get_by_label("Text", exact=True).fill(" ")
    page.get_by_role("button", name="Classify", exact=True).click()  # `classify` would wait for an answer
    expect(page.get_by_text("There is no text yet")).to_be_visible()
    for part in beside:
        expect(part).to_be_hidden()
    classify(page, TEXT)

    report.click()
    expect(page.get_by_text("Choose the right label first")).to_be_visible()
    page.get_by_label("neutral").check()
    page.get_by_label("Comment").fill("as expected <by> everyone")
    page.get_by_role("button", name="Report wrong label").click()
    expect(page.get_by_text("It is on the relabel queue now")).to_be_visible()
    expect(report).to_be_hidden()
    keep(page, "thanks-1440-light")

    [item] = queued(home, "neutral")
    assert (item.model, item.text, item.predicted) == ("headline-sentiment", TEXT, "positive")
    assert item.comment == "as expected <by> everyone"

    classify(page, "profit falls")
    expect(report).to_be_visible()
    expect(page.get_by_text("It is on the relabel queue now")).to_be_hidden()
    expect(page.get_by_label("neutral")).not_to_be_checked()
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()


def test_a_wrong_answer_becomes_a_behavioural_test_with_one_click(browser: Browser, server: Server, home: Path) -> None:
    context, watch = watched(browser, server.url)
    context.set_extra_http_headers({"authorization": f"Bearer {KEY}"})
    page = context.new_page()
    page.goto(f"{server.url}{DEMO}/")
    classify(page, TEXT)
    page.get_by_label("Text", exact=True).fill("written on after the answer")

    page.get_by_role("button", name="Make this a behavioural test").click()
    expect(page.get_by_text("Choose the right label first")).to_be_visible()
    page.get_by_label("neutral").check()
    page.get_by_label("Comment").fill("only a headline")
    page.get_by_role("button", name="Make this a behavioural test").click()
    expect(page.get_by_text("It is a behavioural test now")).to_be_visible()
    keep(page, "test-1440-light")
    page.get_by_role("button", name="Make this a behavioural test").click()
    expect(page.get_by_text("It is a behavioural test already")).to_be_visible()

    [example] = load_suite(kept_file(home, "headline-sentiment")).examples
    assert (example.text, example.label, example.note) == (TEXT, "neutral", "only a headline")
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()


def test_a_share_link_opens_its_demo_to_an_outsider_and_nothing_else_until_it_is_revoked(
    browser: Browser, server: Server, home: Path
) -> None:
    link = share(home, server.url, "create", "headline-sentiment", "--expires", "1h").stdout.strip()
    share_id = share(home, server.url, "list", "--json").stdout.split('"id": "')[1].split('"')[0]
    context, watch = watched(browser, server.url, width=390)
    page = context.new_page()

    page.goto(link)
    assert page.url == f"{server.url}{DEMO}/"
    [cookie] = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", DEMO)
    classify(page, "the loss falls")
    expect(page.locator(".tg-answer")).to_contain_text("negative")
    expect(page.get_by_role("button", name="Make this a behavioural test")).to_be_hidden()
    page.get_by_label("positive").check()
    page.get_by_role("button", name="Report wrong label").click()
    expect(page.get_by_text("It is on the relabel queue now")).to_be_visible()
    assert [item.text for item in queued(home, "positive")] == ["the loss falls"]
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])

    probes = [(method, target) for target in STRAY + CLOSED + DISGUISED for method in ("GET", "POST")]
    statuses = {one: status_of(server.url, *one, f"{COOKIE}={cookie['value']}") for one in probes}
    assert {one: status for one, status in statuses.items() if status not in (400, 403)} == {}

    share(home, server.url, "revoke", share_id)
    time.sleep(1)  # what the guard promises
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(page.get_by_text("withdrawn by its owner")).to_be_visible()
    answer = page.goto(f"{server.url}{DEMO}/")
    assert answer is not None
    assert answer.status in (401, 403)
    assert context.cookies() == []
    context.close()


def status_of(url: str, method: str, target: str, cookie: str) -> int:
    """The status of a request whose target goes over the wire as it is written."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, target, headers={"cookie": cookie})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_guarded_link_asks_for_its_password_shows_its_notice_and_says_when_it_is_used_up(
    browser: Browser, server: Server, home: Path
) -> None:
    terms = ("--password", "--max-visits", "1", "--rate", "2", "--notice", "Public headlines only, please.")
    made = share(home, server.url, "create", "headline-sentiment", *terms, typed="eight or more\n")
    link = made.stdout.strip()
    context, watch = watched(browser, server.url, width=390)
    page = context.new_page()

    page.goto(link.replace("/demo/", "/share/"))
    expect(page.locator("svg")).to_be_visible()
    keep(page, "code-390-light")
    page.get_by_role("link").click()
    expect(page.get_by_text("Public headlines only, please.")).to_be_visible()
    keep(page, "entrance-390-light")
    page.get_by_label("Password").fill("eight or less")
    page.get_by_role("button", name="Open the demo").click()
    expect(page.get_by_text("This is not the password of this link")).to_be_visible()
    assert [failure.partition("?")[0] for failure in watch.failures] == [f"401 {server.url}{DEMO}"]
    assert len(watch.complaints) == 1  # of that answer
    watch.failures.clear()
    watch.complaints.clear()
    page.get_by_label("Password").fill("eight or more")
    page.get_by_role("button", name="Open the demo").click()

    expect(page.get_by_role("note")).to_have_text("Public headlines only, please.")
    assert page.url == f"{server.url}{DEMO}/"
    classify(page, "the loss falls")
    expect(page.locator(".tg-answer")).to_contain_text("negative")
    expect(page.get_by_role("note")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    keep(page, "notice-390-light")
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    page.get_by_role("button", name="shares fell after the warning").click()
    expect(page.locator(".tg-answer")).to_contain_text("neutral")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_text("takes 2 questions a minute")).to_be_visible()
    keep(page, "rate-390-light")
    context.close()

    stranger, _ = watched(browser, server.url, width=390)
    late = stranger.new_page()
    late.goto(link)
    expect(late.get_by_text("This share link may be opened once and has been")).to_be_visible()
    keep(late, "full-390-light")
    stranger.close()


def test_without_a_link_or_with_a_forged_one_an_outsider_sees_words_not_a_demo(
    browser: Browser, server: Server
) -> None:
    context, _ = watched(browser, server.url, width=390)
    page = context.new_page()

    without = page.goto(f"{server.url}{DEMO}/")
    assert without is not None
    assert without.status == 401

    forged = page.goto(f"{server.url}{DEMO}/?share=ImFiYyI.forged")
    assert forged is not None
    assert forged.status == 401
    expect(page.get_by_text("This share link is not one of ours")).to_be_visible()
    keep(page, "forged-390-light")
    context.close()
