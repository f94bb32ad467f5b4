"""What a person meets who opens a share link: a password, a full house, a notice, too many questions, a QR code."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import orjson
import pytest
from sqlalchemy import update
from starlette.types import Scope

from demos.entrance import COOKIE
from demos.guard import CACHE_SECONDS
from demos.meter import TRIES_AT_ONCE
from tests.demos.asgi import Reply, request
from tests.demos.hostile import DEMO
from tests.demos.test_guard import MODEL, World
from tidegate.store import shares

PASSWORD = "eight or more"
HTML = "text/html,*/*;q=0.8"
JOIN = f"{DEMO}/gradio_api/queue/join"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.dispose()


def form(target: str, **fields: str) -> Scope:
    """The form of the entrance, as a browser sends it."""
    scope = request(target, "POST", accept=HTML, body=urlencode(fields).encode())
    scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
    scope["headers"].append((b"content-type", b"application/x-www-form-urlencoded"))
    return scope


def pass_of(reply: Reply) -> str:
    return reply.header("set-cookie").split(";")[0]


def visits(world: World, share_id: str) -> int:
    return world.links.find(share_id).visits


def test_a_link_with_a_password_shows_a_form_and_opens_nothing_by_itself(world: World) -> None:
    share_id, token = world.links.create(MODEL, 3600, password=PASSWORD)

    page, *others = world.ask(
        request(f"{DEMO}?share={token}", accept=HTML),
        request(f"{DEMO}/theme.css?share={token}"),
        request(f"{JOIN}?share={token}", "POST", body=b"{}"),
        request(f"{DEMO}/", cookie=f"{COOKIE}={token}"),
        request(f"{DEMO}/?share={world.links.issue_pass(share_id)}"),
    )

    assert (page.status, page.header("set-cookie")) == (200, "")
    assert b'type="password"' in page.body
    assert "form-action 'self'" in page.header("content-security-policy")
    assert [reply.status for reply in others] == [403, 403, 401, 401]
    assert (world.inner.seen, visits(world, share_id)) == ([], 0)


def test_the_right_password_opens_the_demo_and_a_wrong_one_says_so(world: World) -> None:
    share_id, token = world.links.create(MODEL, 3600, password=PASSWORD)

    wrong, right = world.ask(
        form(f"{DEMO}/?share={token}", password="something else"), form(f"{DEMO}/?share={token}", password=PASSWORD)
    )
    [inside] = world.ask(request(f"{DEMO}/", cookie=pass_of(right)))

    assert (wrong.status, wrong.header("set-cookie")) == (401, "")
    assert b"This is not the password of this link; ask whoever sent it" in wrong.body
    assert (right.status, right.header("location"), inside.status) == (303, "./", 200)
    assert visits(world, share_id) == 1


def test_a_password_may_be_tried_a_few_times_and_then_once_a_minute(world: World) -> None:
    _, token = world.links.create(MODEL, 3600, password=PASSWORD)
    target = f"{DEMO}/?share={token}"

    tries = world.ask(*(form(target, password=f"wrong {n}") for n in range(TRIES_AT_ONCE)), form(target, password="x"))
    [shut_to_the_right_one] = world.ask(form(target, password=PASSWORD))
    world.clocks.monotonic += 61
    [later] = world.ask(form(target, password=PASSWORD))

    assert [reply.status for reply in tries] == [401] * TRIES_AT_ONCE + [429]
    assert b"too many wrong passwords" in tries[-1].body.lower()
    assert int(tries[-1].header("retry-after")) == 60
    assert (shut_to_the_right_one.status, later.status) == (429, 303)


def test_right_passwords_cost_no_try(world: World) -> None:
    share_id, token = world.links.create(MODEL, 3600, password=PASSWORD)

    replies = world.ask(*(form(f"{DEMO}/?share={token}", password=PASSWORD) for _ in range(TRIES_AT_ONCE + 2)))

    assert {reply.status for reply in replies} == {303}
    assert visits(world, share_id) == TRIES_AT_ONCE + 2


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", b"application/x-www-form-urlencoded", 401),
        (b"password=a&password=b", b"application/x-www-form-urlencoded", 401),
        (b"&".join([b"a=1"] * 9), b"application/x-www-form-urlencoded", 400),
        (b"password=" + b"a" * 5_000, b"application/x-www-form-urlencoded", 413),
        (b'{"password": "x"}', b"application/json", 415),
        (b"password=\xff\xed\xa0\x80", b"application/x-www-form-urlencoded", 401),
    ],
)
def test_a_body_that_is_not_the_form_opens_nothing(world: World, body: bytes, kind: bytes, status: int) -> None:
    _, token = world.links.create(MODEL, 3600, password=PASSWORD)
    scope = request(f"{DEMO}/?share={token}", "POST", body=body)
    scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"content-type"] + [(b"content-type", kind)]

    [reply] = world.ask(scope)

    assert (reply.status, reply.header("set-cookie")) == (status, "")


def test_a_link_for_two_visits_lets_two_browsers_in_and_they_stay(world: World) -> None:
    share_id, token = world.links.create(MODEL, 3600, max_visits=2)
    target = f"{DEMO}/?share={token}"

    seen, first, again, second = world.ask(
        request(target, accept=HTML), form(target), request(target, accept=HTML), form(target)
    )
    world.clocks.monotonic += CACHE_SECONDS
    person, program, late, inside, back = world.ask(
        request(target, accept=HTML),
        request(target),
        form(target),
        request(f"{DEMO}/", cookie=pass_of(first)),
        request(target, cookie=pass_of(second)),
    )

    assert (seen.status, seen.header("set-cookie"), again.status) == (200, "", 200)  # a preview in a chat is no visit
    assert (first.status, second.status) == (303, 303)
    assert {person.status, program.status, late.status} == {403}
    assert b"This share link may be opened 2 times and has been; ask for a new one" in person.body
    assert (inside.status, back.status, back.header("set-cookie")) == (200, 303, "")
    assert (visits(world, share_id), world.links.find(share_id).state(world.clocks.wall)) == (2, "full")


def test_no_more_are_let_in_than_may_when_all_come_within_one_lookup(world: World) -> None:
    share_id, token = world.links.create(MODEL, 3600, max_visits=3)

    replies = world.ask(*(form(f"{DEMO}/?share={token}") for _ in range(8)))

    assert sorted(reply.status for reply in replies) == [303] * 3 + [403] * 5
    assert visits(world, share_id) == 3


def test_a_plain_link_leads_straight_in_and_counts_each_browser_once(world: World) -> None:
    target = f"{DEMO}?share={world.token}"

    [first] = world.ask(request(target))
    world.ask(request(target, cookie=pass_of(first)), request(target, "HEAD"), request(f"{DEMO}/", cookie=world.cookie))
    world.ask(request(target))

    assert visits(world, world.share_id) == 2


def test_a_pass_of_another_link_does_not_pass_for_a_visit(world: World) -> None:
    share_id, token = world.links.create(MODEL, 3600, max_visits=1)

    [reply] = world.ask(request(f"{DEMO}/?share={token}", cookie=world.cookie, accept=HTML))

    assert (reply.status, visits(world, share_id)) == (200, 0)


def test_questions_are_held_to_the_rate_of_the_link_and_say_when_to_ask_again(world: World) -> None:
    share_id, _ = world.links.create(MODEL, 3600, rate_per_minute=3)
    passes = [f"{COOKIE}={world.links.issue_pass(share_id)}" for _ in range(2)]

    def ask(*cookies: str) -> list[Reply]:
        return world.ask(*(request(JOIN, "POST", cookie=cookie, body=b"{}") for cookie in cookies))

    burst = ask(passes[0], passes[1], passes[0], passes[1])
    reading = world.ask(request(f"{DEMO}/theme.css", cookie=passes[0]))
    world.clocks.monotonic += 20
    later = ask(*passes)

    assert [reply.status for reply in burst] == [200, 200, 200, 429]
    assert "takes 3 questions a minute" in orjson.loads(burst[-1].body)["detail"]
    assert burst[-1].header("retry-after") == "20"
    assert burst[-1].header("set-cookie") == ""
    assert [reply.status for reply in reading] == [200]
    assert [reply.status for reply in later] == [200, 429]


def test_a_stray_request_does_not_cost_a_visitor_the_pass(world: World) -> None:
    reply = world.visit(f"{DEMO}/favicon.ico")

    assert (reply.status, reply.header("set-cookie")) == (403, "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"revoked_at": 1.0}, "This share link was withdrawn by its owner; ask for a new one."),
        (
            {"expires_at": 1_700_000_000.0},
            "This share link ended on 14 November 2023 at 22:13 UTC; ask for a new one.",
        ),
        (
            {"max_visits": 1, "visits": 1},
            "This share link may be opened once and has been; ask for a new one.",
        ),
    ],
)
def test_a_link_that_opens_no_more_tells_a_person_what_to_do(world: World, change: dict[str, float], said: str) -> None:
    with world.database.begin() as connection:
        connection.execute(update(shares).where(shares.c.id == world.share_id).values(**change))

    [reply] = world.ask(request(f"{DEMO}?share={world.token}", accept=HTML))

    assert reply.status == 403
    assert f"<p>{said}</p>".encode() in reply.body


def test_the_code_page_shows_the_link_as_svg_and_counts_no_visit(world: World) -> None:
    _, token = world.links.create(MODEL, 3600, password=PASSWORD, notice="Only <b>public</b> texts")

    here, below = world.ask(
        request(f"/share/{MODEL}?share={token}", accept=HTML),
        request(f"/share/{MODEL}?share={token}", root_path="/ml", scheme="https"),
    )

    assert (here.status, here.header("cache-control"), here.header("referrer-policy")) == (
        200,
        "no-store",
        "no-referrer",
    )
    assert b"<svg" in here.body
    assert f'href="http://demo.test{DEMO}?share={token}"'.encode() in here.body
    assert f'href="https://demo.test/ml{DEMO}?share={token}"'.encode() in below.body
    assert b"It asks for a password" in here.body
    assert b"Only &lt;b&gt;public&lt;/b&gt; texts" in here.body
    assert world.inner.seen == []


def test_the_code_page_of_a_link_that_does_not_hold_shows_none(world: World) -> None:
    world.links.revoke(world.share_id)

    _, token = world.links.create(MODEL, 3600)

    replies = world.ask(
        request(f"/share/{MODEL}?share={world.token}"),
        request("/share/"),
        request(f"/share/{MODEL}"),
        request(f"/share/{MODEL}?share=x"),
        request(f"/share/{MODEL}", cookie=world.cookie),
        request(f"/share/{MODEL}?share={world.links.issue_pass(world.share_id)}"),
        request(f"/share/other?share={token}"),
        request(f"/share/{MODEL}/../../metrics?share={token}"),
        request(f"/share/{MODEL}?share={token}", "POST"),
    )

    assert [reply.status for reply in replies] == [403, 401, 401, 401, 401, 401, 403, 403, 403]
    assert not any(b"svg" in reply.body for reply in replies)


def test_a_host_that_is_none_makes_no_link(world: World) -> None:
    scope = request(f"/share/{MODEL}?share={world.token}")
    scope["headers"] = [(b"host", b'evil"><script>')]

    [reply] = world.ask(scope)

    assert (reply.status, b"script" in reply.body) == (400, False)
