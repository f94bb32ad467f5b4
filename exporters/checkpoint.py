"""A transformers sequence classifier to ONNX, through optimum; and the source model in PyTorch, to compare with.

Weights come from safetensors; a `pytorch_model.bin` is a pickle and asks for --trust-pickle. The tokenizer must
have a fast form (`tokenizer.json`), because that is what serves. Limits: single-label classification, single
texts, padding on the right; models with code of their own (`trust_remote_code`) are refused.
"""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from exporters.convert import GRAPH, Draft
from exporters.embedding_output import append_embedding
from exporters.encoders import check_task, longest_input, padding_id
from exporters.first_token import keep_one_token
from exporters.invariant import invariant_int8
from exporters.layouts import Layout
from exporters.quantize import dynamic_int8, for_gpus, fused
from tidegate.bundle import Postprocessing, TensorSpec, TokenizerPreprocessing, Variant
from tidegate.devices import available_providers
from tidegate.errors import UnsupportedSource, UntrustedPickle

BATCH = 32


def draft_checkpoint(layout: Layout, folder: Path, *, trust_pickle: bool) -> Draft:
    """Export a checkpoint folder; see `convert.to_onnx`."""
    model, tokenizer = load(layout, trust_pickle=trust_pickle)
    _check_head(model.config, layout)
    labels = _labels(model.config)
    max_tokens = longest(model.config, tokenizer)
    graph = trace(model, folder, "text-classification")
    keep_one_token(graph)
    embedding = append_embedding(graph)
    onnx.save(graph, str(folder / GRAPH))
    save_tokenizer(tokenizer, folder)
    return Draft(
        labels=labels,
        inputs=tuple(TensorSpec(name=node.name, datatype="INT64", shape=(-1, -1)) for node in graph.graph.input),
        outputs=(TensorSpec(name="logits", datatype="FP32", shape=(-1, len(labels))), *embedding),
        preprocessing=TokenizerPreprocessing(
            max_tokens=max_tokens, pad_id=tokenizer.pad_token_id, unknown_id=tokenizer.unk_token_id
        ),
        postprocessing=Postprocessing(threshold=layout.threshold, fallback_label=layout.fallback_label),
        variant=Variant(name="fp32", file=GRAPH, precision="fp32"),
        rewrites=(fused, dynamic_int8, invariant_int8, *for_gpus(available_providers())),
        predict=lambda texts: predict(model, tokenizer, texts, max_tokens),
    )


def load(
    layout: Layout, *, trust_pickle: bool, auto_class: str = "AutoModelForSequenceClassification"
) -> tuple[Any, Any]:
    """Model, ready to infer, and tokenizer of a checkpoint.

    Raises:
        UnsupportedSource: transformers cannot load it, or its tokenizer is no fast one that pads on the right.
        UntrustedPickle: its weights are a pickle, and nobody vouched for it.
    """
    safe = any(layout.model.glob("model.safetensors*"))
    if not safe and not trust_pickle:
        raise UntrustedPickle(
            f"{layout.model} has its weights in pytorch_model.bin, a pickle that may run code when loaded; "
            "save it as safetensors, or say --trust-pickle if you trust who made it"
        )
    import transformers
    from transformers import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    try:
        model = getattr(transformers, auto_class).from_pretrained(
            layout.model, use_safetensors=safe, trust_remote_code=False, local_files_only=True, dtype="float32"
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            layout.tokenizer, use_fast=True, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # transformers raises whatever its parsers raise
        reason = str(error).strip().split("\n")[0]
        raise UnsupportedSource(f"transformers cannot load {layout.model}: {type(error).__name__}: {reason}") from error
    _check_tokenizer(tokenizer)
    return model.eval(), tokenizer


def _check_head(config: Any, layout: Layout) -> None:
    architecture = (config.architectures or ["none"])[0]
    if not architecture.endswith("ForSequenceClassification"):
        raise UnsupportedSource(
            f"{layout.model} is a {architecture}; only ...ForSequenceClassification can be exported (it has no trained "
            "classification head)"
        )
    check_task(layout.model, config.problem_type, config.num_labels)


def _check_tokenizer(tokenizer: Any) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedSource(
            f"{type(tokenizer).__name__} has no fast form; save one with PreTrainedTokenizerFast (a tokenizer.json)"
        )
    if tokenizer.pad_token_id is None or tokenizer.padding_side != "right":
        raise UnsupportedSource(
            f"the tokenizer pads with {tokenizer.pad_token!r} on the {tokenizer.padding_side}; batches need a padding "
            "token on the right"
        )


def _labels(config: Any) -> tuple[str, ...]:
    return tuple(str(config.id2label[index]) for index in range(config.num_labels))


def longest(config: Any, tokenizer: Any) -> int:
    """Tokens that the model takes, specials included."""
    positions = getattr(config, "max_position_embeddings", None)
    pad_id = padding_id(config.model_type, config.pad_token_id)
    return longest_input(config.model_type, tokenizer.model_max_length, positions, pad_id)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write the fast form alone; who pads and truncates is decided where it serves."""
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))


def trace(model: Any, folder: Path, task: str) -> onnx.ModelProto:
    """The graph of a model through optimum, for one of its tasks; scratch files go into `folder` and leave again."""
    import torch
    from optimum.exporters.onnx import onnx_export_from_model

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            with torch.no_grad(), warnings.catch_warnings():
                # About optimum's way of tracing; whether the trace is right is measured, not guessed.
                warnings.simplefilter("ignore", torch.jit.TracerWarning)
                warnings.filterwarnings("ignore", category=DeprecationWarning)
                # The same exporter as `main_export`, from the model that is loaded already. Its own check against
                # PyTorch is skipped: `verify` does that on real texts.
                onnx_export_from_model(model, scratch, task=task, do_validation=False)
        except Exception as error:  # optimum and torch raise what they like for graphs they cannot trace
            reason = str(error).strip().split("\n")[0]
            raise UnsupportedSource(f"optimum cannot export {model.config.model_type!r} models: {reason}") from error
        return onnx.load(str(Path(scratch) / "model.onnx"))


def predict(model: Any, tokenizer: Any, texts: Sequence[str], max_tokens: int) -> NDArray[np.float64]:
    """Probabilities of a PyTorch sequence classifier, (texts, classes)."""
    width = model.config.num_labels
    return run_texts(
        model, tokenizer, texts, max_tokens, width, lambda output, _: output.logits.double().softmax(dim=1)
    )


def run_texts(
    model: Any, tokenizer: Any, texts: Sequence[str], max_tokens: int, width: int, read: Callable[[Any, Any], Any]
) -> NDArray[np.float64]:
    """Run a PyTorch model on texts, in padded batches of texts of like length.

    Args:
        model: ready to infer.
        tokenizer: of the model.
        texts: any number of them.
        max_tokens: longer texts are cut.
        width: numbers a text.
        read: the model's output and the attention mask to a tensor (batch, width).

    Returns:
        What `read` found, (texts, width), in the order of the texts.
    """
    import torch

    encoded = tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"]
    order = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
    found = np.empty((len(texts), width))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = tokenizer(
                [texts[row] for row in rows], truncation=True, max_length=max_tokens, padding=True, return_tensors="pt"
            )
            found[rows] = read(model(**batch), batch["attention_mask"]).numpy()
    return found
