from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from demos.entrance import COOKIE
from demos.guard import CACHE_SECONDS, ShareGuard, token_of
from demos.meter import ShareMeter
from demos.share import Share, ShareLinks
from tests.demos.asgi import Reply, request, send_all, websocket
from tests.demos.hostile import CLOSED, DEMO, STRAY
from tidegate.store import open_database, shares

MODEL = "headline-sentiment"


class Inner:
    """The gateway behind the guard: remembers what got through."""

    def __init__(self) -> None:
        self.seen: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        if scope["type"] == "http":
            await PlainTextResponse("inside")(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})


class Clocks:
    """Wall and monotonic time, moved by hand."""

    def __init__(self) -> None:
        self.wall = 1_790_000_000.0
        self.monotonic = 100.0


class World:
    """A guard over `Inner`, with links of its own database."""

    def __init__(self, home: Path) -> None:
        self.clocks = Clocks()
        self.inner = Inner()
        self.database = open_database(f"sqlite:///{home / 'state.db'}")
        self.links = ShareLinks(self.database, b"a secret of thirty-two bytes ...", lambda: self.clocks.wall)
        self.meter = ShareMeter(self.links, lambda: self.clocks.monotonic)
        self.guard = ShareGuard(self.inner, self.links, self.meter, monotonic=lambda: self.clocks.monotonic)
        self.share_id, self.token = self.links.create(MODEL, 3600)
        self.cookie = f"{COOKIE}={self.links.issue_pass(self.share_id)}"

    def ask(self, *scopes: Scope) -> list[Reply]:
        """Send requests through the guard."""
        return send_all(self.guard, [dict(scope) for scope in scopes])

    def visit(self, target: str, method: str = "GET") -> Reply:
        """One request of a browser that is in."""
        return self.ask(request(target, method, cookie=self.cookie))[0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.dispose()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.database.dispose()


def test_the_link_sets_a_cookie_for_its_demo_alone_and_leaves_the_address_bar(world: World) -> None:
    [reply] = world.ask(request(f"{DEMO}?share={world.token}"))

    cookie = reply.header("set-cookie")
    assert (reply.status, reply.header("location")) == (303, f"{MODEL}/")
    assert world.links.read_pass(cookie.split(";")[0].removeprefix(f"{COOKIE}=")) == world.share_id
    assert {part.strip() for part in cookie.split(";")[1:]} == {
        "HttpOnly",
        f"Max-Age={3600 + 7 * 24 * 3600}",
        f"Path={DEMO}",
        "SameSite=lax",
    }
    assert (reply.header("referrer-policy"), reply.header("cache-control")) == ("no-referrer", "no-store")
    assert world.inner.seen == []


def test_the_link_with_a_closing_slash_redirects_to_the_page_itself(world: World) -> None:
    [reply] = world.ask(request(f"{DEMO}/?share={world.token}&__theme=dark"))

    assert (reply.status, reply.header("location")) == (303, "./")


def test_the_cookie_is_secure_over_https(world: World) -> None:
    [reply] = world.ask(request(f"{DEMO}/?share={world.token}", scheme="https"))

    assert "; Secure" in reply.header("set-cookie")


def test_below_a_root_path_the_cookie_keeps_to_the_demo(world: World) -> None:
    link, page = world.ask(
        request(f"{DEMO}/?share={world.token}", root_path="/ml"),
        request(f"{DEMO}/", root_path="/ml", cookie=world.cookie),
    )

    assert f"Path=/ml{DEMO};" in link.header("set-cookie")
    assert page.body == b"inside"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", DEMO),
        ("GET", f"{DEMO}/"),
        ("HEAD", f"{DEMO}/"),
        ("GET", f"{DEMO}/theme.css?v=1"),
        ("GET", f"{DEMO}/assets/index-DphvyggB.js"),
        ("POST", f"{DEMO}/gradio_api/queue/join?"),
        ("POST", f"{DEMO}/gradio_api/run/predict"),
        ("GET", f"{DEMO}/gradio_api/queue/data?session_hash=abc"),
    ],
)
def test_a_visitor_reaches_what_the_page_needs_and_is_known_as_one(world: World, method: str, target: str) -> None:
    reply = world.visit(target, method)

    share = world.inner.seen[0]["tidegate.share"]
    assert reply.status == 200
    assert isinstance(share, Share)
    assert (share.id, share.model) == (world.share_id, MODEL)


