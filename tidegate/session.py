"""A session: one ONNX graph loaded on one device. The only place that runs models, for verify and serving alike.

Two outputs are read: the first, of shape (batch, classes), and what monitoring wants beside it, the pooled
`EMBEDDING` of each text; bundles exported before it was added have one output. `run` may be called from several
threads (onnxruntime's `Run` is thread-safe), which is how one-thread runs share a session. On a GPU inputs and
outputs are bound. Sources: onnxruntime, I/O binding; `onnxruntime.preload_dlls`.
"""

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tidegate.devices import OPENVINO, Device, openvino_device
from tidegate.errors import BundleCorrupt, DeviceUnavailable, InferenceFailed
from tidegate.preprocess import Feeds

# Its kernel is scalar: 0.89 ms where Add and LayerNormalization take 0.11 ms (512 x 384 floats, one core).
_SLOW_FUSIONS = ["SkipLayerNormFusion"]
# Name of the output, behind the first, that holds one vector a text; `exporters.embedding` appends it.
EMBEDDING = "embedding"
_DATATYPES = {
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(float)": "FP32",
    "tensor(float16)": "FP16",
    "tensor(double)": "FP64",
    "tensor(bool)": "BOOL",
}


@dataclass(frozen=True, slots=True)
class Node:
    """An input or output of a graph.

    Attributes:
        datatype: as Open Inference Protocol V2 names it; onnxruntime's own name where that has none.
        shape: -1 marks a variable dimension.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, native: Any) -> Self:
        """From what onnxruntime says of it."""
        shape = tuple(size if isinstance(size, int) else -1 for size in native.shape)
        return cls(str(native.name), _DATATYPES.get(native.type, str(native.type)), shape)


class Outputs(NamedTuple):
    """What one run answered.

    Attributes:
        first: the graph's first output, (batch, classes), or (batch, dim) of an encoder.
        embedding: (batch, hidden); None where the graph has none, or it is not finite.
    """

    first: NDArray[np.float32]
    embedding: NDArray[np.float32] | None


class Session:
    """An open onnxruntime session."""

    def __init__(self, native: Any, file: Path, *, bound: bool = False) -> None:
        self._native = native
        self._file = file
        self._bound = bound
        self.inputs = tuple(str(node.name) for node in native.get_inputs())
        self.takes = tuple(Node.of(node) for node in native.get_inputs())
        self.gives, *others = map(Node.of, native.get_outputs())
        self._wanted = [self.gives.name, *(node.name for node in others if _is_embedding(node))]

    @classmethod
    def open(cls, file: Path, device: Device, threads: int, streams: int = 1) -> Self:
        """Load a graph.

        Args:
            file: an `.onnx` file.
            device: where to run.
            threads: intra-op threads of one run, 1 or more.
            streams: runs at once that the provider itself keeps apart (OpenVINO); others share what `run` is given.

        Raises:
            BundleCorrupt: onnxruntime cannot load the file.
            DeviceUnavailable: the device's provider did not start, or a GPU has no room for the file.
        """
        options = _options(threads)
        providers = _providers(device, options, threads, streams)
        try:
            native = ort.InferenceSession(
                str(file),
                options,
                providers=providers,
                disabled_optimizers=_SLOW_FUSIONS,
                # Else why a GPU failed is printed to stdout and lost, and the file loaded on the CPU for nobody.
                enable_fallback=not device.is_gpu,
            )
        except Exception as error:  # onnxruntime raises bare classes of its own C extension
            if device.is_gpu:  # more likely its memory than the file; the CPU would tell
                raise DeviceUnavailable(f"device {device.name}: onnxruntime cannot load {file}: {error}") from error
            raise BundleCorrupt(f"onnxruntime cannot load {file}: {error}") from error
        if device.provider not in native.get_providers():  # it falls back to the CPU with a log line and nothing else
            raise DeviceUnavailable(
                f"device {device.name}: {device.provider} did not start, "
                f"{load_cuda() if device.is_gpu else 'its libraries may be missing'}; `--device cpu` serves without it"
            )
        return cls(native, file, bound=device.is_gpu)

    def run(self, feeds: Feeds) -> Outputs:
        """Run one batch.

        Raises:
            InferenceFailed: onnxruntime raised, or its first output is not finite.
        """
        try:
            first, *others = (
                run_bound(self._native, feeds, self._wanted) if self._bound else self._native.run(self._wanted, feeds)
            )
        except Exception as error:
            shapes = {name: array.shape for name, array in feeds.items()}
            raise InferenceFailed(f"{self._file.name} failed on inputs of shapes {shapes}: {error}") from error
        if not np.isfinite(first).all():
            raise InferenceFailed(f"{self._file.name} answered numbers that are not finite")
        # A caller's answer does not depend on what only monitoring reads.
        return Outputs(first, others[0] if others and np.isfinite(others[0]).all() else None)


def _is_embedding(node: Node) -> bool:
    return node.name == EMBEDDING and node.datatype == "FP32" and len(node.shape) == 2


def run_bound(native: Any, feeds: Feeds, outputs: Sequence[str]) -> list[NDArray[np.float32]]:
    """Run with inputs and outputs bound: one copy in, one copy out of each, and no other wait for the GPU.

    A binding belongs to one run, so callers share a session here too. On the CPU it answers what `run` does.
    """
    binding = native.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    for name in outputs:
        binding.bind_output(name, "cpu")
    native.run_with_iobinding(binding)
    copied: list[NDArray[np.float32]] = binding.copy_outputs_to_cpu()
    return copied


@cache
def load_cuda() -> str:
    """Load CUDA's libraries from the wheels that pip brings them in; says which could not be, or may be missing.

    The system's loader does not look there, and onnxruntime does only when it is asked: a GPU would never start. It
    prints what it misses. Libraries that the system has, in their place, are found as well.
    """
    said = StringIO()
    with redirect_stdout(said):
        ort.preload_dlls()
    missed = [line for line in said.getvalue().splitlines() if line.startswith("Failed to load")]
    return (
        f"{missed[0]}; install onnxruntime-gpu[cuda,cudnn]"
        if missed
        else "its libraries or the GPU's driver may be missing"
    )


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Its warnings are about graph optimisation; its errors are raised as well, and would show what callers sent.
    options.log_severity_level = 4
    # Spinning threads burn a core while idle and starve the other models on a shared machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _providers(device: Device, options: ort.SessionOptions, threads: int, streams: int) -> list[Any] | None:
    """Providers by name, or None when a plugin provider went into the options."""
    if device.provider == OPENVINO:
        options.add_provider_for_devices([_openvino(device)], _openvino_options(threads, streams))
        return None
    if device.is_gpu:
        load_cuda()
    _make_folder(device)
    return list(device.providers)


def _make_folder(device: Device) -> None:
    """The folder of TensorRT's engines: onnxruntime makes no parents. They are code, so its owner alone may write."""
    folder = device.provider_options.get("trt_engine_cache_path")
    if folder:
        Path(folder).parent.mkdir(mode=0o700, exist_ok=True)
        Path(folder).mkdir(mode=0o700, exist_ok=True)


def _openvino(device: Device) -> Any:
    native = openvino_device()
    if native is None:
        raise DeviceUnavailable(
            f"device {device.name}: OpenVINO offers nothing here; it needs the extra `intel` and an Intel CPU"
        )
    return native


def _openvino_options(threads: int, streams: int) -> dict[str, str]:
    """Unpinned: two sessions that both pin their threads share one core (facts: half the speed)."""
    return {
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(threads * streams),
        "ENABLE_CPU_PINNING": "NO",
    }
