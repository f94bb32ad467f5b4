"""When, on what and with which versions a part was measured; what a figure is worth nothing without."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from benchmarks.drift.rivals.catalog import Library
from benchmarks.opening import plan_of
from benchmarks.parts import Conditions
from benchmarks.peers.catalog import Peer
from benchmarks.workspace import Workspace
from tidegate import devices

_OURS = ("tidegate", "onnxruntime", "tokenizers", "starlette", "uvicorn", "numpy", "onnxruntime-ep-openvino")


def conditions(workspace: Workspace, texts: int, peer: Peer | None = None) -> Conditions:
    """The conditions of a measurement that just ended."""
    manifest = workspace.bundle().manifest
    theirs = dict(requirement.split("==") for requirement in peer.requirements) if peer else {}
    return Conditions(
        date=datetime.now(UTC).replace(microsecond=0),
        machine=devices.hardware(),
        command=" ".join(["python -m benchmarks", *sys.argv[1:]]),
        versions=installed() | {f"{peer.name}: {name}": number for name, number in theirs.items() if peer},
        model=f"{manifest.name} {manifest.version}: {manifest.description} Tidegate runs {plan_of(workspace)}.",
        texts=texts,
    )


def drift_conditions(rivals: Sequence[Library]) -> Conditions:
    """The conditions of a measurement of drift, which serves nothing: the models are named in each case."""
    theirs = {f"{library.name}: {name}": number for library in rivals for name, number in library.versions.items()}
    return Conditions(
        date=datetime.now(UTC).replace(microsecond=0),
        machine=devices.hardware(),
        command=" ".join(["python -m benchmarks", *sys.argv[1:]]),
        versions=installed() | theirs,
        model="TF-IDF (character n-grams, SGD) fitted anew for every split; the transformer of `prepare`, once.",
        texts=0,
    )


def loop_conditions() -> Conditions:
    """The conditions of a measurement of the loop, which serves nothing."""
    return Conditions(
        date=datetime.now(UTC).replace(microsecond=0),
        machine=devices.hardware(),
        command=" ".join(["python -m benchmarks", *sys.argv[1:]]),
        versions=installed(),
        model="frozen MiniLM or TF-IDF (words and pairs), logistic regression fitted anew every round.",
        texts=0,
    )


def installed() -> dict[str, str]:
    """Package to version, in this environment."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _OURS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # the extra `intel` is not everywhere
            continue
    return found
