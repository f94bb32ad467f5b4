import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.perturb import KINDS
from exporters.pipeline import MOST_DEMO_BYTES, ExportRequest, export_run
from exporters.tune import tune
from exporters.verification import read
from monitoring.building import build_reference
from tests.exporters.models import EVALUATION, LABELS, plain_folder, tiny_bert, tiny_tokenizer, write_rows
from tidegate.bundle import Bundle, Variant
from tidegate.bundle_store import BundleStore
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.errors import GateRefused, UntrustedPickle, UsageError
from tidegate.preprocess import Encoded
from tidegate.records import Record

TEXTS = [text for text, _ in EVALUATION]


def export(tmp_path: Path, run: Path, messages: list[str] | None = None, **options: object) -> Bundle:
    request = ExportRequest.model_validate({"run": str(run), "name": "m", **options})
    say = messages.append if messages is not None else print
    return export_run(request, BundleStore(tmp_path / "bundles"), "", build_reference, say)


def test_a_plain_scikit_learn_folder_becomes_a_verified_bundle(tmp_path: Path) -> None:
    run = plain_folder(tmp_path / "run", threshold=0.5)
    bundle = export(tmp_path, run, trust_pickle=True)
    manifest = bundle.manifest
    assert manifest.labels == tuple(reversed(LABELS))
    assert (manifest.postprocessing.threshold, manifest.postprocessing.fallback_label) == (0.5, "neutral")
    assert {"reference.bin", "drift.json", "vectorizer.json", "model.onnx"} <= set(manifest.files)
    assert not any(name.endswith((".pkl", ".skops")) for name in manifest.files)
    assert manifest.lineage.source_uri == str(run)
    assert manifest.lineage.packages["scikit-learn"]
    assert 1 <= len(manifest.samples) <= 12
    assert [evidence.variant for evidence in manifest.evidence] == ["fp32", "int8"]
    fp32 = manifest.evidence[0]
    assert (fp32.accepted, fp32.agreement, fp32.rows) == (True, 1.0, len(EVALUATION))
    assert fp32.accuracy_interval[0] <= fp32.accuracy <= fp32.accuracy_interval[1]
    assert fp32.hardware


def test_a_page_that_the_run_brought_is_carried_and_never_run(tmp_path: Path) -> None:
    run = plain_folder(tmp_path / "run")
    page = f"open({str(tmp_path / 'it ran')!r}, 'w')\n"
    (run / "demo.py").write_text(page)

    bundle = export(tmp_path, run, trust_pickle=True)

    assert (bundle.manifest.demo, bundle.file("demo.py").read_text()) == ("demo.py", page)
    assert "demo.py" in bundle.manifest.files
    assert not (tmp_path / "it ran").exists()


def test_a_page_of_more_than_a_megabyte_is_left_out_with_a_word(tmp_path: Path) -> None:
    run = plain_folder(tmp_path / "run")
    (run / "demo.py").write_text("#" * (MOST_DEMO_BYTES + 1))
    messages: list[str] = []

    bundle = export(tmp_path, run, messages, trust_pickle=True)

    assert bundle.manifest.demo is None
    assert any("left out: demo.py" in message for message in messages)


def test_a_checkpoint_becomes_a_bundle_that_answers_as_the_source_does(tmp_path: Path) -> None:
    run = tiny_bert(tmp_path / "run")
    data = write_rows(tmp_path / "rows.csv", EVALUATION)
    messages: list[str] = []
    bundle = export(tmp_path, run, messages, data=str(data))
    from exporters.checkpoint import draft_checkpoint
    from exporters.layouts import recognise

    (tmp_path / "again").mkdir()
    source = draft_checkpoint(recognise(run), tmp_path / "again", trust_pickle=False).predict(TEXTS)
    answers = Engine.open(bundle, choose("cpu", ()), variant="fp32").classify(TEXTS)
    np.testing.assert_allclose(answers, source, atol=1e-5)
    assert (bundle.manifest.variants[0].name, bundle.manifest.evidence[0].agreement) == ("fp32", 1.0)
    assert bundle.manifest.variants[0].max_batch_size == 64  # no answer of it depends on its company
    assert bundle.manifest.evidence[0].batch_difference <= 1e-5
    accepted = {evidence.variant for evidence in bundle.manifest.evidence if evidence.accepted}
    assert accepted == {variant.name for variant in bundle.manifest.variants}
    assert {f.name for f in bundle.path.iterdir() if f.suffix == ".onnx"} == {v.file for v in bundle.manifest.variants}
    assert any("evaluation texts stand in" in message for message in messages)  # the run logged no training split


