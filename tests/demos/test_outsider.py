"""An outsider with a share link, before the whole gateway: everything but the page of that demo is refused."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from prometheus_client import CollectorRegistry

from demos.app import Demos
from demos.drift_page import mount_drift_page
from demos.entrance import COOKIE
from demos.front import mount_demos
from demos.guard import ShareGuard
from demos.meter import ShareMeter
from demos.relabel_page import mount_relabel_page
from demos.share import ShareLinks
from serving.app import create_app
from serving.keys import ApiKeys
from serving.root_path import RootPath
from tests import bundles
from tests.demos.asgi import Live, Reply, request, started
from tests.demos.hostile import CLOSED, DEMO, DISGUISED, STRAY
from tests.serving.apps import MemoryMonitor
from tidegate.bundle_store import BundleStore
from tidegate.settings import Settings
from tidegate.store import open_database

MODEL = "headline-sentiment"
PROBES = (*STRAY, *CLOSED, *DISGUISED)


class Gateway:
    """The gateway as the command line composes it, with a key and one share link."""

    def __init__(self, home: Path) -> None:
        store, monitor = BundleStore(home / "bundles"), MemoryMonitor()
        bundles.sentiment(store, MODEL)
        bundles.wordpieces(store, "other")
        self.database = open_database(f"sqlite:///{home / 'state.db'}")
        settings = Settings.load({}, home=home, api_key="the operator's key")
        self.loaded = asyncio.Event()
        self.app = create_app(
            settings,
            store,
            monitor,
            monitor,
            CollectorRegistry(),
            keys=ApiKeys(self.database),
            on_loaded=self.loaded.set,
        )
        mount_demos(self.app, self.app.state.gateway, Demos(self.app.state.gateway))
        mount_drift_page(self.app)
        mount_relabel_page(self.app)
        links = ShareLinks(self.database, b"s" * 32)
        self.guard = ShareGuard(self.app, links, ShareMeter(links))
        share_id, self.token = links.create(MODEL, 3_600)
        self.cookie = f"{COOKIE}={links.issue_pass(share_id)}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Live]]:
    made = Gateway(tmp_path_factory.mktemp("home"))
    with started(made.app) as live:
        live.wait_for(made.loaded.wait)
        yield made, live
    made.database.dispose()


def opened(probes: list[tuple[str, str, Reply]]) -> str:
    """The table of what was not refused; empty where all was."""
    let_in = [(reply.status, method, target) for method, target, reply in probes if reply.status not in (401, 403)]
    counts = Counter(reply.status for _, _, reply in probes)
    lines = [f"{status} {method:4} {target}" for status, method, target in sorted(let_in)]
    return "" if not lines else f"\n{dict(counts)}\n" + "\n".join(lines)


def test_there_are_more_than_500_paths_to_probe() -> None:
    assert len(set(PROBES)) > 500


@pytest.mark.parametrize("root_path", ["", "/ml"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_whoever_is_in_a_shared_demo_gets_nothing_else(
    house: tuple[Gateway, Live], method: str, root_path: str
) -> None:
    gateway, live = house
    front = RootPath(gateway.guard, root_path) if root_path else gateway.guard
    scopes = [request(root_path + target, method, cookie=gateway.cookie) for target in PROBES]

    probes = list(zip([method] * len(PROBES), PROBES, live.send(*scopes, to=front), strict=True))

    assert opened(probes) == ""
    [page] = live.send(request(f"{root_path}{DEMO}/", cookie=gateway.cookie), to=front)
    assert page.status == 200  # the pass holds; it was the paths


def test_the_link_itself_opens_nothing_else_either(house: tuple[Gateway, Live]) -> None:
    gateway, live = house
    targets = [f"{target}{'&' if '?' in target else '?'}share={gateway.token}" for target in PROBES]

    probes = list(
        zip(["GET"] * len(targets), targets, live.send(*map(request, targets), to=gateway.guard), strict=True)
    )

    assert opened(probes) == ""


def test_without_a_link_or_with_an_ended_one_nothing_opens_at_all(house: tuple[Gateway, Live]) -> None:
    gateway, live = house
    health = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/login"}
    targets = [one for one in (*PROBES, f"{DEMO}/", f"{DEMO}/theme.css") if unquote(one) not in health]

    nobody = live.send(*map(request, targets), to=gateway.guard)
    forged = live.send(*(request(target, cookie=f"{COOKIE}={gateway.token}") for target in targets), to=gateway.guard)

    assert opened(list(zip(["GET"] * len(targets), targets, nobody, strict=True))) == ""
    assert opened(list(zip(["GET"] * len(targets), targets, forged, strict=True))) == ""