@pytest.mark.parametrize("target", STRAY + CLOSED)
def test_a_visitor_reaches_nothing_else(lasting: World, target: str) -> None:
    cookie = lasting.cookie
    joint = "&" if "?" in target else "?"
    scopes = [request(target, method, cookie=cookie) for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")]
    scopes.append(request(f"{target}{joint}share={lasting.token}"))

    replies = lasting.ask(*scopes)

    assert {reply.status for reply in replies} == {403}
    assert {reply.header("content-type") for reply in replies} == {"application/problem+json"}
    assert lasting.inner.seen == []


@given(target=st.text(alphabet="/demohalin-st.%2eE?;\\_apijqu", min_size=1, max_size=60))
def test_whatever_the_path_a_visitor_stays_in_the_demo(lasting: World, target: str) -> None:
    path, _, query = target.partition("?")
    lasting.inner.seen.clear()

    lasting.ask(request(f"/{path}?{query}", cookie=lasting.cookie))

    reached = [scope["path"] for scope in lasting.inner.seen]
    lasting.inner.seen.clear()
    assert all(one == DEMO or one.startswith(f"{DEMO}/") for one in reached)
    assert not any(".." in one or "//" in one for one in reached)


def test_the_cookie_of_one_demo_does_not_open_another(world: World) -> None:
    other = world.links.issue_pass(world.links.create("other", 60)[0])

    [reply] = world.ask(request(f"{DEMO}/", cookie=f"{COOKIE}={other}"))

    assert reply.status == 403
    assert "opens the demo of 'other' and nothing else" in orjson.loads(reply.body)["detail"]


def test_the_operator_passes_untouched(world: World) -> None:
    targets = ["/metrics", "/models", f"{DEMO}/", "/demo/other/", f"{DEMO}/gradio_api/file=/etc/passwd"]
    replies = world.ask(*(request(target, cookie="session=1; theme=dark") for target in targets))

    assert {reply.body for reply in replies} == {b"inside"}
    assert all("tidegate.share" not in scope for scope in world.inner.seen)


def test_an_unsigned_token_is_401_for_programs_and_a_page_for_people(world: World) -> None:
    program, person = world.ask(
        request(f"{DEMO}/?share=forged"), request(f"{DEMO}/?share=%3Cscript%3E", accept="text/html,*/*;q=0.8")
    )

    assert program.status == person.status == 401
    assert orjson.loads(program.body) == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "this share link is not one of ours, or was cut short; ask for it again, in full",
    }
    assert b"This share link is not one of ours" in person.body
    assert b"script" not in person.body
    assert person.header("content-security-policy").startswith("default-src 'none'")


def test_a_link_that_has_ended_says_when_and_so_does_its_cookie(world: World) -> None:
    world.clocks.wall += 3_600

    replies = [*world.ask(request(f"{DEMO}/?share={world.token}")), world.visit(f"{DEMO}/")]

    assert [reply.status for reply in replies] == [403, 403]
    assert all("ended on 21 September 2026" in orjson.loads(reply.body)["detail"] for reply in replies)


def test_revoking_takes_effect_when_the_cached_lookup_is_stale(world: World) -> None:
    assert world.visit(f"{DEMO}/").status == 200
    world.links.revoke(world.share_id)
    world.clocks.monotonic += CACHE_SECONDS

    reply = world.visit(f"{DEMO}/")

    assert reply.status == 403
    assert "withdrawn" in orjson.loads(reply.body)["detail"]
    assert CACHE_SECONDS < 1


def test_expiry_is_judged_on_every_request_not_on_the_cached_lookup(world: World) -> None:
    assert world.visit(f"{DEMO}/").status == 200
    world.clocks.wall += 3_600

    assert world.visit(f"{DEMO}/").status == 403


def test_one_lookup_serves_the_burst_of_a_page_load(world: World) -> None:
    assert world.visit(f"{DEMO}/").status == 200
    with world.database.begin() as connection:
        shares.drop(connection)

    replies = world.ask(*(request(f"{DEMO}/theme.css", cookie=world.cookie) for _ in range(50)))

    assert {reply.status for reply in replies} == {200}


def test_a_database_that_does_not_answer_closes_the_door(world: World) -> None:
    with world.database.begin() as connection:
        shares.drop(connection)

    reply = world.visit(f"{DEMO}/")

    assert reply.status == 503
    assert reply.header("set-cookie") == ""
    assert world.inner.seen == []


def test_a_dead_cookie_is_taken_away_so_that_it_does_not_lock_out_the_operator(world: World) -> None:
    world.links.revoke(world.share_id)

    reply = world.visit(f"{DEMO}/")

    assert f"{COOKIE}=" in reply.header("set-cookie")
    assert "Max-Age=0" in reply.header("set-cookie")
    assert f"Path={DEMO};" in reply.header("set-cookie")


def test_a_fresh_link_wins_over_an_old_cookie(world: World) -> None:
    fresh_id, fresh = world.links.create(MODEL, 60)
    world.links.revoke(world.share_id)

    [reply] = world.ask(request(f"{DEMO}/?share={fresh}", cookie=world.cookie))

    assert reply.status == 303
    cookie = reply.header("set-cookie").split(";")[0].removeprefix(f"{COOKIE}=")
    assert world.links.read_pass(cookie) == fresh_id


@pytest.mark.parametrize("query", ["share={0}&share=x", "share={0}&%73hare=x", "share=&share={0}", "share="])
def test_several_tokens_or_an_empty_one_open_nothing(world: World, query: str) -> None:
    [reply] = world.ask(request(f"{DEMO}/?{query.format(world.token)}"))

    assert reply.status == 401


@pytest.mark.parametrize("cookie", ["{0}={1}; {0}=x", "{0}=x; a=b; {0}={1}", '{0}="{1}"', "{0}=", "{0}"])
def test_a_cookie_that_is_not_exactly_the_token_opens_nothing(world: World, cookie: str) -> None:
    [reply] = world.ask(request(f"{DEMO}/", cookie=cookie.format(*world.cookie.split("="))))

    assert reply.status == 401
    assert world.inner.seen == []


def test_a_cookie_of_another_name_is_not_read() -> None:
    assert token_of(request("/", cookie="tidegate_shares=x; Tidegate_share=y; xtidegate_share=z")) is None


def test_visitors_open_no_websocket_and_the_operators_pass(world: World) -> None:
    refused = world.ask(
        websocket(f"{DEMO}/", cookie=world.cookie),
        websocket(f"{DEMO}/?share={world.token}"),
        websocket("/live?share=forged"),
    )
    assert [reply.status for reply in refused] == [403, 403, 403]
    assert world.inner.seen == []

    world.ask(websocket("/live"))
    assert [scope["path"] for scope in world.inner.seen] == ["/live"]
