import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from exporters.convert import to_onnx
from exporters.layouts import recognise
from exporters.pipeline import ExportRequest, export_run
from exporters.pooling import read_pooling
from exporters.tune import tune
from exporters.verification import read
from monitoring.building import build_reference
from monitoring.reference import load_reference
from tests.exporters.models import EVALUATION, tiny_bert, tiny_encoder, write_rows
from tidegate.bundle import Bundle, load_bundle
from tidegate.bundle_store import BundleStore
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.errors import UnsupportedSource, UntrustedPickle, UsageError

TEXTS = [text for text, _ in EVALUATION]
MIXED = [*TEXTS[:20], " ".join(TEXTS[:6]), "profit"]  # short ones and one that is cut


def reference_vectors(folder: Path) -> Any:
    """What sentence-transformers itself makes of the texts."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(MIXED)


def export(tmp_path: Path, run: Path, **options: object) -> Bundle:
    data = tmp_path / "texts.csv"
    data.write_text("text\n" + "\n".join(f'"{text}"' for text in TEXTS), encoding="utf-8")
    request = ExportRequest.model_validate({"run": str(run), "name": "m", "data": str(data), **options})
    return export_run(request, BundleStore(tmp_path / "bundles"), "", build_reference, print)


@pytest.mark.parametrize("mode", ["mean", "cls"])
@pytest.mark.parametrize("normalised", [True, False])
def test_graph_and_source_model_agree_with_sentence_transformers(tmp_path: Path, mode: str, normalised: bool) -> None:
    run = tiny_encoder(tmp_path / "run", mode=mode, normalised=normalised)
    (tmp_path / "out").mkdir()
    draft = to_onnx(recognise(run), tmp_path / "out", trust_pickle=False)
    expected = reference_vectors(run)
    np.testing.assert_allclose(draft.predict(MIXED), expected, atol=1e-5)
    graph = onnx.load(str(tmp_path / "out" / "model.onnx"))
    assert [output.name for output in graph.graph.output] == ["embedding"]
    assert draft.embedding is not None
    assert (draft.embedding.dimensions, draft.embedding.pooling, draft.embedding.normalised) == (64, mode, normalised)
    assert draft.preprocessing.max_tokens == 24  # type: ignore[union-attr]


@pytest.mark.slow
def test_an_encoder_becomes_a_bundle_without_labelled_data(tmp_path: Path) -> None:
    run = tiny_encoder(tmp_path / "run")
    bundle = export(tmp_path, run)
    manifest = load_bundle(bundle.path).manifest
    assert (manifest.task, manifest.labels) == ("embedding", ())
    answers = Engine.open(bundle, choose("cpu", ()), variant="fp32").classify(MIXED)
    np.testing.assert_allclose(answers, reference_vectors(run), atol=1e-5)
    fp32 = manifest.evidence[0]
    assert (fp32.variant, fp32.accepted, fp32.agreement, fp32.rows) == ("fp32", True, 1.0, len(TEXTS))
    assert fp32.mean_cosine is not None
    assert fp32.worst_cosine is not None
    assert fp32.mean_cosine >= fp32.worst_cosine >= 0.9999
    assert fp32.batch_difference <= 1e-5
    assert {evidence.variant for evidence in manifest.evidence} >= {"fp32", "int8-invariant"}
    assert manifest.description == "Turns a text into a vector of 64 numbers of length 1; an encoder with mean pooling."
    features = set(load_reference(bundle).layout.features)
    assert {"chars", "words", "tokens", "embedding"} <= features
    assert not features & {"top_probability", "margin", "entropy", "label"}


@pytest.mark.slow
def test_the_reference_of_an_encoder_gets_its_vectors_and_neither_truths_nor_perturbed_copies(tmp_path: Path) -> None:
    vectors: list[Any] = []

    def build(*arguments: Any) -> None:
        labels, _, evaluation, truths, perturbed, _, training_labels = arguments
        assert [list(each) for each in (labels, truths, perturbed, training_labels)] == [[], [], [], []]
        vectors.extend(record.embedding for record in evaluation)
        build_reference(*arguments)

    run, data = tiny_encoder(tmp_path / "run"), write_rows(tmp_path / "rows.csv", EVALUATION)
    request = ExportRequest(run=str(run), name="m", data=data)
    bundle = export_run(request, BundleStore(tmp_path / "bundles"), "", build, print)
    np.testing.assert_allclose(vectors, Engine.open(bundle, choose("cpu", ())).classify(TEXTS), atol=1e-5)


@pytest.mark.slow
def test_an_embedding_bundle_is_verified_and_tuned_again_elsewhere(tmp_path: Path) -> None:
    bundle = export(tmp_path, tiny_encoder(tmp_path / "run"))
    known = read(bundle)
    assert known is not None
    assert set(known.labels) == {"-"}
    tuning = tune(bundle, [choose("cpu", ())], budget_seconds=6, say=print)
    best = tuning.best("throughput")
    assert best is not None
    assert best.agreement >= 0.95


@pytest.mark.slow
def test_a_bundle_without_verification_set_is_held_against_its_own_fp32(tmp_path: Path) -> None:
    bundle = export(tmp_path, tiny_encoder(tmp_path / "run"))
    bare = Bundle(bundle.path, bundle.manifest.model_copy(update={"verification": None}))
    (bundle.path / "bundle.json").write_text(bare.manifest.model_dump_json())
    tuning = tune(bare, [choose("cpu", ())], budget_seconds=6, say=print)
    assert tuning.against.startswith("fp32")
    assert any(trial.accepted for trial in tuning.trials)


def test_a_plain_encoder_checkpoint_is_pooled_by_its_mean(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "m")
    for name in ("modules.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    assert recognise(folder).flavour == "encoder"
    pooling = read_pooling(folder)
    assert (pooling.mode, pooling.normalised, pooling.max_tokens) == ("mean", False, None)
    assert recognise(tiny_bert(tmp_path / "classifier")).flavour == "transformers"


def test_newer_folders_name_their_pooling(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "m")
    (folder / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 64, "pooling_mode": "cls"}')
    assert read_pooling(folder).mode == "cls"


def test_mlflows_flavours_of_encoders_are_recognised(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    (folder / "model.sentence_transformer").mkdir(parents=True)
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function: {data: model.sentence_transformer}\n  sentence_transformers: {}\nrun_id: r\n"
    )
    layout = recognise(folder)
    assert (layout.flavour, layout.model.name, layout.run_id) == ("encoder", "model.sentence_transformer", "r")
    (folder / "model").mkdir()
    (folder / "MLmodel").write_text("flavors:\n  transformers: {task: feature-extraction, model_binary: model}\n")
    assert recognise(folder).flavour == "encoder"


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pools by pooling_mode_max_tokens"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True},
            "pools by pooling_mode_max_tokens and mean",
        ),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "lasttoken"),
        ("modules.json", [{"type": "a.Transformer", "path": ""}, {"type": "a.Dense", "path": "1"}], "Dense"),
        ("modules.json", [{"type": "a.Transformer"}], "no list of modules"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "lower-cases"),
        (
            "config_sentence_transformers.json",
            {"default_prompt_name": "query", "prompts": {"query": "query: "}},
            "prompt 'query'",
        ),
    ],
)
def test_what_a_graph_cannot_say_is_refused_by_name(tmp_path: Path, name: str, document: Any, message: str) -> None:
    folder = tiny_encoder(tmp_path / "m")
    (folder / name).write_text(json.dumps(document))
    with pytest.raises(UnsupportedSource, match=message):
        read_pooling(folder)


def test_weights_in_a_pickle_and_missing_texts_are_refused(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (tmp_path / "out").mkdir()
    with pytest.raises(UntrustedPickle, match="--trust-pickle"):
        to_onnx(recognise(folder), tmp_path / "out", trust_pickle=False)
    with pytest.raises(UsageError, match="no column 'headline'"):
        export(tmp_path, tiny_encoder(tmp_path / "run"), text_column="headline")


@pytest.mark.slow
def test_labels_beside_the_texts_do_no_harm(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.csv", EVALUATION)
    assert export(tmp_path, tiny_encoder(tmp_path / "run"), data=str(data)).manifest.labels == ()