@dataclass
class Handed:
    """Keeps what the export hands on to the builder of the reference, and builds it."""

    evaluation: Sequence[Record] = ()
    truths: Sequence[str] = ()
    perturbed: Sequence[tuple[Record, str]] = ()

    def build(
        self,
        labels: Sequence[str],
        training: Sequence[tuple[str, Encoded]],
        evaluation: Sequence[Record],
        truths: Sequence[str],
        perturbed: Sequence[tuple[Record, str]],
        folder: Path,
        training_labels: Sequence[str],
    ) -> None:
        self.evaluation, self.truths, self.perturbed = evaluation, truths, perturbed
        build_reference(labels, training, evaluation, truths, perturbed, folder, training_labels)

    def export(self, tmp_path: Path, run: Path, **options: object) -> Bundle:
        request = ExportRequest.model_validate({"run": str(run), "name": "m", **options})
        return export_run(request, BundleStore(tmp_path / "bundles"), "", self.build, print)


@pytest.mark.slow
def test_the_reference_gets_records_with_truths_and_embeddings_and_perturbed_copies(tmp_path: Path) -> None:
    handed, data = Handed(), write_rows(tmp_path / "rows.csv", EVALUATION)
    bundle = handed.export(tmp_path, tiny_bert(tmp_path / "run"), data=str(data))
    assert [output.name for output in bundle.manifest.outputs] == ["logits", "embedding"]
    assert [(record.text, truth) for record, truth in zip(handed.evaluation, handed.truths, strict=True)] == EVALUATION
    engine = Engine.open(bundle, choose("cpu", ()))
    rows = engine.encode(TEXTS)
    served = engine.answer(rows)
    assert served.embedding is not None
    for index, record in enumerate(handed.evaluation):
        assert record.variant == bundle.manifest.chosen
        assert record.row.arrays["input_ids"].tolist() == rows[index].arrays["input_ids"].tolist()
        np.testing.assert_allclose(record.scores, served.probabilities[index], atol=1e-5)
        assert record.embedding is not None
        np.testing.assert_allclose(record.embedding, served.embedding[index], atol=1e-4)
    assert len(handed.perturbed) == len(KINDS) * len(EVALUATION)
    assert {truth for _, truth in handed.perturbed} == {label for _, label in EVALUATION}
    copies = [record for record, _ in handed.perturbed]
    assert all(copy.embedding is not None and len(copy.scores) == 3 for copy in copies)
    assert sum(copy.text not in TEXTS for copy in copies) > 0.8 * len(copies)


@pytest.mark.slow
def test_what_knows_no_tokens_has_no_embeddings_and_truths_all_the_same(tmp_path: Path) -> None:
    handed = Handed()
    bundle = handed.export(tmp_path, plain_folder(tmp_path / "run"), trust_pickle=True)
    assert [output.name for output in bundle.manifest.outputs] == ["probabilities"]
    assert list(handed.truths) == [label for _, label in EVALUATION]
    records = [*handed.evaluation, *(record for record, _ in handed.perturbed)]
    assert all(record.embedding is None and "values" in record.row.arrays for record in records)


@pytest.mark.slow
def test_a_transformer_that_shows_no_attention_is_exported_without_embeddings_and_it_is_said_once(
    tmp_path: Path,
) -> None:
    messages: list[str] = []
    data = write_rows(tmp_path / "rows.csv", EVALUATION)
    bundle = export(tmp_path, batch_dependent(tmp_path / "run"), messages, data=str(data))
    assert [output.name for output in bundle.manifest.outputs] == ["logits"]
    assert sum("embeddings" in message for message in messages) == 1


def batch_dependent(folder: Path) -> Path:
    """A graph whose answer to a text is the mean over its batch: right alone, wrong among others."""
    return ready_folder(folder, depends_on="batch")


def random_answers(folder: Path) -> Path:
    """A graph that never answers a text twice alike."""
    return ready_folder(folder, depends_on="chance")


