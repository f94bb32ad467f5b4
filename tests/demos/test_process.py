"""The demos in a process of their own, on real servers: what visitors and callers see of it, dead or alive."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from playwright.sync_api import expect

from demos.entrance import COOKIE
from demos.paths import RUN, STREAM
from demos.process import environment
from tests import bundles
from tests.demos.browser import chromium, watched
from tests.demos.test_own_process import is_alive
from tests.demos.visits import ANSWER, JOIN, MANY, PROGRAMS, QUEUED, REPORT, VERSIONS, WEIGH, config
from tests.servers import Server, demos_of, running, tidegate
from tidegate.bundle_store import BundleStore
from tidegate.store import open_database, relabel_items, shares

MODEL = "sentiment"
DEMO = f"/demo/{MODEL}"
KEY = "the operator's key"
MAKE_TEST = REPORT + 1


def make_home(folder: Path) -> Path:
    """A home whose model has two versions, and that has a second model."""
    store = BundleStore(folder / "bundles")
    bundles.sentiment(store, threshold=0.6)
    bundles.sentiment(store, threshold=0.9)
    store.set_alias(MODEL, "champion", 1)
    bundles.sentiment(store, "other")
    return folder


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.05)


def opened(client: httpx.Client, path: str = f"{DEMO}/", **headers: str) -> httpx.Response:
    """A page, as soon as its process has started."""
    while (answer := client.get(path, headers=headers)).status_code == 503:
        assert "starting" in answer.text
    assert answer.status_code == 200, answer.text
    return answer


def post(
    client: httpx.Client, event: int, data: list[Any], trigger: int | None = None, **headers: str
) -> tuple[str, httpx.Response]:
    """Ask as the page's JavaScript does; the session to read a queued answer in, and the answer."""
    session = os.urandom(6).hex()
    question = {"data": data, "event_data": None, "fn_index": event, "session_hash": session, "trigger_id": trigger}
    answer = client.post(DEMO + (JOIN if event in QUEUED else RUN), json=question, headers=headers)
    return session, answer.raise_for_status()


def click(client: httpx.Client, event: int, data: list[Any], trigger: int | None = None, **headers: str) -> list[Any]:
    """Ask, and read what was answered."""
    session, answer = post(client, event, data, trigger, **headers)
    output = answer.json()
    if event in QUEUED:
        stream = client.get(DEMO + STREAM, params={"session_hash": session}, headers=headers).text
        events = [orjson.loads(line[6:]) for line in stream.split("\n\n") if line.startswith("data: ")]
        output = next(one for one in events if one["msg"] == "process_completed")["output"]
    data = output["data"]
    return list(data)


def memory_of_demos(client: httpx.Client) -> float:
    """What the metrics say that the demos' process holds, in bytes."""
    name = 'tidegate_process_resident_memory_bytes{process="demos",worker="0"} '
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(name)).removeprefix(name))


