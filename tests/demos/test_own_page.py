"""A page that a run brought, on real servers: shown only where it is trusted, to whom the built-in one would be."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from demos.entrance import COOKIE
from tests import bundles
from tests.demos.asgi import Live, request, started
from tests.demos.browser import chromium, keep, watched
from tests.demos.gateways import House, build_house
from tests.demos.hostile import CLOSED, DEMO, DISGUISED, STRAY
from tests.demos.test_own_process import is_alive
from tests.servers import Server, running, tidegate
from tidegate.bundle_store import BundleStore
from tidegate.environments import CHECKOUT
from tidegate.settings import Settings
from tidegate.store import open_database, relabel_items

pytestmark = pytest.mark.slow

KEY = "the operator's key"
MODEL = "headline-sentiment"
EXAMPLE = (CHECKOUT / "examples" / "demo.py").read_text()
# Answers with what it is told of whoever asks, and with what the gateway lets it do.
CURIOUS = """
import os
import gradio as gr

def page(client):
    def ask(text, request: gr.Request):
        if text == "leave":
            os._exit(7)
        try:
            said = client._ask(text, texts=["profit rises"])
        except gr.Error as error:
            said = str(error)
        return f"{said} headers {dict(request.headers)} query {dict(request.query_params)} from {request.client.host}"

    with gr.Blocks() as blocks:
        text, said = gr.Textbox(), gr.Textbox()
        text.submit(ask, text, said)
    return blocks
