"""Tiny real bundles for tests: real ONNX graphs, published through the real store, made in milliseconds.

`sentiment` is a TF-IDF bundle that knows a few words; `wordpieces` is a tokenizer bundle whose graph averages
word embeddings. Both label texts with `falls`/`shares fell` negative, `rises`/`profit` positive, else neutral.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from exporters.linear_graph import linear_graph
from monitoring.reference import build_reference
from tidegate import tfidf
from tidegate.bundle import (
    Bundle,
    Evidence,
    FileEntry,
    Lineage,
    Manifest,
    Postprocessing,
    Preprocessing,
    TensorSpec,
    TfidfPreprocessing,
    TokenizerPreprocessing,
    Variant,
)
from tidegate.bundle_store import BundleStore
from tidegate.devices import available_providers, choose
from tidegate.engine import Engine
from tidegate.records import Record, make_records
from tidegate.tasks import decide

LABELS = ("negative", "neutral", "positive")
SAMPLES = ("profit rises on strong sales", "shares fell after the warning", "the company met analysts on monday")
NEGATIVE = ("falls", "fell", "warning", "loss")
POSITIVE = ("rises", "profit", "strong", "growth")
NEUTRAL = ("the", "company", "met", "analysts", "on", "monday", "sales", "shares", "after")
WORDS = NEGATIVE + POSITIVE + NEUTRAL


def sentiment(
    store: BundleStore, name: str = "sentiment", *, threshold: float | None = None, fallback: str | None = None
) -> Bundle:
    """Publish a TF-IDF bundle (word unigrams, no idf) with one fp32 variant."""
    with store.staging(name) as folder:
        onnx.save(linear_graph(_word_scores() * 6.0, np.zeros(3), "one_vs_rest"), str(folder / "model.onnx"))
        tfidf.dump(vectorizer(), folder / "vectorizer.json")
        inputs = (
            TensorSpec(name="indices", datatype="INT64", shape=(-1, -1)),
            TensorSpec(name="values", datatype="FP32", shape=(-1, -1)),
        )
        post = Postprocessing(activation="none", threshold=threshold, fallback_label=fallback)
        return _publish(store, name, folder, TfidfPreprocessing(), post, inputs)


def wordpieces(store: BundleStore, name: str = "wordpieces", *, max_tokens: int = 64) -> Bundle:
    """Publish a tokenizer bundle whose graph is embedding, masked mean, logits."""
    with store.staging(name) as folder:
        onnx.save(_mean_embedding_graph(), str(folder / "model.onnx"))
        _tokenizer().save(str(folder / "tokenizer.json"))
        inputs = tuple(
            TensorSpec(name=tensor, datatype="INT64", shape=(-1, -1)) for tensor in ("input_ids", "attention_mask")
        )
        pre = TokenizerPreprocessing(max_tokens=max_tokens, unknown_id=1)
        return _publish(store, name, folder, pre, Postprocessing(), inputs)


def vectorizer() -> tfidf.Vectorizer:
    """The vectorizer of `sentiment`."""
    return tfidf.Vectorizer(
        analyzer="word",
        ngram_range=(1, 1),
        lowercase=True,
        token_pattern=r"(?u)\b\w\w+\b",
        vocabulary=WORDS,
        idf=None,
    )


def _publish(
    store: BundleStore,
    name: str,
    folder: Path,
    preprocessing: Preprocessing,
    postprocessing: Postprocessing,
    inputs: tuple[TensorSpec, ...],
) -> Bundle:
    def describe(version: int, files: dict[str, FileEntry]) -> Manifest:
        return Manifest(
            name=name,
            version=version,
            description="A toy for tests.",
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            labels=LABELS,
            inputs=inputs,
            outputs=(TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 3)),),
            preprocessing=preprocessing,
            postprocessing=postprocessing,
            variants=(Variant(name="fp32", file="model.onnx", precision="fp32"),),
            chosen="fp32",
            evidence=(evidence(),),
            lineage=Lineage(source_uri="tests", flavour="toy"),
            samples=SAMPLES,
            files=files,
        )

    _write_reference(Bundle(folder, describe(1, {})))
    return store.publish(name, folder, describe)


def headlines(rows: int, seed: int) -> list[str]:
    """Texts of 4 to 9 words, a tenth of them unknown to the bundles: what both were made for."""
    rng = np.random.default_rng(seed)
    words = np.array([*WORDS, "quarterly", "outlook"])
    return [" ".join(rng.choice(words, size=size)) for size in rng.integers(4, 10, size=rows)]


def predictions(bundle: Bundle, texts: Sequence[str], *, prefix: str = "p", created_at: float = 1.0) -> list[Record]:
    """What serving would record of these texts; ids are `prefix` and a number."""
    engine = Engine.open(bundle, choose("cpu", available_providers()), threads=1)
    manifest = bundle.manifest
    ids = [f"{prefix}{index}" for index in range(len(texts))]
    answers = [decide(row, manifest.labels, manifest.postprocessing) for row in engine.classify(texts).tolist()]
    return make_records(manifest, engine.variant.name, ids, texts, engine.encode(texts), answers, created_at)


def _write_reference(bundle: Bundle) -> None:
    """What the export does, once per kind of bundle and process: calibrating takes half a second."""
    manifest = bundle.manifest
    key = (manifest.preprocessing.model_dump_json(), manifest.postprocessing.model_dump_json())
    if key not in _references:
        texts = headlines(300, seed=1)
        rows = Engine.open(bundle, choose("cpu", available_providers()), threads=1).encode(texts)
        evaluation = predictions(bundle, headlines(150, seed=2))
        build_reference(manifest.labels, list(zip(texts, rows, strict=True)), evaluation, bundle.path)
        _references[key] = [(name, (bundle.path / name).read_bytes()) for name in ("reference.bin", "drift.json")]
    for name, content in _references[key]:
        (bundle.path / name).write_bytes(content)


_references: dict[tuple[str, str], list[tuple[str, bytes]]] = {}


def evidence() -> Evidence:
    """Numbers of the right shape; nothing was measured."""
    return Evidence(
        variant="fp32",
        accepted=True,
        rows=3,
        agreement=1.0,
        max_abs_error=0.0,
        accuracy=1.0,
        accuracy_interval=(0.9, 1.0),
        macro_f1=1.0,
        macro_f1_interval=(0.9, 1.0),
        source_accuracy=1.0,
        source_macro_f1=1.0,
        size_bytes=1,
        latency_p50_seconds=0.001,
        throughput_texts_per_second=1000.0,
        hardware="tests",
    )


def _word_scores() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(classes, words): +1 for the words of a class, -1 for those of the others."""
    groups: Sequence[Sequence[str]] = (NEGATIVE, NEUTRAL, POSITIVE)
    return np.array([[1.0 if word in group else -1.0 for word in WORDS] for group in groups])


def _tokenizer() -> Tokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _mean_embedding_graph() -> onnx.ModelProto:
    table = np.vstack([np.zeros((4, 3)), _word_scores().T * 6.0]).astype(np.float32)  # (tokens, classes)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),  # (batch, tokens, classes)
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axis_one"], ["row"]),  # (batch, 1, tokens)
        helper.make_node("MatMul", ["row", "embedded"], ["summed"]),  # (batch, 1, classes)
        helper.make_node("Squeeze", ["summed", "axis_one"], ["total"]),
        helper.make_node("ReduceSum", ["mask", "axis_one"], ["length"], keepdims=1),
        helper.make_node("Div", ["total", "length"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean_embedding",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1], dtype=np.int64), "axis_one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model
