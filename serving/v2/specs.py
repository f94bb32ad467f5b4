"""What is served under which name, what it takes and gives, and what the protocol's documents say of it.

Each model appears twice: `NAME` takes texts and answers labels and scores, or vectors; `NAME-tensors` is its graph,
with the inputs that a tokenizer would make and the output before any postprocessing. A model that really is called
`x-tensors` hides the graph of `x`. The documents are those of REST; gRPC's messages have the same fields. Limits:
`versions` are those that answer now, not all of the store.
Sources: KServe V2 protocol; Triton's model configuration and model repository extensions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from serving.following import ModelState
from serving.model import ServedModel
from serving.repository import Repository
from serving.v2.tensors import BYTES, Spec
from tidegate import __version__
from tidegate.errors import ModelNotFound

SUFFIX = "-tensors"
PLATFORM = "onnxruntime_onnx"
EXTENSIONS = (
    "binary_tensor_data",
    "model_repository",
    "model_repository(unload_dependents)",
    "model_configuration",
    "statistics",
    "parameters",
    "schedule_policy",
)
TEXT = (Spec("text", BYTES, (-1,)),)
_CONFIG_TYPES = {BYTES: "TYPE_STRING"}
_STATES = {"ready": "READY", "loading": "LOADING"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a request names.

    Attributes:
        name: as it was called.
        model: whose it is.
        tensors: whether the graph itself is meant.
    """

    name: str
    model: str
    tensors: bool = False

    def inputs(self, served: ServedModel) -> Sequence[Spec]:
        """What it takes."""
        if not self.tensors:
            return TEXT
        return [Spec(node.name, node.datatype, node.shape) for node in served.engine.inputs]

    def outputs(self, served: ServedModel) -> Sequence[Spec]:
        """What it gives."""
        if self.tensors:
            node = served.engine.output
            return [Spec(node.name, node.datatype, node.shape)]
        if served.manifest.embedding is not None:
            return Spec("embedding", "FP32", (-1, served.manifest.embedding.dimensions)), Spec("id", BYTES, (-1,))
        classes = len(served.manifest.labels)
        return (
            Spec("label", BYTES, (-1,)),
            Spec("score", "FP32", (-1,)),
            Spec("abstained", "BOOL", (-1,)),
            Spec("scores", "FP32", (-1, classes)),
            Spec("labels", BYTES, (classes,)),
            Spec("id", BYTES, (-1,)),
        )


def target_of(repository: Repository, name: str) -> Target:
    """What a name stands for.

    Raises:
        ModelNotFound: nothing.
    """
    base = name.removesuffix(SUFFIX)
    if name not in repository.states and base != name and base in repository.states:
        return Target(name, base, tensors=True)
    repository.state(name)
    return Target(name, name)


def version_of(sent: str | None) -> int | None:
    """The number of a version, from its place in the path or message; None where none is named.

    Raises:
        ModelNotFound: no number.
    """
    if not sent:
        return None
    if not (sent.isascii() and sent.isdigit() and len(sent) < 10):
        raise ModelNotFound(f"no version {sent[:80]!r}; versions are whole numbers")
    return int(sent)


def live(repository: Repository, model: str) -> list[ServedModel]:
    """The versions of a model that answer, oldest first; none while it does not."""
    rollout = repository.state(model).rollout
    if rollout is None:
        return []
    versions = {each.manifest.version: each for each in (rollout.champion, rollout.canary, rollout.shadow) if each}
    return [versions[number] for number in sorted(versions)]


def targets(repository: Repository) -> Iterator[Target]:
    """Everything that can be named."""
    for name in repository.states:
        yield Target(name, name)
        if f"{name}{SUFFIX}" not in repository.states:
            yield Target(f"{name}{SUFFIX}", name, tensors=True)


def server_metadata() -> dict[str, Any]:
    """What the server is."""
    return {"name": "tidegate", "version": __version__, "extensions": list(EXTENSIONS)}


def model_metadata(repository: Repository, target: Target, version: int | None) -> dict[str, Any]:
    """What a model takes and gives; raises what `Repository.get` does."""
    served = repository.get(target.model, version)
    versions = [served] if version is not None else live(repository, target.model)
    return {
        "name": target.name,
        "versions": [str(each.manifest.version) for each in versions],
        "platform": PLATFORM,
        "inputs": [_tensor(spec) for spec in target.inputs(served)],
        "outputs": [_tensor(spec) for spec in target.outputs(served)],
    }


def model_config(repository: Repository, target: Target, version: int | None) -> dict[str, Any]:
    """The same as a Triton configuration; batches are made by the server, so its `max_batch_size` is 0."""
    served = repository.get(target.model, version)
    return {
        "name": target.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "max_batch_size": 0,
        "input": [_configured(spec) for spec in target.inputs(served)],
        "output": [_configured(spec) for spec in target.outputs(served)],
    }


def is_ready(repository: Repository, target: Target, version: int | None) -> bool:
    """Whether a model, or one version of it, answers; raises what `target_of` does for one that was never there."""
    state = repository.state(target.model)
    if state.standing != "ready":
        return False
    return version is None or any(each.manifest.version == version for each in live(repository, target.model))


def index(repository: Repository, *, ready: bool = False) -> list[dict[str, str]]:
    """The repository index; only what answers when `ready`."""
    entries = []
    for target in targets(repository):
        state = repository.state(target.model)
        about = {"state": _STATES.get(state.standing, "UNAVAILABLE"), "reason": _reason(state)}
        versions = [{"version": str(each.manifest.version)} for each in live(repository, target.model)]
        if state.standing == "ready" or not ready:
            entries += [{"name": target.name, **version, **about} for version in versions or [{}]]
    return entries


def _reason(state: ModelState) -> str:
    return state.error or ("" if state.standing in _STATES else state.standing)


def _tensor(spec: Spec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _configured(spec: Spec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "data_type": _CONFIG_TYPES.get(spec.datatype, f"TYPE_{spec.datatype}"),
        "dims": list(spec.shape),
    }
