"""The pipes between the gateway and the demos' process, with processes that behave as no demos do."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from demos import link, process
from demos.child import Exchange
from demos.frames import MOST_BYTES, MOST_UNSENT, pack_reply, read_reply
from demos.front import mount_demos
from demos.process import DemoProcess
from demos.remote import Questions
from demos.told import Asked, Teller, told_settings
from serving.access import ANNOTATE, Role
from serving.auth import PRINCIPAL, SHARE_KEY
from tests.demos.asgi import Live, request, started
from tests.demos.gateways import House, Patient, build_house
from tests.demos.hostile import DEMO
from tidegate.environments import CHECKOUT
from tidegate.errors import InvalidInput
from tidegate.settings import Settings

MODEL = "headline-sentiment"
STUB = f"""
import os, sys
sys.path.insert(0, {str(CHECKOUT)!r})
from demos.frames import pack_reply, read_order, take_pipes
orders, replies = take_pipes()
def say(said, content=b""):
    replies.write(pack_reply(said, content))
    replies.flush()
def heard(kind):
    while (order := read_order(orders)) is not None:
        if order[0] == kind:
            return order
    os._exit(0)
heard("start")
say(["ready"])
_, number, asked = heard("request")
"""
ANSWER = """
say(["start", number, 200, [["content-type", "text/plain"]], True])
say(["body", number, False], b"here")
say(["over", number])
heard("end")
"""


@contextmanager
def served(house: House, behaviour: str) -> Iterator[tuple[Live, FastAPI]]:
    """The house's gateway, with demos that behave as a program says."""
    app, pages = FastAPI(), DemoProcess(house.gateway)
    pages.command = (*DemoProcess.command[:3], STUB + behaviour)
    mount_demos(app, house.gateway, pages)
    with started(app) as live:
        yield live, app


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = build_house(tmp_path)
    yield made
    made.database.dispose()


@pytest.mark.slow
def test_an_answer_comes_over(house: House) -> None:
    with served(house, ANSWER) as (live, _):
        [reply] = live.send(request(f"{DEMO}/"))

    assert (reply.status, reply.body, reply.header("content-type")) == (200, b"here", "text/plain")


@pytest.mark.slow
@pytest.mark.parametrize(
    "strange",
    [
        'say(["launch"])',
        'say("ready")',
        'say(["start", "1", 200, [], True])',
        'replies.write(b"GET / HTTP/1.1" * 9); replies.flush()',
        'replies.write(b"\\0\\0\\0\\2\\0\\0\\0\\0{]"); replies.flush()',
    ],
)
def test_one_that_says_what_no_demos_say_is_killed(
    house: House, strange: str, caplog: pytest.LogCaptureFixture
) -> None:
    with served(house, f"{strange}\nheard('end')") as (live, _):
        [reply] = live.send(request(f"{DEMO}/"))

    assert reply.status == 503
    assert link.STRANGE in caplog.text


@pytest.mark.slow
def test_one_that_hangs_is_killed(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link, "FIRST_SECONDS", 0.3)

    with served(house, "import time; time.sleep(3600)") as (live, _):
        [reply] = live.send(request(f"{DEMO}/"))

    assert reply.status == 503
    assert b"starting again" in reply.body
    assert "killed by SIGKILL" in caplog.text


