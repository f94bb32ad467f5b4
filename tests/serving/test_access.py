"""The table of roles: every route stands in it, and what does not stand in it needs an admin."""

import re
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from prometheus_client import CollectorRegistry

from serving.access import ADMIN, ANNOTATE, ANYONE, PREDICT, RULES, Role, role_of, rule_of
from serving.app import create_app
from serving.keys import ApiKeys
from tests.serving.apps import Running, on_gateway, routes_of
from tidegate.bundle_store import BundleStore
from tidegate.records import Monitor, NullRecorder
from tidegate.settings import Settings
from tidegate.store import open_database

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def test_every_route_has_a_rule_of_its_own(tmp_path: Path) -> None:
    from demos.dashboard.app import mount_dashboard
    from demos.drift_page import mount_drift_page
    from demos.front import mount_demos
    from demos.process import DemoProcess
    from demos.relabel_page import mount_relabel_page

    nothing = NullRecorder()
    settings = Settings(home=tmp_path)
    app = create_app(settings, BundleStore(tmp_path), nothing, cast(Monitor, nothing), CollectorRegistry())
    mount_demos(app, app.state.gateway, DemoProcess(app.state.gateway))
    mount_dashboard(app)
    mount_drift_page(app)
    mount_relabel_page(app)

    served = [(method, re.sub(r"\{[^}]*\}", "x", path)) for method, path in routes_of(app.routes)]
    without = [f"{method} {path}" for method, path in served if rule_of(method, path) is None]

    assert len(served) > 20
    assert ("POST", "/models/x/predict") in served
    assert ("GET", "/demo/anything") in served
    assert without == [], "say in serving/access.py which role these need"


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/models/", "/models//predict", "/models/a/b/predict", "/MODELS", "/demos", "/relabelled", "//"],
)
@pytest.mark.parametrize("method", METHODS)
def test_what_has_no_rule_needs_an_admin(method: str, path: str) -> None:
    assert role_of(method, path) is ADMIN


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/healthz", ANYONE),
        ("HEAD", "/readyz", ANYONE),
        ("POST", "/healthz", ADMIN),
        ("GET", "/v2/health/ready", ANYONE),
        ("POST", "/models/m/predict", PREDICT),
        ("GET", "/models/m/predict", ADMIN),
        ("GET", "/models/m/traffic", PREDICT),
        ("PUT", "/models/m/aliases/champion", ADMIN),
        ("POST", "/models/m/rollback", ADMIN),
        ("GET", "/relabel/items", ANNOTATE),
        ("POST", "/relabel/items/1", ANNOTATE),
        ("POST", "/v2/models/m/versions/3/infer", PREDICT),
        ("POST", "/v2/repository/models/m/load", ADMIN),
        ("POST", "/v2/repository/models/m/unload", ADMIN),
        ("POST", "/v1/models/m:predict", PREDICT),
        ("POST", "/demo/m/gradio_api/queue/join", PREDICT),
        ("POST", "/demo/m/gradio_api/run/predict", PREDICT),
    ],
)
def test_what_each_request_needs(method: str, path: str, role: Role) -> None:
    assert role_of(method, path) is role


def test_each_rule_fits_its_own_route_and_none_before_it_decides() -> None:
    for rule, role in RULES:
        method, _, path = rule.partition(" ")
        plain = re.sub(r"\{[^}]*\}", "load", path)

        assert role_of("GET" if method == "*" else method, plain) is role, rule


def test_a_key_reaches_what_its_role_reaches_and_no_more(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    keys = ApiKeys(database)
    by_role = {role: keys.create(role.name, role)[1] for role in (PREDICT, ANNOTATE, ADMIN)}

    async def scenario(g: Running) -> None:
        async def status(role: Role, method: str, path: str, **options: Any) -> int:
            headers = {"authorization": f"Bearer {by_role[role]}"}
            answer: httpx.Response = await g.client.request(method, path, headers=headers, **options)
            return answer.status_code

        for role in by_role:
            assert await status(role, "POST", "/models/sentiment/predict", json={"inputs": "a"}) == 200
            assert await status(role, "GET", "/models") == 200
        for role, refused in ((PREDICT, True), (ANNOTATE, True), (ADMIN, False)):
            assert (await status(role, "POST", "/models/sentiment/rollback") == 403) is refused
            assert (await status(role, "PUT", "/models/sentiment/aliases/shadow", json={}) == 403) is refused
            assert (await status(role, "GET", "/nowhere") == 403) is refused
        assert await status(PREDICT, "GET", "/relabel/items") == 403
        assert await status(ANNOTATE, "GET", "/relabel/items") == 404  # the page is mounted by whoever composes

    on_gateway(tmp_path, scenario, keys=keys)
    database.dispose()
