"""A Hugging Face encoder to ONNX: text in, one vector out; and the source model in PyTorch, to compare with.

Takes a sentence-transformers folder or a plain AutoModel checkpoint. The graph ends in the pooling that the folder
asks for (`pooling`), so it has one output of shape (batch, dim) as a classifier has. Loading and tracing are those of
`checkpoint`, the faster versions those of `quantize` and `invariant`. Limits: text only, right padding, no prompts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from exporters.checkpoint import load, longest, run_texts, save_tokenizer, trace
from exporters.convert import GRAPH, Draft
from exporters.first_token import keep_one_token
from exporters.invariant import invariant_int8
from exporters.layouts import Layout
from exporters.pooling import OUTPUT, Pooling, append_pooling, pool, read_pooling
from exporters.quantize import dynamic_int8, for_gpus, fused
from tidegate.bundle import Embedding, Postprocessing, TensorSpec, TokenizerPreprocessing, Variant
from tidegate.devices import available_providers
from tidegate.errors import UnsupportedSource


def draft_sentence_encoder(layout: Layout, folder: Path, *, trust_pickle: bool) -> Draft:
    """Export an encoder; see `convert.to_onnx`."""
    pooling = read_pooling(layout.model)
    tokenizer_folder = pooling.encoder if layout.tokenizer == layout.model else layout.tokenizer
    model, tokenizer = load(
        Layout("encoder", pooling.encoder, tokenizer_folder), trust_pickle=trust_pickle, auto_class="AutoModel"
    )
    if getattr(model.config, "is_encoder_decoder", False):
        raise UnsupportedSource(f"{layout.model} is an encoder-decoder; only encoders can be exported as embeddings")
    max_tokens = min(filter(None, (longest(model.config, tokenizer), pooling.max_tokens)))
    dimensions = int(model.config.hidden_size)
    graph = trace(model, folder, "feature-extraction")
    append_pooling(graph, pooling, dimensions)
    if pooling.mode == "cls":
        keep_one_token(graph)
    onnx.save(graph, str(folder / GRAPH))
    save_tokenizer(tokenizer, folder)
    return Draft(
        labels=(),
        inputs=tuple(TensorSpec(name=node.name, datatype="INT64", shape=(-1, -1)) for node in graph.graph.input),
        outputs=(TensorSpec(name=OUTPUT, datatype="FP32", shape=(-1, dimensions)),),
        preprocessing=TokenizerPreprocessing(
            max_tokens=max_tokens, pad_id=tokenizer.pad_token_id, unknown_id=tokenizer.unk_token_id
        ),
        postprocessing=Postprocessing(activation="none"),
        variant=Variant(name="fp32", file=GRAPH, precision="fp32"),
        rewrites=(fused, dynamic_int8, invariant_int8, *for_gpus(available_providers())),
        predict=lambda texts: embed(model, tokenizer, texts, max_tokens, pooling),
        embedding=Embedding(dimensions=dimensions, pooling=pooling.mode, normalised=pooling.normalised),
    )


def embed(model: Any, tokenizer: Any, texts: Sequence[str], max_tokens: int, pooling: Pooling) -> NDArray[np.float64]:
    """Vectors of a PyTorch encoder, (texts, dim)."""

    def read(output: Any, mask: Any) -> Any:
        return pool(output.last_hidden_state, mask, pooling).double()  # (batch, tokens, dim) to (batch, dim)

    return run_texts(model, tokenizer, texts, max_tokens, model.config.hidden_size, read)
