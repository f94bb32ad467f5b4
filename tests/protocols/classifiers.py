"""Fixtures of real `tidegate serve` processes with toy classifiers, for the protocols that other servers speak.

`headlines` has a tokenizer (64 tokens at most), `topics` counts words; both know what `tests.toy_graphs` says.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bundles
from tests.servers import Server, running
from tidegate.bundle_store import BundleStore

KEY = "a key that nobody may see"
UP, DOWN, FLAT = "profit rises", "loss falls", "the company met analysts on monday"
ANSWERS = {UP: "positive", DOWN: "negative", FLAT: "neutral"}


@pytest.fixture(scope="session")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`headlines` and `topics`, open to this machine."""
    home = tmp_path_factory.mktemp("two-models")
    bundles.wordpieces(BundleStore(home / "bundles"), "headlines")
    bundles.sentiment(BundleStore(home / "bundles"), "topics")
    with running(["serve"], home) as server:
        yield server


@pytest.fixture(scope="session")
def one_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`headlines` alone, open to this machine."""
    home = tmp_path_factory.mktemp("one-model")
    bundles.wordpieces(BundleStore(home / "bundles"), "headlines")
    with running(["serve"], home) as server:
        yield server


@pytest.fixture(scope="session")
def with_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`headlines`, for those who hold the key; 20 texts a request, 10 kB, 200 characters a text."""
    home: Path = tmp_path_factory.mktemp("with-key")
    bundles.wordpieces(BundleStore(home / "bundles"), "headlines")
    limits = {"TIDEGATE_MAX_INPUTS": "20", "TIDEGATE_MAX_BODY_BYTES": "10000", "TIDEGATE_MAX_TEXT_CHARS": "200"}
    with running(["serve"], home, TIDEGATE_API_KEY=KEY, **limits) as server:
        yield server
