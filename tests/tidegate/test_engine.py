"""An engine answers the same alone, in a batch and in any company; both kinds of preprocessing."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import bundles
from tidegate import devices
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.engine import Engine
from tidegate.errors import BundleCorrupt, DeviceUnavailable, InferenceFailed
from tidegate.preprocess import Encoded, Feeds, collate
from tidegate.session import Session

CPU = devices.choose("cpu", ["CPUExecutionProvider"])
MakeBundle = Callable[[BundleStore], Bundle]


@pytest.fixture(params=[bundles.sentiment, bundles.wordpieces], scope="module")
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    make: MakeBundle = request.param
    return Engine.open(make(BundleStore(tmp_path_factory.mktemp("store"))), CPU)


def test_it_answers_what_the_words_say(engine: Engine) -> None:
    answers = engine.classify(["strong profit growth", "loss falls after warning", "the company met analysts"])

    assert [bundles.LABELS[i] for i in answers.argmax(axis=1)] == ["positive", "negative", "neutral"]
    assert answers.sum(axis=1) == pytest.approx(np.ones(3))


@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=9))
def test_an_answer_does_not_depend_on_its_batch(texts: list[str]) -> None:
    engine = _shared()

    together = engine.classify(texts)
    alone = np.concatenate([engine.classify([text]) for text in texts])

    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_rows_count_what_monitoring_wants(engine: Engine) -> None:
    row = engine.encode(["profit zebra rises"])[0]

    assert (row.words, row.unknown, row.truncated) == (3, 1, False)


def test_a_long_text_is_truncated_and_says_so(tmp_path: Path) -> None:
    engine = Engine.open(bundles.wordpieces(BundleStore(tmp_path), max_tokens=8), CPU)

    long, short = engine.encode(["profit " * 50, "profit"])

    assert (long.length, long.truncated, long.words) == (8, True, 50)
    assert (short.length, short.truncated) == (3, False)


def test_collate_pads_short_rows_with_the_pad_value() -> None:
    rows = [
        Encoded({"ids": np.array([5, 6, 7])}, length=3, words=3, unknown=0, truncated=False),
        Encoded({"ids": np.array([8])}, length=1, words=1, unknown=0, truncated=False),
    ]

    assert collate(rows, {"ids": 9.0})["ids"].tolist() == [[5, 6, 7], [8, 9, 9]]


def test_a_file_that_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"not a graph")

    with pytest.raises(BundleCorrupt, match=r"cannot load .*model\.onnx"):
        Session.open(file, CPU, 1)


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_device_whose_provider_does_not_start_is_not_passed_off_as_one_that_did(tmp_path: Path) -> None:
    bundle = bundles.sentiment(BundleStore(tmp_path))

    with pytest.raises(DeviceUnavailable, match="cuda:0: CUDAExecutionProvider did not start"):
        Session.open(bundle.file("model.onnx"), devices.choose("cuda:0", ["CUDAExecutionProvider"]), 1)


def test_inputs_that_the_graph_refuses_become_one_error_with_their_shapes(tmp_path: Path) -> None:
    bundle = bundles.sentiment(BundleStore(tmp_path))
    session = Session.open(bundle.file("model.onnx"), CPU, 1)
    out_of_range: Feeds = {"indices": np.array([[10_000]]), "values": np.ones((1, 1), dtype=np.float32)}

    with pytest.raises(InferenceFailed, match=r"model\.onnx failed on inputs of shapes .*\(1, 1\)"):
        session.run(out_of_range)


def test_answers_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    bundle = bundles.sentiment(BundleStore(tmp_path))
    session = Session.open(bundle.file("model.onnx"), CPU, 1)
    poison: Feeds = {"indices": np.zeros((1, 1), dtype=np.int64), "values": np.array([[np.nan]], dtype=np.float32)}

    with pytest.raises(InferenceFailed, match="not finite"):
        session.run(poison)


@cache
def _shared() -> Engine:
    """One engine for every hypothesis example; a fixture would be opened anew for each."""
    return Engine.open(bundles.wordpieces(BundleStore(Path(tempfile.mkdtemp()))), CPU)
