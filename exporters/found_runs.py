"""Runs that other tools wrote to disk, as they are found: params, metric histories, tags, checkpoint, faults.

`tensorboard_runs`, `wandb_runs` and `trainer_runs` read them; `run_import` writes them into MLflow. A fault is a
sentence about what could not be read: a reader brings what is whole and never guesses the rest.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["tensorboard", "wandb", "trainer"]
Status = Literal["FINISHED", "FAILED", "RUNNING"]  # MLflow's words
# What a checkpoint keeps only to go on training; training_args.bin and the .pt files are pickles besides.
_RESUMING = ("optimizer", "scheduler", "scaler", "rng_state", "training_args", "trainer_state", "global_step")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric.

    Attributes:
        metric: its name, as the tool had it.
        step: of the training; 0 where the tool counted none.
        seconds: since 1970, when it was logged.
        value: may be infinite or no number.
    """

    metric: str
    step: int
    seconds: float
    value: float


@dataclass(slots=True)
class FoundRun:
    """A run on disk.

    Attributes:
        kind: the tool that wrote it.
        name: its display name, else its folder.
        identity: the same for the same run, however far it has grown.
        started_seconds: since 1970.
        params: what it was configured with.
        tags: what else is known of it, MLflow's own tags included.
        points: every value of every metric, in the order of the log.
        status: how it ended; RUNNING where the tool would have noted an end, and has not.
        checkpoint: a model folder that can be exported.
        faults: what could not be read.
    """

    kind: Kind
    name: str
    identity: str
    started_seconds: float = 0.0
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    status: Status = "FINISHED"
    checkpoint: Path | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def ended_seconds(self) -> float:
        """When the last value was logged."""
        return max((point.seconds for point in self.points), default=self.started_seconds)

    def digest(self) -> str:
        """Changes when anything that an import would bring does; times of files, which copying changes, do not."""
        values = [(point.metric, point.step, repr(point.value)) for point in self.points]
        parts = [self.params, self.tags, self.status, self.faults, values]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        for file in model_files(self.checkpoint) if self.checkpoint else []:
            digest.update(f"{file.name}\0".encode())
            with file.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run lies, and what reads it."""

    name: str
    read: Callable[[], FoundRun]


def every_file(root: Path) -> Iterator[Path]:
    """Files below a folder, in the order of their names; links to folders are not followed."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(files))


def name_below(root: Path, folder: Path) -> str:
    """A folder's name as people know it: the path below the one that was named, or its own name."""
    below = folder.relative_to(root).as_posix()
    return folder.resolve().name if below == "." else below


def is_checkpoint(folder: Path) -> bool:
    """Whether it is a folder that `save_pretrained` wrote, with weights."""
    return (folder / "config.json").is_file() and any((folder / name).is_file() for name in _WEIGHTS)


def model_files(checkpoint: Path) -> list[Path]:
    """The files of a checkpoint that the model consists of, without those that only go on training."""
    return sorted(file for file in checkpoint.iterdir() if file.is_file() and not file.name.startswith(_RESUMING))
