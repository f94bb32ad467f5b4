"""Runs of the Hugging Face Trainer, from the `trainer_state.json` of its checkpoints.

A run is the folder that holds `checkpoint-*`: every checkpoint's history begins with that of the one before, so the
longest one is the run's. The best checkpoint, as the Trainer noted it, else the last, is the one to export.
Limits: the state holds no times, so a value carries the time of the first checkpoint that has it; `training_args.bin`
is a pickle and is not opened, so params are what the state and the model's `config.json` say.

Source: transformers' TrainerState.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from exporters.found_runs import FoundRun, Place, Point, every_file, is_checkpoint, name_below

STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_PARAMS = (
    "max_steps",
    "num_train_epochs",
    "train_batch_size",
    "logging_steps",
    "eval_steps",
    "save_steps",
)
_MODEL_PARAMS = ("model_type", "architectures", "hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")

_State = tuple[Path, dict[str, Any]]


def find(root: Path) -> list[Place]:
    """The Trainer runs below a folder."""
    states: dict[Path, list[Path]] = {}
    for file in every_file(root):
        if file.name == STATE:
            inside = _CHECKPOINT.fullmatch(file.parent.name) and file.parent != root
            states.setdefault(file.parent.parent if inside else file.parent, []).append(file)
    return [Place(name_below(root, run), partial(_read, root, run, files)) for run, files in states.items()]


def _read(root: Path, run: Path, files: Sequence[Path]) -> FoundRun:
    """One run.

    Args:
        root: the folder that was named.
        run: the folder that the Trainer was given.
        files: its states.
    """
    found = FoundRun("trainer", name_below(root, run), "")
    states = sorted(_states(files, found.faults), key=lambda state: int(state[1].get("global_step") or 0))
    if not states:
        return found
    longest = max((state for _, state in states), key=lambda state: len(state["log_history"]))
    history: list[dict[str, Any]] = longest["log_history"]
    # The folder too: runs that differ in a rate alone may begin with the same values.
    first = json.dumps([str(run.resolve()), history[:1]], sort_keys=True)
    found.identity = hashlib.sha256(first.encode()).hexdigest()
    found.points = [point for entry in history for point in _points(entry, states)]
    found.started_seconds = min((point.seconds for point in found.points), default=states[0][0].stat().st_mtime)
    found.checkpoint = _checkpoint(run, states)
    found.params = _params(longest, found.checkpoint)
    best = longest.get("best_metric")
    found.tags = {} if best is None else {"trainer.best_metric": str(best)}
    return found


def _states(files: Sequence[Path], faults: list[str]) -> list[_State]:
    whole: list[_State] = []
    for file in files:
        try:
            state = json.loads(file.read_bytes())
            if not all(isinstance(entry, dict) for entry in state["log_history"]):
                raise ValueError("log_history holds no objects")
        except (OSError, ValueError, KeyError, TypeError) as error:
            faults.append(f"{file.parent.name}/{STATE} cannot be read: {error!r}")
            continue
        whole.append((file, state))
    return whole


def _points(entry: Mapping[str, Any], states: Sequence[_State]) -> list[Point]:
    step = int(entry.get("step") or 0)
    holder = next((file for file, state in states if int(state.get("global_step") or 0) >= step), states[-1][0])
    seconds = holder.stat().st_mtime
    return [
        Point(name, step, seconds, float(value))
        for name, value in entry.items()
        if name != "step" and isinstance(value, int | float)
    ]


def _checkpoint(run: Path, states: Sequence[_State]) -> Path | None:
    """The best one that is still there, else the last, else what stands in the run's own folder."""
    noted = [PurePath(str(state.get("best_model_checkpoint") or "")).name for _, state in reversed(states)]
    best = [run / name for name in noted if _CHECKPOINT.fullmatch(name)]
    last = [file.parent for file, _ in reversed(states)]
    return next((folder for folder in [*best[:1], *last, run] if is_checkpoint(folder)), None)


def _params(state: Mapping[str, Any], checkpoint: Path | None) -> dict[str, str]:
    tried = state.get("trial_params")
    params = {name: state[name] for name in _PARAMS if state.get(name) is not None}
    params |= tried if isinstance(tried, dict) else {}
    if checkpoint:
        try:
            config = json.loads((checkpoint / "config.json").read_bytes())
            params |= {name: config[name] for name in _MODEL_PARAMS if name in config}
        except (ValueError, TypeError):
            pass  # the export will say what is wrong with it
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
