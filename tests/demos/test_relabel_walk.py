"""People label in Chromium, on a real server: by keys and by fingers, two at once, and while the server is away."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import Engine, select, update

from serving.access import ANNOTATE
from serving.keys import ApiKeys
from tests import bundles
from tests.demos.browser import chromium, keep, watched
from tests.labelling import queue
from tests.servers import Server, running
from tidegate.bundle_store import BundleStore
from tidegate.store import annotations, open_database, relabel_items

pytestmark = pytest.mark.slow

MODEL = "sentiment"
RIGHT_TO_LEFT = "ارتفعت أرباح الشركة هذا العام بشكل ملحوظ"
LONG = "Sales rose in every region but one. " * 80 + "w" * 300
SEEN = "document.dispatchEvent(new Event('visibilitychange'))"  # as after a look at another tab


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def home(tmp_path: Path) -> Path:
    bundles.sentiment(BundleStore(tmp_path / "bundles"), MODEL, threshold=0.6, fallback="unsure")
    return tmp_path


@pytest.fixture
def database(home: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{home / 'state.db'}")
    yield opened
    opened.dispose()


@pytest.fixture
def server(browser: Browser, home: Path, database: Engine) -> Iterator[Server]:
    with running(["serve"], home) as started:
        yield started


def enter(page: Page, url: str, name: str = "Ann") -> None:
    """Open the page and say who labels."""
    page.goto(f"{url}/relabel/{MODEL}")
    page.get_by_label("Your name").fill(name)
    page.keyboard.press("Enter")
    expect(page.locator("#text")).not_to_be_empty()


def press(page: Page, key: str, says: str) -> None:
    """Press a key once the page takes answers, and wait for what it says then."""
    page.wait_for_timeout(200)
    page.keyboard.press(key)
    expect(page.locator("#status")).to_contain_text(says)


def answers(database: Engine) -> dict[str, tuple[str, str, str | None]]:
    """Text to annotator, verdict and label."""
    both = relabel_items.join(annotations, annotations.c.item_id == relabel_items.c.id)
    with database.connect() as connection:
        rows = connection.execute(select(relabel_items.c.text, annotations).select_from(both)).all()
    found = {row.text: (row.annotator, row.verdict, row.label) for row in rows}
    assert len(found) == len(rows), "a text was labelled twice"
    return found


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_ten_are_labelled_by_keys_alone(
    browser: Browser, server: Server, home: Path, database: Engine, width: int, dark: bool
) -> None:
    (home / "guidelines").mkdir()
    (home / "guidelines" / f"{MODEL}.md").write_text("Think of an **investor** who reads this.\n\n- `positive`: buys\n")
    texts = ["Operating profit rose to EUR 5.2 mn, as sales grew in all regions", RIGHT_TO_LEFT, LONG]
    queue(database, texts + [f"text {n}" for n in range(9)])
    context, watch = watched(browser, server.url, width=width, dark=dark)
    page = context.new_page()
    enter(page, server.url)
    page.get_by_text("Guidelines", exact=True).click()
    expect(page.get_by_text("investor", exact=True)).to_be_visible()
    expect(page.locator("#model")).to_be_hidden()
    press(page, "m", "")
    expect(page.get_by_text("The model says: neutral.")).to_be_visible()
    keep(page, f"relabel-{width}")
    press(page, "3", "Saved: positive.")
    expect(page.locator("#model")).to_be_hidden()

    assert page.locator("#text").evaluate("element => getComputedStyle(element).direction") == "rtl"
    press(page, "1", "Saved: negative.")
    keep(page, f"relabel-long-{width}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.wait_for_timeout(200)
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#status")).to_contain_text("Saved: neutral.")
    press(page, "n", "Saved: Not a case")
    press(page, "s", "Skipped.")
    press(page, "0", "Saved: Not a case")
    press(page, "u", "Taken back")
    expect(page.locator("#text")).to_have_text("text 2")
    for key, says in zip("32123", ("positive", "neutral", "negative", "neutral", "positive"), strict=True):
        press(page, key, f"Saved: {says}.")
    expect(page.locator("#progress")).to_contain_text("9 done today, 9 by you")

    found = answers(database)
    assert len(found) == 10
    assert found[RIGHT_TO_LEFT] == ("Ann", "label", "negative")
    assert found[LONG] == ("Ann", "label", "neutral")
    assert found["text 0"] == ("Ann", "none", None)
    assert found["text 1"] == ("Ann", "skip", None)
    assert found["text 2"] == ("Ann", "label", "positive")
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()


def test_fingers_reload_and_a_queue_that_runs_dry(browser: Browser, server: Server, database: Engine) -> None:
    queue(database, ["one", "two", "three"])
    context, watch = watched(browser, server.url, width=390)
    page = context.new_page()
    enter(page, server.url)
    page.wait_for_timeout(500)
    page.get_by_role("button", name="positive").dblclick()
    expect(page.locator("#status")).to_contain_text("Saved: positive.")
    expect(page.locator("#text")).to_have_text("two")

    page.reload()
    expect(page.locator("#text")).to_have_text("two")  # it is still ours, and so is the name
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Comment").click()
    page.get_by_role("textbox", name="Comment").fill("1 s u: not keys here")
    page.get_by_role("button", name="neutral").click()
    expect(page.locator("#text")).to_have_text("three")
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Skip").click()
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    keep(page, "relabel-empty-390")
    queue(database, ["four"])
    page.evaluate(SEEN)
    expect(page.locator("#text")).to_have_text("four")
    with page.expect_response(lambda response: response.url.endswith("/release")):
        page.get_by_role("button", name="Stop for now").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()

    assert {text: label for text, (_, _, label) in answers(database).items()} == {
        "one": "positive",
        "two": "neutral",
        "three": None,
    }
    with database.connect() as connection:
        assert connection.execute(select(relabel_items.c.id).where(relabel_items.c.claimed_by != "")).all() == []
        comments = connection.execute(select(annotations.c.comment).where(annotations.c.comment != "")).scalars().all()
    assert comments == ["1 s u: not keys here"]
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()


def test_two_people_at_once_never_see_the_same_text(browser: Browser, server: Server, database: Engine) -> None:
    queue(database, [f"text {n}" for n in range(12)])
    contexts = [watched(browser, server.url)[0] for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    for page, name in zip(pages, ("Ann", "Bob"), strict=True):
        enter(page, server.url, name)
    seen: dict[str, set[str]] = {"Ann": set(), "Bob": set()}
    for _ in range(6):
        for page, texts in zip(pages, seen.values(), strict=True):
            texts.add(page.locator("#text").inner_text())
            before = page.locator("#progress").inner_text()
            press(page, "2", "")
            expect(page.locator("#progress")).not_to_have_text(before)

    assert seen["Ann"] & seen["Bob"] == set()
    assert {text: who for text, (who, _, _) in answers(database).items()} == {
        text: who for who, texts in seen.items() for text in texts
    }
    for context in contexts:
        context.close()


def test_two_tabs_of_one_person_do_not_ask_twice(browser: Browser, server: Server, database: Engine) -> None:
    queue(database, ["one", "two", "three"])
    context, _ = watched(browser, server.url)
    first = context.new_page()
    enter(first, server.url)
    second = context.new_page()
    second.goto(f"{server.url}/relabel/{MODEL}")
    expect(second.locator("#text")).to_have_text("one")
    press(first, "3", "Saved: positive.")

    expect(second.locator("#text")).to_have_text("two")
    press(second, "1", "Saved: negative.")
    expect(first.locator("#text")).to_have_text("three")
    assert {text: label for text, (_, _, label) in answers(database).items()} == {"one": "positive", "two": "negative"}
    context.close()


def test_a_lost_lease_is_told(browser: Browser, server: Server, database: Engine) -> None:
    queue(database, ["one", "two", "three"])
    context, _ = watched(browser, server.url)
    page = context.new_page()
    enter(page, server.url)
    expect(page.locator("#text")).to_have_text("one")
    with database.begin() as connection:  # as ten minutes later, when somebody else has come
        lost = update(relabel_items).where(relabel_items.c.text == "one")
        connection.execute(lost.values(claimed_by="Bob"))
    page.evaluate(SEEN)

    expect(page.locator("#status")).to_contain_text("Your time for that text had run out")
    expect(page.locator("#text")).to_have_text("two")
    context.close()


def test_nothing_is_lost_while_the_server_is_killed_and_comes_back(
    browser: Browser, home: Path, database: Engine
) -> None:
    queue(database, ["one", "two", "three", "four"])
    context, watch = watched(browser, "")
    page = context.new_page()
    with running(["serve"], home) as server:
        enter(page, server.url)
        press(page, "1", "Saved: negative.")
        expect(page.locator("#progress")).to_contain_text("1 by you")
        page.wait_for_load_state("networkidle")
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    press(page, "2", "neutral")
    expect(page.locator("#trouble")).to_contain_text("One answer is kept in this browser")
    press(page, "3", "positive")
    expect(page.locator("#trouble")).to_contain_text("2 answers are kept in this browser")
    page.keyboard.press("u")
    expect(page.locator("#text")).to_have_text("three")
    press(page, "1", "negative")

    assert set(answers(database)) == {"one"}
    with running(["serve", "--port", server.url.rpartition(":")[2]], home):
        expect(page.locator("#trouble")).to_be_hidden(timeout=30_000)
        expect(page.locator("#text")).to_have_text("four")
        press(page, "n", "Saved: Not a case")
    assert {text: label for text, (_, _, label) in answers(database).items()} == {
        "one": "negative",
        "two": "neutral",
        "three": "negative",
        "four": None,
    }
    assert all("ERR_CONNECTION_REFUSED" in complaint for complaint in watch.complaints)
    context.close()


def test_many_labels_are_searched_and_a_refused_answer_is_told(
    browser: Browser, server: Server, database: Engine
) -> None:
    queue(database, ["one", "two", "three"])
    context, _ = watched(browser, server.url, width=390)
    page = context.new_page()

    def with_more_labels(route: Route) -> None:
        answer = route.fetch()
        document = answer.json()
        for item in document["items"]:
            item["labels"] += [f"topic {n}" for n in range(40)] + ["Überraschung " * 12]
        route.fulfill(response=answer, json=document)

    page.route("**/items?*", with_more_labels)
    enter(page, server.url)
    page.wait_for_timeout(500)
    page.keyboard.press("/")
    page.keyboard.type("TOPIC 3")
    assert page.locator("#labels button").count() == 11
    keep(page, "relabel-many-390")
    page.get_by_label("Search the labels").fill("über")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_label("Search the labels").fill("posi")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("Saved: positive.")

    page.wait_for_timeout(500)
    page.get_by_role("button", name="topic 7", exact=True).click()
    expect(page.locator("#trouble")).to_contain_text("'topic 7' is no label of sentiment")
    expect(page.locator("#text")).to_have_text("three")
    assert set(answers(database)) == {"one"}
    page.unroute_all(behavior="wait")
    context.close()


def test_who_signs_in_with_a_key_labels_under_its_name(browser: Browser, home: Path, database: Engine) -> None:
    queue(database, ["one", "two"])
    key = ApiKeys(database).create("Zoë", ANNOTATE)[1]
    with running(["serve"], home) as server:
        context, watch = watched(browser, server.url)
        page = context.new_page()
        page.goto(f"{server.url}/relabel/{MODEL}")
        page.get_by_label("Key").fill(key)
        page.keyboard.press("Enter")
        expect(page.locator("#text")).to_have_text("one")
        expect(page.get_by_text("as Zoë")).to_be_visible()
        press(page, "1", "Saved: negative.")
        context.clear_cookies()
        press(page, "1", "negative")
        expect(page.locator("#trouble")).to_contain_text("You are signed out. One answer is kept")

        page.get_by_role("link", name="Sign in").click()
        page.get_by_label("Key").fill(key)
        page.keyboard.press("Enter")
        page.wait_for_url("**/docs")
        page.goto(f"{server.url}/relabel/{MODEL}")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
        assert [row[0] for row in answers(database).values()] == ["Zoë", "Zoë"]
        assert watch.outside() == []
        context.close()


def test_an_empty_page_needs_no_queue(browser: Browser, server: Server) -> None:
    context, watch = watched(browser, server.url)
    page = context.new_page()
    page.goto(f"{server.url}/relabel")
    page.get_by_role("link", name=MODEL).click()
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("Texts come here when")).to_be_visible()
    assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
    context.close()
