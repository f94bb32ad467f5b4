"""Tiny real bundles for tests: real ONNX graphs, published through the real store, made in milliseconds.

`sentiment` is a TF-IDF bundle that knows a few words; `wordpieces` is a tokenizer bundle whose graph averages
word embeddings. Both label texts with `falls`/`shares fell` negative, `rises`/`profit` positive, else neutral.
`wordpieces` can carry a second variant that is not what its evidence says. Each has a verification set.
"""

import hashlib
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from exporters import verification
from exporters.linear_graph import linear_graph
from monitoring.building import build_reference
from tests import toy_graphs
from tests.shared import once
from tests.toy_graphs import WORDS as WORDS
from tidegate import tfidf
from tidegate.bundle import (
    DEMO,
    Bundle,
    Embedding,
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
from tidegate.devices import available_providers, choose, hardware
from tidegate.engine import Engine
from tidegate.records import Record, make_records
from tidegate.session import EMBEDDING
from tidegate.tasks import decide_all

LABELS = ("negative", "neutral", "positive")
SAMPLES = ("profit rises on strong sales", "shares fell after the warning", "the company met analysts on monday")


Fault = Literal["lies", "depends on batch-mates", "is no graph", "is brittle"]
FP32 = Variant(name="fp32", file="model.onnx", precision="fp32")
PROBABILITIES = TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 3))


def sentiment(
    store: BundleStore,
    name: str = "sentiment",
    *,
    threshold: float | None = None,
    fallback: str | None = None,
    verified_on: str = "",
) -> Bundle:
    """Publish a TF-IDF bundle (word unigrams, no idf) with one fp32 variant, verified here unless said otherwise."""
    with store.staging(name) as folder:
        onnx.save(linear_graph(toy_graphs.word_scores() * 6.0, np.zeros(3), "one_vs_rest"), str(folder / "model.onnx"))
        tfidf.dump(vectorizer(), folder / "vectorizer.json")
        inputs = (
            TensorSpec(name="indices", datatype="INT64", shape=(-1, -1)),
            TensorSpec(name="values", datatype="FP32", shape=(-1, -1)),
        )
        post = Postprocessing(activation="none", threshold=threshold, fallback_label=fallback)
        return _publish(store, name, folder, TfidfPreprocessing(), post, inputs, verified_on=verified_on)


def wordpieces(
    store: BundleStore,
    name: str = "wordpieces",
    *,
    max_tokens: int = 64,
    fault: Fault | None = None,
    verified_on: str = "",
    verification_set: bool = True,
) -> Bundle:
    """Publish a tokenizer bundle whose graph is embedding, masked mean, logits; topics as the second output.

    Args:
        store: where to.
        name: of the model.
        max_tokens: longest text.
        fault: adds a chosen variant `int8` of which this is true, whatever its evidence says.
        verified_on: hardware in the evidence; this machine when empty.
        verification_set: whether it carries one, as older bundles do not.
    """
    with store.staging(name) as folder:
        onnx.save(toy_graphs.with_topics(toy_graphs.mean_embedding_graph()), str(folder / "model.onnx"))
        toy_graphs.tokenizer().save(str(folder / "tokenizer.json"))
        variants = [FP32]
        if fault is not None:
            variants.append(_faulty(folder, fault))
        inputs = tuple(
            TensorSpec(name=tensor, datatype="INT64", shape=(-1, -1)) for tensor in ("input_ids", "attention_mask")
        )
        pre = TokenizerPreprocessing(max_tokens=max_tokens, unknown_id=1)
        return _publish(
            store,
            name,
            folder,
            pre,
            Postprocessing(),
            inputs,
            variants,
            outputs=(PROBABILITIES, TensorSpec(name=EMBEDDING, datatype="FP32", shape=(-1, toy_graphs.TOPICS))),
            verified_on=verified_on,
            verification_set=verification_set,
        )


def embedder(store: BundleStore, name: str = "embedder", *, max_tokens: int = 64) -> Bundle:
    """Publish an embedding bundle: three numbers a text, of length 1, in the direction of what its words say."""
    with store.staging(name) as folder:
        onnx.save(toy_graphs.embedding_graph(), str(folder / "model.onnx"))
        toy_graphs.tokenizer().save(str(folder / "tokenizer.json"))
        inputs = tuple(
            TensorSpec(name=tensor, datatype="INT64", shape=(-1, -1)) for tensor in ("input_ids", "attention_mask")
        )
        pre = TokenizerPreprocessing(max_tokens=max_tokens, unknown_id=1)
        vectors = Embedding(dimensions=3, pooling="mean", normalised=True)
        return _publish(store, name, folder, pre, Postprocessing(activation="none"), inputs, embedding=vectors)


def only_lies(store: BundleStore, name: str = "liar") -> Bundle:
    """Publish what `wordpieces` with a lie is, without its honest variant."""
    whole = wordpieces(store, name, fault="lies")
    with store.staging(name) as folder:
        for file in sorted(whole.manifest.files.keys() - {"model.onnx"}):
            (folder / file).write_bytes(whole.file(file).read_bytes())
        left = {"variants": whole.manifest.variants[1:], "evidence": whole.manifest.evidence[1:]}
        liar = store.publish(
            name,
            folder,
            lambda version, files: whole.manifest.model_copy(update=left | {"version": version, "files": files}),
        )
    store.set_alias(name, "champion", liar.manifest.version)
    return liar


