import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from demos import document
from demos.entrance import COOKIE
from tests.demos.asgi import Live, request, started
from tests.demos.gateways import House, build_house
from tests.demos.hostile import CLOSED, DEMO
from tests.demos.visits import MODEL, config


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_house(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def live(house: House) -> Iterator[Live]:
    with started(house.app) as running:
        yield running


@pytest.fixture(scope="module")
def page(live: Live) -> str:
    [reply] = live.send(request(f"{DEMO}/"))
    assert reply.status == 200
    return reply.body.decode()


def test_the_page_points_at_nothing_outside_the_server(page: str) -> None:
    outside = set(re.findall(r"https?://([a-zA-Z0-9.-]+)", page)) - {"demo.test", "www.w3.org"}

    assert outside == set()


def test_the_page_comes_with_its_policy_and_is_kept_nowhere(live: Live, page: str) -> None:
    [reply] = live.send(request(f"{DEMO}/?deep_link=x&view=api"))

    assert reply.header("content-security-policy") == document.policy(reply.body.decode())
    assert reply.header("cache-control") == "no-store"
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("x-frame-options") == "DENY"
    assert config(reply.body.decode())["deep_link_state"] == "none"


def test_a_head_request_gets_the_headers_alone(live: Live, page: str) -> None:
    [reply] = live.send(request(f"{DEMO}/", "HEAD"))

    assert (reply.status, reply.body) == (200, b"")


def test_without_its_closing_slash_the_address_leads_to_the_page(live: Live) -> None:
    [reply] = live.send(request(DEMO))

    assert (reply.status, reply.header("location")) == (307, f"{MODEL}/")


def test_every_file_that_the_page_names_is_served_with_a_closed_policy(live: Live, page: str) -> None:
    named = re.findall(r'(?:src|href)="\./([^"]+)"', page)
    targets = [f"{DEMO}/{name}" for name in named] + [f"{DEMO}/theme.css"]

    replies = live.send(*(request(target) for target in targets))

    assert len(named) >= 2
    assert {reply.status for reply in replies} == {200}
    assert {reply.header("content-security-policy").split(";")[0] for reply in replies} == {"default-src 'none'"}


def test_the_theme_takes_no_font_from_elsewhere(live: Live, page: str) -> None:
    [css] = live.send(request(f"{DEMO}/theme.css"))

    assert b"IBMPlexSans-Regular.woff2" in css.body
    assert not re.search(rb"(?:url\(|@import)\s*['\"]?(?:https?:)?//", css.body)
    assert config(page)["stylesheets"] == []


def test_the_page_has_no_public_api_no_history_and_no_footer(page: str) -> None:
    settings = config(page)

    assert {dependency["api_visibility"] for dependency in settings["dependencies"]} == {"private"}
    assert settings["footer_links"] == []
    assert settings["run_history"] is False
    assert not settings.get("connect_heartbeat")
    assert '"named_endpoints":{}' in page


@pytest.mark.parametrize("target", CLOSED)
def test_the_closed_parts_of_gradio_are_closed_for_the_operator_too(live: Live, target: str) -> None:
    replies = live.send(*(request(target, method) for method in ("GET", "HEAD", "POST", "PUT", "DELETE")))

    assert {reply.status for reply in replies} <= {403, 404}


@pytest.mark.parametrize(
    "target", ["/demo/nope/", "/demo/nope", "/demo/nope/theme.css", "/demo/a b/", "/demo/", "/demo/.git/"]
)
def test_a_demo_that_is_not_there_is_a_404_in_plain_words(live: Live, target: str) -> None:
    [reply] = live.send(request(target))

    assert reply.status == 404
    assert orjson.loads(reply.body)["detail"]


def test_a_page_shows_the_version_that_answers_whatever_the_store_holds_by_now(tmp_path: Path) -> None:
    house = build_house(tmp_path)
    shutil.rmtree(tmp_path / "bundles")

    with started(house.app) as live:
        [page] = live.send(request(f"{DEMO}/"))

    assert page.status == 200


@pytest.fixture
def fresh(tmp_path: Path) -> House:
    return build_house(tmp_path)


def test_the_notice_of_a_link_stands_above_the_page_for_its_visitors_alone(fresh: House) -> None:
    share_id, _ = fresh.links.create(MODEL, 60, notice="Nothing <secret> here")
    cookie = f"{COOKIE}={fresh.links.issue_pass(share_id)}"
    with started(fresh.app) as live:
        visitor, operator = live.send(request(f"{DEMO}/", cookie=cookie), request(f"{DEMO}/"), to=fresh.guard)

    body = visitor.body.decode()
    assert "Nothing &lt;secret&gt; here</p>" in body
    assert body.index("Nothing &lt;secret") < body.index("<gradio-app")
    assert b"Nothing" not in operator.body


def test_a_visitor_of_a_model_that_is_gone_learns_nothing_of_other_models(tmp_path: Path) -> None:
    house = build_house(tmp_path)
    cookie = f"{COOKIE}={house.links.issue_pass(house.links.create(MODEL, 60)[0])}"
    del house.gateway.repository.by_name[MODEL]

    with started(house.app) as live:
        [gone] = live.send(request(f"{DEMO}/", cookie=cookie), to=house.guard)

    assert gone.status == 404
    assert b"other" not in gone.body
