"""One flavour each, to one form: `to_onnx` writes a model's fp32 graph and preprocessing into a bundle folder.

After `sources`, before `quantize` and `verify`. A `Draft` is all that the rest of the export knows of a model,
so a new flavour is one module with one function `draft_*` and one line here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporters.layouts import Layout
from tidegate.bundle import Embedding, Postprocessing, Preprocessing, TensorSpec, Variant
from tidegate.preprocess import Feeds

GRAPH = "model.onnx"

Predict = Callable[[Sequence[str]], NDArray[np.float64]]  # texts -> probabilities or vectors (texts, n)
# Writes one more graph into the bundle folder, from calibration texts (graph inputs, one text each). Where labels may
# disagree too much it yields more careful versions of the same file, one after the other.
Rewrite = Callable[[Path, Sequence[Feeds]], Iterable[Variant]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A model on its way into a bundle.

    Attributes:
        labels: class labels in output order; none of embeddings.
        inputs, outputs, preprocessing, postprocessing: as in the manifest.
        variant: the graph that was written, fp32 unless somebody quantized it before.
        rewrites: builders of faster variants; none of them is needed.
        predict: the source model itself, in process; what every variant is compared with.
        embedding: what its vectors are; None of classifiers.
    """

    labels: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing
    postprocessing: Postprocessing
    variant: Variant
    rewrites: tuple[Rewrite, ...]
    predict: Predict
    embedding: Embedding | None = None


def to_onnx(layout: Layout, folder: Path, *, trust_pickle: bool) -> Draft:
    """Convert a model into `folder` (the bundle's staging folder).

    Raises:
        UnsupportedSource: it cannot be expressed.
        UntrustedPickle: it is a pickle, and nobody vouched for it.
    """
    if layout.flavour == "transformers":
        from exporters.checkpoint import draft_checkpoint

        return draft_checkpoint(layout, folder, trust_pickle=trust_pickle)
    if layout.flavour == "encoder":
        from exporters.sentence_encoder import draft_sentence_encoder

        return draft_sentence_encoder(layout, folder, trust_pickle=trust_pickle)
    if layout.flavour == "onnx":
        from exporters.ready import draft_ready

        return draft_ready(layout, folder)
    from exporters.linear import draft_linear

    return draft_linear(layout, folder, trust_pickle=trust_pickle)