def _faulty(folder: Path, fault: Fault) -> Variant:
    file = folder / "model.int8.onnx"
    honest = toy_graphs.mean_embedding_graph()
    if fault == "is no graph":
        file.write_bytes(b"not a graph")
    else:
        graphs = {
            "lies": lambda: toy_graphs.mean_embedding_graph(np.roll(toy_graphs.word_scores(), 1, axis=0)),
            "depends on batch-mates": lambda: toy_graphs.batch_dependent(honest),
            "is brittle": lambda: toy_graphs.brittle(honest),
        }
        onnx.save(toy_graphs.with_topics(graphs[fault]()), str(file))
    return Variant(name="int8", file=file.name, precision="int8", one_thread_runs=True)


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
    variants: Sequence[Variant] = (FP32,),
    *,
    outputs: tuple[TensorSpec, ...] = (PROBABILITIES,),
    embedding: Embedding | None = None,
    verified_on: str = "",
    verification_set: bool = True,
) -> Bundle:
    measured_on = verified_on or hardware()

    def describe(version: int, files: dict[str, FileEntry]) -> Manifest:
        return Manifest(
            name=name,
            version=version,
            description="A toy for tests.",
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            task="embedding" if embedding else "text-classification",
            labels=() if embedding else LABELS,
            embedding=embedding,
            inputs=inputs,
            outputs=outputs,
            preprocessing=preprocessing,
            postprocessing=postprocessing,
            variants=tuple(variants),
            chosen=variants[-1].name,
            evidence=tuple(evidence(variant.name, measured_on, vectors=bool(embedding)) for variant in variants),
            verification=verification.FILE if verification_set else None,
            lineage=Lineage(source_uri="tests", flavour="toy"),
            samples=SAMPLES,
            files=files,
        )

    draft = Bundle(folder, describe(1, {}).model_copy(update={"chosen": "fp32"}))
    _write_reference(draft)
    if verification_set:
        verification.write(_verification(draft), folder)
    return store.publish(name, folder, describe)


def with_page(store: BundleStore, bundle: Bundle, source: str) -> Bundle:
    """Publish a bundle once more, with a demo page of its run's own, as champion."""
    manifest = bundle.manifest
    with store.staging(manifest.name) as folder:
        for file in manifest.files:
            (folder / file).write_bytes(bundle.file(file).read_bytes())
        (folder / DEMO).write_text(source)

        def describe(version: int, files: dict[str, FileEntry]) -> Manifest:
            return manifest.model_copy(update={"version": version, "files": files, "demo": DEMO})

        published = store.publish(manifest.name, folder, describe)
    store.set_alias(manifest.name, "champion", published.manifest.version)
    return published


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
    rows = engine.encode(texts)
    probabilities, embedding = engine.answer(rows)
    return make_records(
        manifest,
        engine.variant.name,
        ids,
        texts,
        rows,
        decide_all(probabilities.tolist(), manifest),
        created_at,
        None if embedding is None else list(embedding),
    )


def _write_reference(bundle: Bundle) -> None:
    """What the export does, once per kind of bundle: calibrating takes two seconds."""
    manifest = bundle.manifest
    kind = manifest.preprocessing.model_dump_json() + manifest.postprocessing.model_dump_json()
    made = once(f"reference-{hashlib.sha256(kind.encode()).hexdigest()[:16]}", partial(_build_reference, bundle))
    for file in made.iterdir():
        shutil.copyfile(file, bundle.path / file.name)


def _build_reference(bundle: Bundle, folder: Path) -> None:
    manifest = bundle.manifest
    texts = headlines(300, seed=1)
    rows = Engine.open(bundle, choose("cpu", available_providers()), threads=1).encode(texts)
    evaluation = predictions(bundle, headlines(150, seed=2))
    truths = [record.label for record in evaluation]
    training = list(zip(texts, rows, strict=True))
    labels = [record.label for record in predictions(bundle, texts)] if manifest.labels else []
    build_reference(manifest.labels, training, evaluation, truths, (), folder, labels)


def _verification(bundle: Bundle) -> verification.Verification:
    """Headlines that the fp32 variant answers right, whatever they say."""
    texts = headlines(150, seed=3)
    source = Engine.open(bundle, choose("cpu", available_providers()), threads=1).classify(texts)
    manifest = bundle.manifest
    labels = [answer.label or "-" for answer in decide_all(source.tolist(), manifest)]
    return verification.draw(list(zip(texts, labels, strict=True)), source, 0.005)


def evidence(variant: str = "fp32", measured_on: str = "tests", *, vectors: bool = False) -> Evidence:
    """Numbers of the right shape; nothing was measured."""
    return Evidence(
        variant=variant,
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
        mean_cosine=1.0 if vectors else None,
        worst_cosine=1.0 if vectors else None,
        size_bytes=1,
        latency_p50_seconds=0.001,
        throughput_texts_per_second=1000.0,
        hardware=measured_on,
    )