def memory_of(pid: int) -> int:
    """What the kernel says that a process holds, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def button(page: dict[str, Any], event: int) -> int:
    """The number of the component that triggers an event."""
    dependency = next(one for one in page["dependencies"] if one["id"] == event)
    return int(dependency["targets"][0][0])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    limits = {"TIDEGATE_MAX_BODY_BYTES": "20000", "TIDEGATE_MAX_TEXT_CHARS": "1000"}
    with running(["serve"], home, TIDEGATE_API_KEY=KEY, **limits) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    held = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=server.url, timeout=60, headers=held) as made:
        opened(made)
        yield made


def test_the_gateway_imports_no_gradio() -> None:
    heavy = "{'gradio', 'gradio_client', 'demos.app', 'demos.pages', 'demos.wiring'}"
    code = f"import sys, tidegate.cli.gateway; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_process_knows_where_programs_are_and_nothing_else_of_the_servers_environment() -> None:
    known = environment({"PATH": "/bin", "LANG": "C", "TIDEGATE_API_KEY": "x", "AWS_SECRET_ACCESS_KEY": "y"})

    assert (known["PATH"], known["LANG"], known["GRADIO_ANALYTICS_ENABLED"]) == ("/bin", "C", "False")
    assert not {"x", "y"} & set(known.values())


@pytest.mark.slow
def test_it_starts_with_the_server_steps_back_and_holds_no_key(tmp_path: Path) -> None:
    with running(["serve"], make_home(tmp_path), TIDEGATE_API_KEY=KEY) as server:
        eventually(lambda: len(demos_of(server.process.pid)) == 1)
        [pid] = demos_of(server.process.pid)
        eventually(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16] == "5")
        kept = Path(f"/proc/{pid}/environ").read_bytes()
        assert KEY.encode() not in kept
        assert b"TIDEGATE_" not in kept
        assert KEY.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.slow
def test_everything_that_a_page_asks_goes_through_the_gateway(client: httpx.Client, home: Path) -> None:
    answer = click(client, ANSWER, ["profit rises on strong sales"])
    assert "positive" in answer[0]
    assert "version 1" in answer[0]
    counted = client.get("/metrics").text
    assert 'tidegate_requests_total{model="sentiment",outcome="200"}' in counted
    assert "1,200 characters" in click(client, ANSWER, ["x" * 1_200])[0]
    assert "champion" in click(client, VERSIONS, ["profit rises"])[0].lower()
    assert "profit" in str(click(client, WEIGH, ["profit rises"])[0])
    assert "curl" in click(client, PROGRAMS, ["profit rises"])[0]

    said = click(client, REPORT, [answer[1], "negative", "no: it falls"])
    assert "It is on the relabel queue now" in said[0]
    assert "no longer kept" in click(client, REPORT, ["nobody's", "negative", ""])[0]
    database = open_database(f"sqlite:///{home / 'state.db'}")
    with database.connect() as connection:
        [row] = connection.execute(relabel_items.select().where(relabel_items.c.suggested == "negative")).all()
    database.dispose()
    assert row.text == "profit rises on strong sales"

    assert "It is a behavioural test now" in click(client, MAKE_TEST, ["profit rises", "negative", ""])[0]
    assert "profit rises" in (home / "behaviour" / f"{MODEL}.yaml").read_text()


@pytest.mark.slow
def test_a_promotion_shows_at_the_very_next_request(client: httpx.Client) -> None:
    def move(version: int) -> None:
        client.put(f"/models/{MODEL}/aliases/champion", json={"version": version}).raise_for_status()

    before = config(opened(client).text)
    move(2)
    after = config(client.get(f"{DEMO}/").text)
    assert before["components"] != after["components"]
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        post(client, ANSWER, ["profit"], button(before, ANSWER))
    assert "version 2" in click(client, ANSWER, ["profit rises"], button(after, ANSWER))[0]
    for version in (1, 2, 1):
        move(version)
        assert f"version {version}" in click(client, ANSWER, ["profit rises"])[0]

    client.put(f"/models/{MODEL}/aliases/shadow", json={"version": 2}).raise_for_status()
    assert "shadow" in click(client, VERSIONS, ["profit rises"])[0].lower()
    client.delete(f"/models/{MODEL}/aliases/shadow").raise_for_status()
    assert "Only one version is served now" in click(client, VERSIONS, ["profit rises"])[0]

    client.post(f"/v2/repository/models/{MODEL}/unload").raise_for_status()
    assert client.get(f"{DEMO}/").status_code == 503
    client.post(f"/v2/repository/models/{MODEL}/load").raise_for_status()
    assert config(client.get(f"{DEMO}/").text)["components"] == before["components"]


def link_of(home: Path, *terms: str) -> tuple[str, str]:
    """Id and token of a new share link."""
    made = tidegate("share", "create", MODEL, "--expires", "1h", *terms, "--home", home)
    token = made.stdout.strip().partition("?share=")[2]
    return orjson.loads(tidegate("share", "list", "--json", "--home", home).stdout)[0]["id"], token


@pytest.fixture
def visitor(server: Server, home: Path) -> Iterator[tuple[str, httpx.Client]]:
    """Id of a link that allows ten questions a minute, and a browser that came in by it."""
    share_id, token = link_of(home, "--rate", "10", "--notice", "For our clients")
    with httpx.Client(base_url=server.url, timeout=60, follow_redirects=True) as made:
        assert "For our clients" in opened(made, f"{DEMO}/?share={token}").text
        assert made.cookies.get(COOKIE)
        yield share_id, made


@pytest.mark.slow
def test_a_visitors_list_is_charged_to_the_link(home: Path, visitor: tuple[str, httpx.Client]) -> None:
    share_id, browser = visitor

    answered = click(browser, MANY, ["profit rises\nprofit falls\nprofit stays", "", None])
    refused = click(browser, MANY, ["profit rises\n" * 20, "", None])

    assert "positive" in answered[0]
    assert "takes 10 questions a minute" in refused[0]
    database = open_database(f"sqlite:///{home / 'state.db'}")

    def uses() -> int:
        with database.connect() as connection:
            return int(connection.execute(shares.select().where(shares.c.id == share_id)).one().uses)

    eventually(lambda: uses() == 4)  # three lines, and the click that was refused
    database.dispose()


FORGED = {
    "x-tidegate-share": "none",
    "tidegate.share": "none",
    "tidegate.principal": "3",
    "x-tidegate-role": "admin",
    "x-page-root": "/evil",
    "x-page-scheme": "https",
}


@pytest.mark.slow
def test_what_a_caller_says_of_itself_in_headers_changes_nothing(
    client: httpx.Client, visitor: tuple[str, httpx.Client]
) -> None:
    _, browser = visitor

    for one in (client, browser):
        plain, forged = opened(one).text, opened(one, **FORGED).text
        assert config(plain) | {"username": None} == config(forged) | {"username": None}
        assert "evil" not in forged
    told = click(browser, PROGRAMS, ["profit"], None, **FORGED)[0]
    assert "evil" not in told
    assert "a share link is none" in told
    assert "takes a key that may annotate" in click(browser, MAKE_TEST, ["profit", "negative", ""], None, **FORGED)[0]
    assert "behavioural test" in click(client, MAKE_TEST, ["profit soars", "negative", ""], None, **FORGED)[0]


@pytest.mark.slow
def test_a_question_that_is_too_large_ends_in_the_gateway(client: httpx.Client) -> None:
    def unannounced() -> Iterator[bytes]:
        yield from [b"x" * 10_000] * 3

    told = {"content-type": "application/json"}
    for content in (b"[" * 20_001, unannounced()):
        answer = client.post(DEMO + RUN, content=content, headers=told)
        assert answer.status_code == 413
        assert answer.headers["x-frame-options"] == "DENY"
    assert client.post(f"/demo/nope{RUN}", content=b"{}", headers=told).status_code == 404


@pytest.mark.slow
def test_a_page_that_is_open_when_it_is_killed_goes_on_with_the_next(tmp_path: Path) -> None:
    with chromium() as launched, running(["serve"], make_home(tmp_path)) as server, server.client() as client:
        context, _ = watched(launched, server.url)
        page = context.new_page()
        opened(client)
        page.goto(f"{server.url}{DEMO}/")
        page.get_by_label("Text", exact=True).fill("profit rises on strong sales")
        [first] = demos_of(server.process.pid)
        os.kill(first, signal.SIGKILL)
        while not page.locator(".tg-answer").count():  # a click waits for the next process, for a while
            page.get_by_role("button", name="Classify", exact=True).click()
            page.locator(".tg-answer, .error").first.wait_for(timeout=60_000)
        expect(page.locator(".tg-answer")).to_contain_text("positive")
        assert demos_of(server.process.pid) != [first]
        context.close()


@pytest.mark.slow
def test_a_click_that_dies_with_it_is_answered_by_the_next_and_who_waited_in_its_queue_is_told(tmp_path: Path) -> None:
    with running(["serve"], make_home(tmp_path)) as server, server.client() as client:

        def die() -> None:
            [pid] = demos_of(server.process.pid)
            os.kill(pid, signal.SIGSTOP)
            threading.Timer(1.0, os.kill, (pid, signal.SIGKILL)).start()

        opened(client)
        [first] = demos_of(server.process.pid)
        assert memory_of_demos(client) == pytest.approx(memory_of(first), rel=0.2)
        die()
        assert "positive" in click(client, ANSWER, ["profit rises"])[0]
        [second] = demos_of(server.process.pid)
        assert memory_of_demos(client) == pytest.approx(memory_of(second), rel=0.2)

        opened(client)
        session, _ = post(client, WEIGH, ["profit rises"])
        die()
        answer = client.get(DEMO + STREAM, params={"session_hash": session})
        assert answer.status_code == 503
        assert "the demos are starting again" in answer.text


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_ends_with_the_server_however_that_ends(tmp_path: Path, number: int, at_once: bool) -> None:
    with running(["serve"], make_home(tmp_path)) as server, server.client() as client:
        if at_once:  # while it is still importing
            with suppress(httpx.ReadTimeout):
                client.get(f"{DEMO}/", timeout=0.2)
        else:
            opened(client)
            click(client, ANSWER, ["profit rises"])
        eventually(lambda: len(demos_of(server.process.pid)) == 1)
        [pid] = demos_of(server.process.pid)
        server.process.send_signal(number)
        server.process.wait(30)
        if number != signal.SIGKILL:
            assert not is_alive(pid)
    eventually(lambda: not is_alive(pid), 10)


@pytest.mark.slow
def test_its_log_has_the_servers_form_and_the_requests_id(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    with running(["serve"], home, TIDEGATE_LOG_FORMAT="json") as server, server.client() as client:
        opened(client)
        shared = home / "behaviour" / f"{MODEL}.yaml"
        shared.parent.mkdir(exist_ok=True)
        shared.mkdir()
        click(client, MAKE_TEST, ["profit", "negative", ""])
        eventually(lambda: any('"worker": "demos"' in line for line in server.stderr))
        [line] = [json.loads(line) for line in server.stderr if '"worker": "demos"' in line]
        assert line["level"] == "ERROR"
