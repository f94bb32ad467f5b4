"""Faults of models: sessions that raise, hang or cannot be opened."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import bundles
from tests.faults.faults import TEXT, asked_meanwhile, said, server, until
from tests.servers import Server
from tests.toy_graphs import HANGS, RAISES
from tidegate.bundle_store import BundleStore

pytestmark = pytest.mark.slow

BRITTLE = "/models/brittle/predict"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Server]:
    kept = BundleStore(home / "bundles")
    bundles.sentiment(kept)
    bundles.wordpieces(kept, "brittle", fault="is brittle")
    with server(home, TIDEGATE_RUN_SECONDS="1", TIDEGATE_DEADLINE_SECONDS="20") as started:
        yield started


def test_a_session_that_raises(served: Server) -> None:
    """The request with the text that it raises on is answered 500 with a reason; all others are answered."""
    with asked_meanwhile(served.url, BRITTLE) as asking, served.client() as client:
        refused = client.post(BRITTLE, json={"inputs": RAISES})
        assert refused.status_code == 500
        assert "failed on inputs" in refused.json()["detail"]
        assert client.post(BRITTLE, json={"inputs": [TEXT["inputs"], RAISES]}).status_code == 500
        until(lambda: len(asking.statuses) > 20)
    assert set(asking.statuses) == {200}


def test_a_session_that_hangs(served: Server) -> None:
    """`/readyz` says `stuck` with 503, the model is opened anew by itself, and the caller is told to ask again."""
    with served.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(BRITTLE, json={"inputs": HANGS}, headers={"x-deadline-ms": "15000"}, timeout=0.1)
        until(lambda: client.get("/readyz").status_code == 503, 10)
        until(lambda: client.get("/readyz").status_code == 200, 15)
        assert client.post(BRITTLE, json=TEXT).status_code == 200
        assert said(served.stderr, "model brittle hangs or died, version 1; it is opened anew")
        assert client.post("/models/sentiment/predict", json=TEXT).status_code == 200


def test_a_corrupt_bundle(home: Path, served: Server) -> None:
    """The alias stays where it was, the answer names the file that was changed, and callers notice nothing."""
    kept = BundleStore(home / "bundles")
    second = bundles.sentiment(kept)
    second.file("model.onnx").write_bytes(b"flipped")
    with asked_meanwhile(served.url) as asking, served.client() as client:
        refused = client.put("/models/sentiment/aliases/champion", json={"version": 2})
        assert refused.status_code == 503
        assert "model.onnx is not what was published" in refused.json()["detail"]
        until(lambda: len(asking.statuses) > 10)
    assert set(asking.statuses) == {200}
    assert kept.aliases("sentiment").champion == 1