"""


def make_home(folder: Path, page: str, *others: str) -> Path:
    """A home with `headline-sentiment`, whose run brought a page, and models whose runs brought none."""
    store = BundleStore(folder / "bundles")
    bundles.with_page(store, bundles.sentiment(store, MODEL), page)
    for other in others:
        bundles.sentiment(store, other)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


def opened(client: httpx.Client, path: str) -> httpx.Response:
    """A page, as soon as its process has started."""
    while True:
        answer = client.get(path)
        if "is starting" not in answer.text:
            return answer


def click(client: httpx.Client, text: str, **headers: str) -> str:
    """Ask event 0 of the page, and wait for its answer."""
    session = os.urandom(6).hex()
    question = {"data": [text], "event_data": None, "fn_index": 0, "session_hash": session, "trigger_id": 1}
    client.post(f"{DEMO}/gradio_api/queue/join", json=question, headers=headers).raise_for_status()
    with client.stream("GET", f"{DEMO}/gradio_api/queue/data?session_hash={session}", headers=headers) as answer:
        for line in answer.iter_lines():
            event = json.loads(line.removeprefix("data: ")) if line else {}
            if event.get("msg") == "process_completed":
                return str(event["output"])
    return "the stream ended"


def processes_below(parent: int) -> list[int]:
    """Pages' processes of a server: those of the processes that have its demos."""
    found = subprocess.run(["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()]
    family = {str(parent)}
    for _ in range(3):  # workers, their demos, the pages
        family |= {pid for pid, above, _ in rows if above in family}
    return [int(pid) for pid, above, line in rows if above in family and "demos.own_child" in line]


def reported(home: Path) -> list[Any]:
    """Labels that visitors called right; the policies may have put other texts on the queue by themselves."""
    column, database = relabel_items.c.suggested, open_database(f"sqlite:///{home / 'state.db'}")
    with database.connect() as connection:
        rows = list(connection.execute(select(column).where(column.is_not(None))).scalars())
    database.dispose()
    return rows


def test_untrusted_the_built_in_page_is_shown_and_says_so(browser: Browser, tmp_path: Path) -> None:
    home = make_home(tmp_path, EXAMPLE)
    with running(["serve"], home) as server:
        context, watch = watched(browser, server.url)
        page = context.new_page()
        page.goto(f"{server.url}{DEMO}/")

        expect(page.get_by_role("heading", level=1)).to_have_text("Headline sentiment")
        expect(page.locator(".tg-foot")).to_contain_text(f"--trust-demo {MODEL}")
        keep(page, "own-page-untrusted")
        with server.client() as client:
            assert "which --trust-demo headline-sentiment would show" in client.get(f"/models/{MODEL}/card").text
            assert client.get(f"/models/{MODEL}").json()["demo"]["shown"] is False

        assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
        assert processes_below(server.process.pid) == []
    shown = tidegate("bundles", "show", MODEL, "--home", home)
    assert json.loads(shown.stdout)["demo"] == "demo.py"
    assert f"--trust-demo {MODEL}, or {MODEL}/2" in " ".join(shown.stderr.split())


@pytest.mark.parametrize("width", [1440, 390])
def test_trusted_it_is_shown_also_to_an_outsider_with_a_link(browser: Browser, tmp_path: Path, width: int) -> None:
    home = make_home(tmp_path, EXAMPLE)
    with running(["serve", "--trust-demo", f"{MODEL}/2"], home, TIDEGATE_API_KEY=KEY) as server:
        link = tidegate(
            *("share", "create", MODEL, "--expires", "1h", "--home", home), TIDEGATE_PUBLIC_URL=server.url
        ).stdout.strip()
        context, watch = watched(browser, server.url, width=width)
        page = context.new_page()
        page.goto(link)

        expect(page.get_by_role("heading", level=1)).to_have_text("Two headlines, one model", timeout=60_000)
        page.get_by_label("First headline").fill("profit rises on strong sales")
        page.get_by_role("button", name="Compare", exact=True).click()
        expect(page.get_by_role("heading", name="positive")).to_be_visible()
        keep(page, f"own-page-{width}")
        page.get_by_role("radio", name="the first").click()
        page.get_by_role("radio", name="negative").click()
        page.get_by_role("button", name="Tell us").click()
        expect(page.get_by_text("Thank you")).to_be_visible()

        assert reported(home) == ["negative"]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.evaluate("fetch('/models').then(() => 'fetched', () => 'refused')") == "refused"
        assert page.evaluate("window.open('/relabel') === null")
        assert page.goto(f"{server.url}/models").status == 401  # type: ignore[union-attr]
        assert watch.outside() == []
        page_faults = [one for one in watch.failures if not one.endswith("/models")]
        assert page_faults == []


def test_it_learns_nothing_of_who_asks_and_may_ask_two_things(tmp_path: Path) -> None:
    home = make_home(tmp_path, CURIOUS)
    with running(["serve", "--trust-demo", MODEL, "--workers", "2"], home, TIDEGATE_API_KEY=KEY) as server:
        held = {"authorization": f"Bearer {KEY}", "x-other": "a header", "connection": "close"}
        with httpx.Client(base_url=server.url, timeout=60, headers=held) as client:
            client.cookies.set("tidegate_session", "a cookie")
            assert opened(client, f"{DEMO}/").status_code == 200

            answers = [click(client, "predict") for _ in range(6)]  # by whichever worker the kernel chose
            refused = click(client, "drift")

            assert all("positive" in answer for answer in answers)
            assert "report wrong labels, and nothing else" in refused
            for secret in (KEY, "a cookie", "a header", "Bearer"):
                assert secret not in answers[0]


def test_one_that_dies_takes_nobody_with_it_and_ends_with_the_server(tmp_path: Path) -> None:
    home = make_home(tmp_path, CURIOUS, "other")
    with running(["serve", "--trust-demo", MODEL], home) as server, server.client() as client:
        assert opened(client, f"{DEMO}/").status_code == 200
        [first] = processes_below(server.process.pid)

        assert "positive" in click(client, "predict")
        click(client, "leave")
        while "starting again" in (down := client.get(f"{DEMO}/", headers={"accept": "text/html"})).text:
            time.sleep(0.1)  # its death is not noticed yet
        assert client.post(f"/models/{MODEL}/predict", json={"inputs": "profit"}).status_code == 200
        assert client.get("/demo/other/").status_code == 200

        assert not is_alive(first)
        assert down.status_code == 503
        assert "it ended with exit code 7; it is started again in 1 s" in down.text
        while opened(client, f"{DEMO}/").status_code == 503:
            time.sleep(0.1)
        [second] = processes_below(server.process.pid)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    ended = time.monotonic() + 30
    while is_alive(second) and time.monotonic() < ended:
        time.sleep(0.05)
    assert not is_alive(second)


def test_bad_ones_do_not_keep_the_gateway_from_answering(tmp_path: Path) -> None:
    home = make_home(tmp_path, "import time; time.sleep(3600)", "other")
    store = BundleStore(home / "bundles")
    bundles.with_page(store, bundles.sentiment(store, "raises"), "raise ValueError(open('/etc/hostname').name)")
    bundles.with_page(store, bundles.sentiment(store, "eats"), "while True: pass")
    trusted = f"{MODEL},raises,eats"
    with running(["serve"], home, TIDEGATE_TRUST_DEMO=trusted, TIDEGATE_DEADLINE_SECONDS="60") as server:
        visits = [threading.Thread(target=visit, args=(server, name)) for name in trusted.split(",")]
        for one in visits:
            one.start()
        with server.client() as client:
            while any(one.is_alive() for one in visits):
                assert client.post("/models/other/predict", json={"inputs": "profit"}).status_code == 200
                assert client.get("/readyz").status_code == 200
                time.sleep(0.2)
            assert "is starting" in client.get(f"{DEMO}/").text
            assert opened(client, "/demo/raises/").status_code == 503
    assert any("the page of raises/2 is down: it ended with exit code 1: ValueError" in line for line in server.stderr)


def visit(server: Server, model: str) -> None:
    with server.client() as client:
        client.get(f"/demo/{model}/")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Live]]:
    settings = Settings(max_text_chars=1_000, max_body_bytes=10_000, trust_demo=MODEL)
    made = build_house(tmp_path_factory.mktemp("home"), settings, CURIOUS)
    with started(made.app) as live:
        yield made, live
    made.database.dispose()


def test_a_visitor_of_it_gets_nothing_else_of_the_gateway_or_of_gradio(house: tuple[House, Live]) -> None:
    made, live = house
    share_id, _ = made.links.create(MODEL, 3_600)
    cookie = f"{COOKIE}={made.links.issue_pass(share_id)}"
    probes = [
        request(target, method, cookie=cookie) for target in (*STRAY, *CLOSED, *DISGUISED) for method in ("GET", "POST")
    ]

    replies = live.send(*probes, to=made.guard)

    assert {reply.status for reply in replies} <= {401, 403}
    while (page := live.send(request(f"{DEMO}/", cookie=cookie), to=made.guard)[0]).status == 503:
        assert b"starting" in page.body
    assert page.status == 200
    policy = page.header("content-security-policy")
    assert "connect-src http://demo.test/demo/headline-sentiment/;" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "sandbox allow-scripts" in policy


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"fn_index": true, "session_hash": "a", "data": []}', b"x" * 20_000],
)
def test_what_no_page_sends_does_not_reach_it(house: tuple[House, Live], body: bytes) -> None:
    _, live = house

    [reply] = live.send(request(f"{DEMO}/gradio_api/queue/join", "POST", body=body))

    assert reply.status in (400, 413, 415, 422, 503)
    assert reply.header("x-frame-options") == "DENY"
