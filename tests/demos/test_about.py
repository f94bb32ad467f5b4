from pathlib import Path

import pytest

from demos.about import MOST_WEAKNESSES, about, weaknesses
from tests import bundles
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BundleStore:
    return BundleStore(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def sentiment(store: BundleStore) -> Bundle:
    return bundles.sentiment(store, threshold=0.6, fallback="<unsure>")


def test_labels_threshold_and_errors_are_said_and_nothing_of_the_run(sentiment: Bundle) -> None:
    html = about(sentiment.manifest, ())

    assert "one of 3 labels: negative, neutral, positive." in html
    assert "below 60&thinsp;%: it answers &lt;unsure&gt;." in html
    assert "of those texts it got 0.0&thinsp;% wrong" in html
    assert sentiment.manifest.lineage.source_uri not in html
    assert sentiment.manifest.evidence[0].hardware not in html
    assert "\n" not in html


def test_how_much_of_a_text_is_read_is_said(store: BundleStore) -> None:
    html = about(bundles.wordpieces(store, max_tokens=64).manifest, ())

    assert "the first 64 tokens, about 48 English words" in html


def test_a_model_that_answers_vectors_is_said_to_have_no_labels(store: BundleStore) -> None:
    html = about(bundles.embedder(store).manifest, ())

    assert "into 3 numbers" in html
    assert "label" not in html


def test_failed_tests_are_named_up_to_a_few(sentiment: Bundle) -> None:
    html = about(sentiment.manifest, [f"negation: <{number}>" for number in range(9)])

    assert html.count("It fails a test of its behaviour: negation: &lt;") == MOST_WEAKNESSES


def test_a_report_that_cannot_be_read_names_no_weakness(sentiment: Bundle, tmp_path: Path) -> None:
    lost = Bundle(tmp_path, sentiment.manifest.model_copy(update={"behaviour": "behaviour.json"}))

    assert weaknesses(sentiment) == weaknesses(lost) == []
