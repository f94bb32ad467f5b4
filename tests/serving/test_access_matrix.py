"""Every route of the whole gateway, asked by everybody there is: who gets in is what `serving.access` says."""

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.types import ASGIApp

from demos.app import Demos
from demos.dashboard.app import mount_dashboard
from demos.drift_page import mount_drift_page
from demos.entrance import COOKIE
from demos.front import mount_demos
from demos.guard import ShareGuard
from demos.meter import ShareMeter
from demos.relabel_page import mount_relabel_page
from demos.share import ShareLinks
from monitoring.labels.desk import QueueDesk
from serving.access import ADMIN, ANNOTATE, ANYONE, PREDICT, Role, role_of, rule_of
from serving.keys import ApiKeys
from tests.serving.apps import Running, gateway, routes_of
from tidegate.bundle_store import BundleStore
from tidegate.settings import Settings
from tidegate.store import open_database

MODEL = "sentiment"
FILLED = {"{model}": MODEL, "{name}": MODEL, "{alias}": "champion"}
# Mounted apps have no table of routes; these are their insides.
INSIDE = (
    *(("GET", f"/demo/{MODEL}/"), ("GET", f"/demo/{MODEL}/theme.css"), ("GET", f"/demo/{MODEL}/gradio_api/app_id")),
    *(("POST", f"/demo/{MODEL}/gradio_api/queue/join"), ("POST", f"/demo/{MODEL}/gradio_api/run/predict")),
    ("GET", f"/demo/{MODEL}/gradio_api/info"),
    *(("POST", f"/demo/{MODEL}/gradio_api/upload"), ("GET", f"/demo/{MODEL}/gradio_api/file=/etc/passwd")),
    *(("GET", "/demo/wordpieces/"), ("POST", "/demo/wordpieces/gradio_api/queue/join"), ("GET", "/demo/nope/")),
)
OPEN_TO_A_LINK = {*INSIDE[:5]}
CLOSED_TO_ALL = {*INSIDE[5:8]}


@dataclass(slots=True)
class Whole:
    """The gateway as the command line composes it, with a header for each kind of caller."""

    database: Engine
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    roles: dict[str, Role | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        keys, past = ApiKeys(self.database), ApiKeys(self.database, lambda: time.time() - 3_600)
        known: dict[str, tuple[str, Role | None]] = {
            "wrong": ("tg_" + "x" * 43, None),
            "expired": (past.create("expired", ADMIN, lifetime_seconds=60)[1], None),
            "revoked": (self._revoked(keys), None),
            "predict": (keys.create("predict", PREDICT)[1], PREDICT),
            "annotate": (keys.create("annotate", ANNOTATE)[1], ANNOTATE),
            "admin": (keys.create("admin", ADMIN)[1], ADMIN),
        }
        self.headers = {name: {"authorization": f"Bearer {key}"} for name, (key, _) in known.items()} | {"no key": {}}
        self.roles = {name: role for name, (_, role) in known.items()} | {"no key": None}

    def _revoked(self, keys: ApiKeys) -> str:
        key_id, key = keys.create("revoked", ADMIN)
        keys.revoke(key_id)
        return key

    def compose(self, app: FastAPI) -> ASGIApp:
        """Mount the pages and put the guard in front."""
        mount_demos(app, app.state.gateway, Demos(app.state.gateway))
        mount_dashboard(app)
        mount_drift_page(app)
        mount_relabel_page(app)
        links = ShareLinks(self.database, b"s" * 32)
        visitor = links.issue_pass(links.create(MODEL, 3_600)[0])
        self.headers["share link"] = {"cookie": f"{COOKIE}={visitor}"}
        return ShareGuard(app, links, ShareMeter(links))


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    yield Whole(database)
    database.dispose()


def requests_of(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of a request to every route there is, those that change what is served last."""
    served = [
        (method, re.sub(r"\{[^}]*\}", lambda step: FILLED.get(step[0], "x"), path))
        for method, path in routes_of(app.routes)
    ]
    rank = {"GET": 0, "HEAD": 1, "POST": 2}
    return sorted({*served, *INSIDE}, key=lambda one: (role_of(*one), rank.get(one[0], 3), one[1]))


def may(caller: str, role: Role | None, request: tuple[str, str], need: Role) -> set[int]:
    """The statuses that a caller must get, of 401 and 403; empty where neither may be."""
    if caller == "share link":
        return set() if request in OPEN_TO_A_LINK else {403}
    if need is ANYONE:
        return set()
    if role is None:
        return {401}
    return {403} if role < need or request in CLOSED_TO_ALL else set()


def test_every_caller_reaches_on_every_route_what_the_table_says(tmp_path: Path, whole: Whole) -> None:
    async def ask_all(g: Running) -> None:
        asked = requests_of(g.app)
        without = [request for request in asked if rule_of(*request) is None]
        assert without == [], "say in serving/access.py which role these need"

        wrong, seen = [], 0
        for method, path in asked:
            for caller, headers in whole.headers.items():
                answer = await g.client.request(method, path, headers=headers)
                must = may(caller, whole.roles.get(caller), (method, path), role_of(method, path))
                seen += 1
                if {answer.status_code} & {401, 403} != must:
                    wrong.append(f"{method} {path} as {caller}: {answer.status_code}, not {must or 'let in'}")

        assert wrong == [], "\n" + "\n".join(wrong)
        assert len(asked) > 60
        assert seen == len(asked) * 8

    async def main() -> None:
        desk = QueueDesk(whole.database, BundleStore(tmp_path / "bundles"), Settings(home=tmp_path))
        async with gateway(tmp_path, keys=ApiKeys(whole.database), desk=desk, compose=whole.compose) as running:
            await ask_all(running)

    asyncio.run(main())