@pytest.mark.slow
def test_one_that_does_not_start_is_said_to_be_starting(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PATIENCE_SECONDS", 0.5)
    app, pages = FastAPI(), DemoProcess(house.gateway)
    pages.command = ("/nowhere/python",)
    mount_demos(app, house.gateway, pages)

    with started(app) as live:
        plain, for_people = live.send(request(f"{DEMO}/"), request(f"{DEMO}/", accept="text/html"))

    assert (plain.status, for_people.status) == (503, 503)
    assert b"The demos are starting" in for_people.body


@pytest.mark.slow
def test_a_question_that_is_given_up_is_given_up_in_the_gateway(house: House) -> None:
    served_model = house.gateway.repository.get(MODEL)
    patient = Patient(served_model.bundle, house.gateway.monitor)
    house.gateway.repository.by_name[MODEL] = patient
    ask = f'say(["ask", 7, "predict", [{MODEL!r}, ["profit"], None, "", 1]])\nsay(["give up", 7])\n'
    with served(house, "import time\n" + ask.replace("\nsay", "\ntime.sleep(0.5)\nsay") + ANSWER) as (live, _):
        [reply] = live.send(request(f"{DEMO}/"))

    assert (reply.status, patient.left) == (200, 1)


@pytest.mark.slow
def test_what_demos_have_no_business_to_ask_is_refused(house: House) -> None:
    asks = (
        'say(["ask", 1, "predict", ["nope", ["profit"], None, "", 1]])\n'
        'say(["ask", 2, "alerts", []])\n'
        'say(["ask", 3, "charge", ["nobody", 1]])\n'
        f'say(["ask", 4, "compare", [{MODEL!r}, 99, ["profit"]]])\n'
        f'say(["ask", 5, "predict", [{MODEL!r}, [7], None, "", 1]])\n'
        "said = sorted((n, type(e).__name__) for _, n, v, e in [heard('answer') for _ in range(5)])\n"
        'say(["start", number, 200, [], False], repr(said).encode())\nsay(["over", number])\n'
    )
    with served(house, asks + 'heard("end")') as (live, _):
        [reply] = live.send(request(f"{DEMO}/"))

    wanted = ["ModelNotFound", "Forbidden", "Forbidden", "NotReady", "InferenceFailed"]
    assert reply.body.decode() == repr(list(enumerate(wanted, 1)))


async def turns() -> None:
    """Some turns of the event loop, however long each takes."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_slow_visitor_holds_back_the_process_and_one_who_left_does_not() -> None:
    async def main() -> None:
        said: list[int] = []
        exchange = Exchange(lambda one, content=b"": said.append(len(content)), 3, b"asked")
        half: Message = {"type": "http.response.body", "body": bytes(MOST_UNSENT // 2 + 1), "more_body": True}
        sending = asyncio.gather(*(exchange.send(half) for _ in range(5)))
        await turns()
        assert sum(said) == 2 * (MOST_UNSENT // 2 + 1)
        exchange.sent(MOST_UNSENT // 2 + 1)
        await turns()
        assert sum(said) == 3 * (MOST_UNSENT // 2 + 1)
        exchange.leave()
        await asyncio.wait_for(sending, 5)
        await turns()
        assert sum(said) == 3 * (MOST_UNSENT // 2 + 1)
        assert (await exchange.receive())["body"] == b"asked"
        assert (await exchange.receive())["type"] == "http.disconnect"

    asyncio.run(main())


def test_what_an_app_sends_in_one_turn_goes_over_in_one_frame_and_in_its_order() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two", "more_body": True})
        await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"three ", "more_body": True})
        await send({"type": "http.response.body", "body": b"four", "more_body": False})

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError

    async def main() -> None:
        said: list[Any] = []

        def say(one: Any, content: bytes = b"") -> None:
            said.append((*one, content))

        asked = Asked({"type": "http"}, b"", None, None, "")
        await Exchange(say, 1, b"").run(app, asked, Questions(say))
        await turns()
        assert said == [("start", 1, 200, [("a", "b")], True, b"one two"), ("body", 1, False, b"three four")]
        said.clear()
        await Exchange(say, 2, b"").run(failing, asked, Questions(say))
        await turns()
        assert said == [("start", 2, 200, [], True, b"half"), ("over", 2, b"")]

    asyncio.run(main())


def test_a_question_that_nobody_waits_for_is_given_up_and_half_a_character_is_not_sent() -> None:
    async def main() -> None:
        said: list[Any] = []

        def say(one: Any, content: bytes = b"") -> None:
            pack_reply(one)
            said.append(one)

        questions = Questions(say)
        asking = asyncio.create_task(questions.ask("predict", "m", ["profit"]))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait([asking])
        assert said == [["ask", 0, "predict", ("m", ["profit"])], ["give up", 0]]
        questions.answer(0, "too late", None)
        with pytest.raises(InvalidInput, match="half a character"):
            await questions.ask("predict", "m", ["\ud800"])

    asyncio.run(main())


def test_a_frame_that_is_too_long_is_not_waited_for() -> None:
    async def main() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(pack_reply(["body", 1, True], b"x"))
        assert await read_reply(reader) == (["body", 1, True], b"x")
        reader.feed_data((MOST_BYTES + 1).to_bytes(4) + bytes(4))
        with pytest.raises(ValueError, match="too long"):
            await read_reply(reader)

    asyncio.run(main())


def test_versions_are_told_once_and_again_when_another_serves_or_none(house: House) -> None:
    models = house.gateway.repository
    teller = Teller(models)

    [(name, first)] = teller.news(MODEL)
    assert name == MODEL
    assert first is not None
    assert first.champion.bundle is models.get(MODEL).bundle
    assert list(teller.news(MODEL)) == []

    models.shadows[MODEL] = models.get("other")
    [(_, told)] = teller.news(MODEL)
    assert told is not None
    assert told.shadow is not None
    assert [name for name, _ in teller.news("other")] == ["other"]

    gone = models.by_name.pop(MODEL)
    assert list(teller.news("other")) == []
    models.by_name["other"] = gone
    assert [(name, told is None) for name, told in teller.news("other")] == [(MODEL, True), ("other", False)]


def test_of_a_request_no_credential_goes_over_and_who_asks_does_beside_the_headers() -> None:
    scope = request(f"{DEMO}/", cookie="tidegate_session=a") | {"extensions": {}, "app": object()}
    scope["headers"] = [*scope["headers"], (b"Authorization", b"Bearer k"), (b"x-api-key", b"k"), (b"x-other", b"o")]

    class Key:
        role = ANNOTATE

    told = Asked.of(scope | {PRINCIPAL: Key()}, b"", "r1")
    plain = Asked.of(scope, b"", "r1")

    assert [name for name, _ in told.scope["headers"]] == [b"host", b"accept", b"x-other"]
    assert not {"extensions", "app", PRINCIPAL} & set(told.scope)
    assert told.marked(None)[PRINCIPAL].role is Role.ANNOTATE
    assert plain.marked(None)[PRINCIPAL] is None
    assert SHARE_KEY not in plain.marked(None)


def test_settings_go_over_without_secrets() -> None:
    settings = Settings.model_validate({"api_key": "k", "database_url": "postgresql://u:p@h/d", "max_text_chars": 7})

    told = told_settings(settings)

    assert (told.max_text_chars, told.api_key.get_secret_value(), told.database_url) == (7, "", "")