def ready_folder(folder: Path, *, depends_on: str) -> Path:
    folder.mkdir()
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"id2label": dict(enumerate(LABELS))}))
    table = np.random.default_rng(0).integers(-127, 127, size=(len(tokenizer), 3), dtype=np.int8)
    table[:4] = 0  # padding and special tokens, which every text has
    nodes = [
        # Already quantized, so that the export has nothing better to offer than this file.
        helper.make_node("DequantizeLinear", ["table", "scale"], ["floats"]),
        helper.make_node("Gather", ["floats", "input_ids"], ["embedded"]),  # (batch, tokens, classes)
        helper.make_node("ReduceMean", ["embedded", "one"], ["rows"], keepdims=0),  # (batch, classes)
        helper.make_node("ReduceMean", ["rows", "zero"], ["mean"], keepdims=1),  # (1, classes)
        helper.make_node("Mul", ["rows", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "mean"], ["logits"]),
    ]
    if depends_on == "chance":
        nodes[-2:] = [helper.make_node("RandomUniformLike", ["rows"], ["logits"], high=9.0)]
    constants = {"table": table, "one": np.array([1]), "zero": np.array([0]), "nothing": np.array([0.0], np.float32)}
    constants["scale"] = np.array(0.05, np.float32)
    graph = helper.make_graph(
        nodes,
        "batch_dependent",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    return folder


def test_a_variant_whose_answers_depend_on_batch_mates_is_published_one_text_a_run(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.csv", EVALUATION)
    messages: list[str] = []
    manifest = export(tmp_path, batch_dependent(tmp_path / "run"), messages, data=str(data)).manifest
    assert (manifest.variant().max_batch_size, manifest.variant().one_thread_runs) == (1, True)
    evidence = manifest.evidence[0]
    assert (evidence.accepted, evidence.agreement) == (True, 1.0)
    assert evidence.flips > 0  # what it did in batches, and why it is not served so
    assert evidence.batch_difference > 0.01
    assert any("again, one text a run: in batches it" in message for message in messages)


def test_a_bundle_carries_what_it_takes_to_verify_it_again(tmp_path: Path) -> None:
    run = tiny_bert(tmp_path / "run")
    bundle = export(tmp_path, run, data=str(write_rows(tmp_path / "rows.csv", EVALUATION)))
    known = read(bundle)
    assert known is not None
    assert sorted(zip(known.texts, known.labels, strict=True)) == sorted(EVALUATION)
    answers = Engine.open(bundle, choose("cpu", ()), variant="fp32").classify(known.texts)
    np.testing.assert_allclose(answers, np.array(known.source), atol=1e-5)
    assert known.max_accuracy_drop == 0.005


def test_a_published_transformer_is_tuned_and_a_file_that_went_bad_elsewhere_is_refused(tmp_path: Path) -> None:
    bundle = export(tmp_path, tiny_bert(tmp_path / "run"), data=str(write_rows(tmp_path / "rows.csv", EVALUATION)))
    weights = onnx.load(str(bundle.file("model.onnx")))
    for tensor in weights.graph.initializer:
        if len(tensor.dims) == 2 and tensor.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array[::-1]), tensor.name))
    onnx.save(weights, str(bundle.path / "other.onnx"))
    other = Variant(name="other", file="other.onnx", precision="fp32")
    manifest = bundle.manifest.model_copy(update={"variants": (*bundle.manifest.variants, other), "chosen": "other"})
    (bundle.path / "bundle.json").write_text(manifest.model_dump_json())
    tuning = tune(Bundle(bundle.path, manifest), [choose("cpu", ())], budget_seconds=8, say=print)
    assert not any(trial.accepted for trial in tuning.trials if trial.plan.variant == "other")
    best = tuning.best("throughput")
    assert best is not None
    assert best.plan.variant != "other"
    assert best.agreement >= 0.99


def test_when_no_variant_passes_nothing_is_published_and_the_numbers_are_told(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.csv", EVALUATION)
    with pytest.raises(GateRefused, match=r"int8: agrees with the source model on \d.*accuracy 0\.\d+, source model"):
        export(tmp_path, random_answers(tmp_path / "run"), data=str(data))
    store = BundleStore(tmp_path / "bundles")
    assert store.names() == []
    assert list((tmp_path / "bundles" / "m").iterdir()) == []


def test_data_that_does_not_fit_stops_before_anything_is_published(tmp_path: Path) -> None:
    run = plain_folder(tmp_path / "run")
    other = write_rows(tmp_path / "other.csv", [("a film", "good"), ("another", "bad")])
    with pytest.raises(UsageError, match="does not know: bad, good"):
        export(tmp_path, run, trust_pickle=True, data=str(other))
    (run / "evaluation.csv").unlink()
    with pytest.raises(UsageError, match="--data CSV"):
        export(tmp_path, run, trust_pickle=True)
    with pytest.raises(UntrustedPickle):
        export(tmp_path, run, data=str(write_rows(tmp_path / "rows.csv", EVALUATION)))
    with pytest.raises(UsageError, match="model name"):
        export(tmp_path, run, name="../evil")
    assert BundleStore(tmp_path / "bundles").names() == []


def test_one_evaluation_row_is_enough_to_export(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.csv", EVALUATION[:1])
    bundle = export(tmp_path, plain_folder(tmp_path / "run"), trust_pickle=True, data=str(data))
    assert bundle.manifest.evidence[0].rows == 1
    assert bundle.manifest.samples == (EVALUATION[0][0],)
