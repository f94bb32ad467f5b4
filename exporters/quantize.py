"""Faster graphs of a transformer by the tools of others. Each function writes one more variant into the bundle folder.

`fused`: onnxruntime's own fusions for transformers (attention in one node), float32.
`dynamic_int8`: int8 weights per channel, activations quantized per run over the whole tensor; it depends on
batch-mates (facts: 7 of 721 labels flip), so it is served one text a run. `exporters.invariant` makes int8 that
batches. `half`: float16, for GPUs. After `checkpoint` exports the float32 graph; `verify` judges what comes out.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exporters.convert import GRAPH, Rewrite
from exporters.pooling import MEAN
from tidegate.bundle import Variant
from tidegate.devices import hardware
from tidegate.errors import UnsupportedSource
from tidegate.gpus import CUDA
from tidegate.preprocess import Feeds


def fused(folder: Path, _feeds: Sequence[Feeds]) -> Iterator[Variant]:
    """Attention and GELU in one node each, by onnxruntime's optimizer for transformers.

    Raises:
        UnsupportedSource: it finds no attention to fuse.
    """
    import onnx
    from onnxruntime.transformers import optimizer

    with mapped("fused"):
        logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
        onnx.load(str(folder / GRAPH))  # the optimizer leaves a temporary folder behind when it cannot read the file
        # "bert" stands for every encoder; 0 heads and width: read from the graph.
        graph = optimizer.optimize_model(
            str(folder / GRAPH), "bert", 0, 0, optimization_options=_fusions(), opt_level=0, verbose=False
        )
        if not graph.get_fused_operator_statistics().get("MultiHeadAttention"):
            raise UnsupportedSource("onnxruntime finds no attention that it can fuse")
        graph.save_model_to_file(str(folder / "model.fused.onnx"))
    yield Variant(name="fused", file="model.fused.onnx", precision="fp32")


def dynamic_int8(folder: Path, _feeds: Sequence[Feeds]) -> Iterator[Variant]:
    """Dynamic int8 per channel, for the CPU at hand, by optimum's ORTQuantizer."""
    from optimum.onnxruntime import ORTQuantizer

    with tempfile.TemporaryDirectory(dir=folder) as scratch, mapped("int8"):
        logging.getLogger("optimum").setLevel(logging.ERROR)  # it misses a config.json that nobody here reads
        quantizer = ORTQuantizer.from_pretrained(folder, file_name=GRAPH)
        quantizer.quantize(save_dir=scratch, quantization_config=_configuration(), file_suffix="int8")
        (Path(scratch) / "model_int8.onnx").replace(folder / "model.int8.onnx")
    yield Variant(name="int8", file="model.int8.onnx", precision="int8", max_batch_size=1, one_thread_runs=True)


def for_gpus(providers: Sequence[str]) -> tuple[Rewrite, ...]:
    """What is made for GPUs, where the exporting machine offers one: elsewhere nobody could measure what came out.

    A bundle from a machine without CUDA serves its float32 file on GPUs. The half of MiniLM-L6 is 45 MB, which every
    bundle would carry although no CPU wants it: kernels for float16 are missing there, and each layer converts.
    """
    return (half,) if CUDA in providers else ()


def half(folder: Path, _feeds: Sequence[Feeds]) -> Iterator[Variant]:
    """Weights and activations in float16, by onnxruntime's converter; inputs and outputs keep their types."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with mapped("fp16"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a line for each weight that float16 rounds to nothing
        graph = convert_float_to_float16(onnx.load(str(folder / GRAPH)), keep_io_types=True)
        onnx.save(graph, str(folder / "model.fp16.onnx"))
    yield Variant(name="fp16", file="model.fp16.onnx", precision="fp16")


def _fusions() -> Any:
    """Without SkipLayerNormalization, whose kernel is scalar on CPUs (see `tidegate.session`)."""
    from onnxruntime.transformers.fusion_options import FusionOptions

    options = FusionOptions("bert")
    options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = options.enable_embed_layer_norm = False
    options.use_multi_head_attention = True
    return options


def _configuration() -> Any:
    """Preset of optimum for this CPU: which int8 kernels there are decides range and symmetry of the weights."""
    from optimum.onnxruntime import AutoQuantizationConfig

    flags = hardware()
    options: dict[str, Any] = {"is_static": False, "per_channel": True, "nodes_to_exclude": [MEAN]}
    if "avx512_vnni" in flags:
        return AutoQuantizationConfig.avx512_vnni(**options)
    if "avx512f" in flags:
        return AutoQuantizationConfig.avx512(**options)
    if "asimddp" in flags:
        return AutoQuantizationConfig.arm64(**options)
    # Without VNNI, x86 kernels saturate on 8-bit weights (onnxruntime #5849): 7 bits there.
    return AutoQuantizationConfig.avx2(**options, reduce_range="avx_vnni" not in flags)


@contextmanager
def mapped(variant: str) -> Iterator[None]:
    """What a tool raises while it makes a variant, as `UnsupportedSource` with the variant's name."""
    try:
        yield
    except Exception as error:  # the tools raise bare classes for graphs that they cannot rewrite
        reason = str(error).strip().split("\n")[0]
        raise UnsupportedSource(f"variant {variant} cannot be made: {type(error).__name__}: {reason}") from error
