"""Signing in with a key in a browser: what the cookie opens, and what it never does."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving.access import ADMIN, PREDICT
from serving.keys import ApiKeys
from tests.serving.apps import Running, on_gateway
from tidegate.store import open_database

KEY = "s3cret"
PREDICT_PATH = "/models/sentiment/predict"
BROWSER = {"accept": "text/html,application/xhtml+xml", "sec-fetch-site": "same-origin"}


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[ApiKeys]:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    yield ApiKeys(database)
    database.dispose()


async def sign_in(g: Running, key: str = KEY, to: str = "", site: str = "same-origin") -> httpx.Response:
    return await g.client.post("/login", data={"key": key, "to": to}, headers=BROWSER | {"sec-fetch-site": site})


def test_a_page_asks_for_a_key_and_leads_on_to_where_it_was_asked(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        asked = await g.client.get("/docs", headers=BROWSER)
        assert asked.status_code == 401
        assert asked.headers["www-authenticate"] == "Bearer"
        assert 'name="key" type="password"' in asked.text
        assert 'name="to" value="/docs"' in asked.text

        signed = await sign_in(g, to="/docs")
        assert (signed.status_code, signed.headers["location"]) == (303, "/docs")
        cookie = signed.headers["set-cookie"]
        assert re.match(r"tidegate_session=[^;]+; HttpOnly; Max-Age=43200; Path=/; SameSite=strict$", cookie)
        assert KEY not in cookie
        assert (await g.client.get("/docs", headers=BROWSER)).status_code == 200
        assert "signed in as TIDEGATE_API_KEY" in (await g.client.get("/login", headers=BROWSER)).text

        left = await g.client.post("/logout", headers=BROWSER)
        assert (left.status_code, left.headers["location"]) == (303, "/login")
        assert (await g.client.get("/docs", headers=BROWSER)).status_code == 401

    on_gateway(tmp_path, scenario, api_key=KEY)


def test_programs_are_told_in_their_own_form(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        refused = await g.client.get("/docs")

        assert refused.headers["content-type"] == "application/problem+json"
        assert (await g.client.post(PREDICT_PATH, headers=BROWSER)).headers["content-type"].endswith("problem+json")

    on_gateway(tmp_path, scenario, api_key=KEY)


def test_the_form_runs_under_a_policy_that_allows_its_style_alone(tmp_path: Path) -> None:
    import base64
    import hashlib

    async def scenario(g: Running) -> None:
        page = await g.client.get("/login")
        style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
        assert style
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        policy = page.headers["content-security-policy"]
        assert f"style-src 'sha256-{digest}'" in policy
        assert {"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))
        assert page.headers["cache-control"] == "no-store"
        assert "<script" not in page.text

    on_gateway(tmp_path, scenario, api_key=KEY)


def test_the_cookie_changes_nothing(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        await sign_in(g)

        assert (await g.client.get("/models")).status_code == 200
        assert (await g.client.head("/models")).status_code == 200
        for method, path in (
            ("POST", PREDICT_PATH),
            ("POST", "/models/sentiment/feedback"),
            ("POST", "/models/sentiment/rollback"),
            ("PUT", "/models/sentiment/aliases/shadow"),
            ("DELETE", "/models/sentiment/aliases/shadow"),
            ("POST", "/v2/repository/models/sentiment/unload"),
            ("POST", "/demo/sentiment/gradio_api/queue/join/more"),
            ("POST", "/invocations"),
        ):
            assert (await g.client.request(method, path, json={"inputs": "a"}, headers=BROWSER)).status_code == 401, (
                path
            )

    on_gateway(tmp_path, scenario, api_key=KEY)


@pytest.mark.parametrize(("site", "status"), [("same-origin", 404), ("same-site", 401), ("cross-site", 401)])
def test_a_demos_questions_are_taken_from_its_own_page(tmp_path: Path, site: str, status: int) -> None:
    async def scenario(g: Running) -> None:
        await sign_in(g)
        headers = {"sec-fetch-site": site}
        answer = await g.client.post("/demo/sentiment/gradio_api/queue/join", json={}, headers=headers)

        assert answer.status_code == status  # 404: no demos are mounted here

    on_gateway(tmp_path, scenario, api_key=KEY)


@pytest.mark.parametrize("key", ["", "wrong", KEY + "x", "tg_" + "x" * 43, "ключ", "\0"])
def test_a_wrong_key_signs_nobody_in(tmp_path: Path, key: str) -> None:
    async def scenario(g: Running) -> None:
        refused = await sign_in(g, key)

        assert refused.status_code == 401
        assert "set-cookie" not in refused.headers
        assert "opens nothing here" in refused.text

    on_gateway(tmp_path, scenario, api_key=KEY)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_from_elsewhere_is_refused(tmp_path: Path, site: str) -> None:
    async def scenario(g: Running) -> None:
        refused = await sign_in(g, site=site)

        assert refused.status_code == 403
        assert "set-cookie" not in refused.headers

    on_gateway(tmp_path, scenario, api_key=KEY)


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        '/"><script>',
        "",
        "/a?b",
        "/\n",
    ],
)
def test_signing_in_leads_nowhere_else(tmp_path: Path, to: str) -> None:
    async def scenario(g: Running) -> None:
        assert (await sign_in(g, to=to)).headers["location"] == "/docs"
        wrong = await sign_in(g, "wrong", to=to)
        assert 'name="to" value=""' in wrong.text

    on_gateway(tmp_path, scenario, api_key=KEY)


def test_a_page_whose_address_is_markup_is_shown_harmlessly(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        asked = await g.client.get("/%22%3E%3Cscript%3Ealert(1)%3C/script%3E", headers=BROWSER)

        assert asked.status_code == 401
        assert "<script" not in asked.text

    on_gateway(tmp_path, scenario, api_key=KEY)


def test_a_session_ends_with_its_key_and_reaches_as_far(keys: ApiKeys, tmp_path: Path) -> None:
    import asyncio

    key_id, key = keys.create("reader", PREDICT)
    keys.create("other", ADMIN)

    async def scenario(g: Running) -> None:
        assert (await sign_in(g, key)).status_code == 303
        assert (await g.client.get("/models")).status_code == 200
        assert (await g.client.get("/relabel/items")).status_code == 403
        keys.revoke(key_id)
        for _ in range(50):
            if (await g.client.get("/models")).status_code == 401:
                return
            await asyncio.sleep(0.1)
        pytest.fail("the session outlived its key")

    on_gateway(tmp_path, scenario, keys=keys)


@pytest.mark.parametrize("change", ["cut", "swap", "empty", "twice", "other server"])
def test_a_forged_cookie_opens_nothing(tmp_path: Path, change: str) -> None:
    async def scenario(g: Running) -> None:
        await sign_in(g)
        value = g.client.cookies["tidegate_session"]
        g.client.cookies.clear()
        payload, stamp, signature = value.split(".")
        forged = {
            "cut": value[:-1],
            "swap": f"{payload[::-1]}.{stamp}.{signature}",
            "empty": "",
            "twice": f"x; tidegate_session={value[:-2]}",
            "other server": "InNldHRpbmcteCI.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        }[change]
        answer = await g.client.get("/models", headers={"cookie": f"tidegate_session={forged}"})

        assert answer.status_code == 401

    on_gateway(tmp_path, scenario, api_key=KEY)


def test_a_key_that_is_sent_counts_for_more_than_the_cookie(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        await sign_in(g)

        assert (await g.client.get("/models", headers={"authorization": "Bearer wrong"})).status_code == 401

    on_gateway(tmp_path, scenario, api_key=KEY)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"key=" + b"x" * 5_000, "application/x-www-form-urlencoded", 413),
        (b'{"key": "s3cret"}', "application/json", 415),
        (b"&".join(b"a=1" for _ in range(20)), "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe=%ff&key=%ff", "application/x-www-form-urlencoded", 401),
    ],
)
def test_what_is_no_form_of_ours_is_refused(tmp_path: Path, body: bytes, content_type: str, status: int) -> None:
    async def scenario(g: Running) -> None:
        answer = await g.client.post("/login", content=body, headers={"content-type": content_type})

        assert answer.status_code == status

    on_gateway(tmp_path, scenario, api_key=KEY)


def test_without_keys_there_is_nothing_to_sign_in_to(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        answer = await g.client.get("/login")

        assert (answer.status_code, answer.headers["location"]) == (303, "/docs")

    on_gateway(tmp_path, scenario)
