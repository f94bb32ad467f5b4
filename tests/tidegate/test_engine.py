"""An engine answers the same alone, in a batch and in any company; both kinds of preprocessing."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests import bundles, toy_graphs
from tidegate import devices
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.devices import Device
from tidegate.engine import Engine, Run, in_turn, open_session
from tidegate.errors import BundleCorrupt, DeviceUnavailable, InferenceFailed
from tidegate.plan import Plan, exported
from tidegate.preprocess import Encoded, Feeds, collate
from tidegate.session import Outputs, Session, run_bound

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


def test_long_texts_are_batched_within_what_a_gpu_session_is_granted(tmp_path: Path) -> None:
    shapes: list[tuple[int, ...]] = []

    class Recording(Session):
        def run(self, feeds: Feeds) -> Outputs:
            shapes.append(feeds["input_ids"].shape)
            return super().run(feeds)

    bundle = bundles.wordpieces(BundleStore(tmp_path), max_tokens=512)
    plan = exported(bundle.manifest, CPU)
    engine = Engine(bundle, plan, Recording.open(bundle.file("model.onnx"), CPU, 1))

    answers = engine.classify(["profit " * 600] * 5 + ["profit"] * 40)

    assert shapes == [(4, 512), (4, 512), (32, 3), (5, 3)]
    assert len(answers) == 45


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
def test_a_file_that_a_gpu_does_not_take_is_the_device_s_fault_until_the_cpu_says_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"not a graph")

    with pytest.raises(DeviceUnavailable, match=r"device cuda:0: onnxruntime cannot load .*model\.onnx"):
        Session.open(file, devices.choose("cuda", ["CUDAExecutionProvider"]), 1)


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


def test_each_text_has_its_own_embedding_whatever_its_company(tmp_path: Path) -> None:
    engine = Engine.open(bundles.wordpieces(BundleStore(tmp_path)), CPU)
    texts = ["strong profit growth", "loss", "the company met analysts on monday", "zebra"] * 20

    together = engine.answer(engine.encode(texts)).embedding

    assert together is not None
    assert together.shape == (80, toy_graphs.TOPICS)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together[1], toy_graphs.topic("[CLS] loss [SEP]"), atol=1e-6)
    np.testing.assert_allclose(together[3], toy_graphs.topic("[CLS] [UNK] [SEP]"), atol=1e-6)


def test_a_graph_of_one_output_has_no_embedding_and_an_encoder_s_vectors_are_theirs(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    classifier, encoder = (Engine.open(make(store), CPU) for make in (bundles.sentiment, bundles.embedder))

    assert classifier.answer(classifier.encode(["profit rises"])).embedding is None
    vectors, embedding = encoder.answer(encoder.encode(["profit rises", "loss"]))
    assert embedding is not None
    np.testing.assert_array_equal(vectors, embedding)


def test_an_embedding_that_is_not_finite_is_left_out_and_the_answer_stands(tmp_path: Path) -> None:
    model = toy_graphs.with_topics(toy_graphs.mean_embedding_graph())
    table = next(tensor for tensor in model.graph.initializer if tensor.name == "topics")
    table.CopyFrom(numpy_helper.from_array(np.full((21, toy_graphs.TOPICS), np.inf, dtype=np.float32), "topics"))
    onnx.save(model, str(tmp_path / "model.onnx"))
    ids = np.array([[2, 5, 3]])

    outputs = Session.open(tmp_path / "model.onnx", CPU, 1).run({"input_ids": ids, "attention_mask": np.ones_like(ids)})

    assert np.isfinite(outputs.first).all()
    assert outputs.embedding is None


@pytest.mark.parametrize("shape", [["batch", "tokens", 3], ["batch"]])
def test_an_output_of_that_name_which_is_no_vector_a_text_is_not_taken_for_one(
    tmp_path: Path, shape: list[str | int]
) -> None:
    model = toy_graphs.mean_embedding_graph()
    source = "embedded" if len(shape) == 3 else "best"
    model.graph.node.append(helper.make_node("ReduceMax", ["logits"], ["best"], axes=[1], keepdims=0))
    model.graph.node.append(helper.make_node("Identity", [source], ["embedding"]))
    model.graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, shape))
    onnx.save(model, str(tmp_path / "model.onnx"))
    ids = np.array([[2, 5, 3]])
    feeds: Feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    assert Session.open(tmp_path / "model.onnx", CPU, 1).run(feeds).embedding is None


def test_a_run_with_bound_inputs_answers_what_a_plain_one_does(tmp_path: Path) -> None:
    file = bundles.wordpieces(BundleStore(tmp_path)).file("model.onnx")
    native = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    feeds: Feeds = {"input_ids": np.array([[2, 5, 3], [2, 3, 0]]), "attention_mask": np.array([[1, 1, 1], [1, 1, 0]])}

    plain = native.run(None, feeds)

    for bound in (run_bound(native, feeds, ["logits", "embedding"]), Session(native, file, bound=True).run(feeds)):
        assert len(bound) == len(plain) == 2
        for one, other in zip(bound, plain, strict=True):
            assert one is not None
            np.testing.assert_array_equal(one, other)


def test_a_bound_run_that_fails_is_the_same_error(tmp_path: Path) -> None:
    file = bundles.sentiment(BundleStore(tmp_path)).file("model.onnx")
    session = Session(ort.InferenceSession(str(file), providers=["CPUExecutionProvider"]), file, bound=True)

    with pytest.raises(InferenceFailed, match=r"model\.onnx failed on inputs of shapes .*\(1, 1\)"):
        session.run({"indices": np.array([[10_000]]), "values": np.ones((1, 1), dtype=np.float32)})


def test_several_devices_answer_as_one_from_many_threads(tmp_path: Path) -> None:
    bundle = bundles.wordpieces(BundleStore(tmp_path))
    several = Engine.follow(bundle, Plan(variant="fp32", replicas=("cpu", "cpu"), runs=3))
    texts = ["strong profit growth", "loss falls after warning", "the company met analysts"] * 8

    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda text: several.classify([text])[0], texts))

    np.testing.assert_allclose(answers, Engine.open(bundle, CPU).classify(texts), atol=1e-6)


def test_runs_at_once_take_a_session_each_and_the_next_one_waits_for_a_free_one() -> None:
    met, freed, feeds = Barrier(3), Event(), {"x": np.zeros(1)}

    def session(number: int) -> Run:
        def run(_feeds: Feeds) -> Outputs:
            if not freed.is_set():
                met.wait(10)  # both must be inside at once
                freed.wait(10)
            return Outputs(np.full(1, number, dtype=np.float32), None)

        return run

    together = in_turn([session(0), session(1)])
    with ThreadPoolExecutor(3) as callers:
        first = [callers.submit(together, feeds) for _ in range(2)]
        met.wait(10)
        third = callers.submit(together, feeds)
        assert not third.done()
        freed.set()
        assert sorted(int(one.result(10).first[0]) for one in first) == [0, 1]
        assert int(third.result(10).first[0]) in (0, 1)


def test_a_session_that_fails_is_free_for_the_next_run() -> None:
    def fail(_feeds: Feeds) -> Outputs:
        raise InferenceFailed("poison")

    alone = in_turn([fail])
    for _ in range(2):  # the second one would wait for ever
        with pytest.raises(InferenceFailed, match="poison"):
            alone({})


def test_shapes_are_warmed_up_largest_first_within_the_token_budget(tmp_path: Path) -> None:
    bundle = bundles.wordpieces(BundleStore(tmp_path), max_tokens=64)
    engine = Engine.follow(bundle, Plan(variant="fp32", max_batch_rows=4, max_batch_tokens=128))

    assert engine.warm_shapes() == [(2, 64), (4, 32), (1, 64), (2, 32), (1, 32)]


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_every_device_of_a_plan_gets_its_own_session_or_says_which_did_not_start(tmp_path: Path) -> None:
    bundle = bundles.wordpieces(BundleStore(tmp_path))
    plan = Plan(variant="fp32", device="cuda:0", provider="CUDAExecutionProvider", replicas=("cuda:1",), runs=2)

    with pytest.raises(DeviceUnavailable, match="device cuda:1: CUDAExecutionProvider did not start"):
        open_session(bundle, plan, "cuda:1")
    with pytest.raises(DeviceUnavailable, match="device cuda:0"):
        Engine.follow(bundle, plan)


@cache
def _shared() -> Engine:
    """One engine for every hypothesis example; a fixture would be opened anew for each."""
    return Engine.open(bundles.wordpieces(BundleStore(Path(tempfile.mkdtemp()))), CPU)


def test_openvino_answers_like_the_cpu_provider(tmp_path: Path) -> None:
    if devices.openvino_device() is None:
        pytest.skip("OpenVINO offers nothing here: it needs the extra `intel` and an Intel CPU")
    bundle = bundles.wordpieces(BundleStore(tmp_path))
    texts = ["strong profit growth", "loss falls after warning", "the company met analysts on monday"]
    there = Engine.follow(bundle, exported(bundle.manifest, Device("cpu", devices.OPENVINO, "asked for")))

    np.testing.assert_allclose(
        there.classify(texts), Engine.open(bundle, CPU).classify(texts), atol=1e-2
    )  # bf16 where the CPU has it
