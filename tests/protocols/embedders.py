"""Fixtures of real `tidegate serve` processes with a toy embedder, for the protocols that other servers speak.

`embedder` makes three numbers of a text (64 tokens at most); `headlines` beside it is a classifier.
"""

from collections.abc import Iterator

import pytest

from tests import bundles
from tests.servers import Server, running
from tidegate.bundle_store import BundleStore

KEY = "a key that nobody may see"
UP, DOWN, FLAT = "profit rises", "loss falls", "the company met analysts on monday"
LONG = " ".join(["profit"] * 100)


@pytest.fixture(scope="session")
def embedding_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`embedder` and `headlines`, open to this machine."""
    home = tmp_path_factory.mktemp("embedder")
    bundles.embedder(BundleStore(home / "bundles"))
    bundles.wordpieces(BundleStore(home / "bundles"), "headlines")
    with running(["serve"], home) as server:
        yield server


@pytest.fixture(scope="session")
def locked_embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`embedder`, for those who hold the key; 20 texts a request, 10 kB, 200 characters a text."""
    home = tmp_path_factory.mktemp("locked-embedder")
    bundles.embedder(BundleStore(home / "bundles"))
    limits = {"TIDEGATE_MAX_INPUTS": "20", "TIDEGATE_MAX_BODY_BYTES": "10000", "TIDEGATE_MAX_TEXT_CHARS": "200"}
    with running(["serve"], home, TIDEGATE_API_KEY=KEY, **limits) as server:
        yield server
