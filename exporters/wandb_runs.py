"""Runs in W&B's folders, synced or offline: config, history, summary, git commit and how the run ended.

`run-ID.wandb` is read first (`wandb_log`); `files/config.yaml`, `wandb-summary.json` and `wandb-metadata.json`
fill in what a cut log lacks. Folders of one run id are one run that was resumed. Values that are no numbers (images,
tables, histograms) are left out. No network, no account, and W&B itself is not needed.

Source: wandb/proto/wandb_internal.proto; https://docs.wandb.ai/models/ref/cli/wandb-sync (which folders there are).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from exporters.found_runs import FoundRun, Place, Point, every_file, is_checkpoint
from exporters.wandb_log import LogDamaged, records

_FOLDER = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-([\w-]+)")
_GIT_COMMIT = "mlflow.source.git.commit"


def find(root: Path) -> list[Place]:
    """The W&B runs below a folder, which may be a run's own."""
    folders: dict[str, list[Path]] = {}
    for file in every_file(root):
        of_log = file.parent if file.suffix == ".wandb" else file.parent.parent if file.parent.name == "files" else None
        named = of_log and _FOLDER.fullmatch(of_log.resolve().name)
        if of_log and named and of_log not in folders.setdefault(named[1], []):
            folders[named[1]].append(of_log)
    return [Place(of[0].resolve().name, partial(_read, run_id, of)) for run_id, of in folders.items()]


def _read(run_id: str, folders: Sequence[Path]) -> FoundRun:
    found = FoundRun("wandb", run_id, run_id, status="RUNNING")
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    for folder in sorted(folders, key=lambda folder: folder.resolve().name.removeprefix("offline-")):
        found.status = "RUNNING"  # a run that was resumed has not ended where it was interrupted
        for log in sorted(folder.glob("*.wandb")):
            try:
                for record in records(log):
                    _take(record, found, config, summary)
            except (LogDamaged, OSError) as damage:
                found.faults.append(f"{log.name}: {damage}; what stands behind it is not imported")
        _fill_in(folder / "files", found, config, summary)
        models = [file.parent for file in every_file(folder / "files") if file.name == "config.json"]
        found.checkpoint = next(filter(is_checkpoint, models), found.checkpoint)
    found.params = {name: _text(value) for name, value in _flat(config) if not name.startswith("_wandb")}
    _add_summary(found, summary)
    return found


def _take(record: Any, found: FoundRun, config: dict[str, Any], summary: dict[str, Any]) -> None:
    if record.HasField("run"):
        _take_run(record.run, found, config)
    if record.HasField("environment") and record.environment.git.commit:
        found.tags[_GIT_COMMIT] = record.environment.git.commit
    if record.HasField("config"):
        config |= {".".join(_path(item)): _value(item) for item in record.config.update}
        for item in record.config.remove:
            config.pop(".".join(_path(item)), None)
    if record.HasField("summary"):
        summary |= {".".join(_path(item)): _value(item) for item in record.summary.update}
    if record.HasField("history"):
        _take_history(record.history, found)
    if record.HasField("exit"):
        found.status = "FAILED" if record.exit.exit_code else "FINISHED"


def _take_run(run: Any, found: FoundRun, config: dict[str, Any]) -> None:
    started = run.start_time.seconds + run.start_time.nanos / 1e9
    found.started_seconds = found.started_seconds or started
    found.name = run.display_name or found.name
    config |= {".".join(_path(item)): _value(item) for item in run.config.update}
    said = {"wandb.project": run.project, "wandb.group": run.group, "wandb.tags": ", ".join(run.tags)}
    said |= {"mlflow.note.content": run.notes, _GIT_COMMIT: run.git.commit}
    found.tags |= {name: value for name, value in said.items() if value}


def _take_history(history: Any, found: FoundRun) -> None:
    row = {".".join(_path(item)): _value(item) for item in history.item}
    step = int(row.get("_step", history.step.num))
    seconds = float(row.get("_timestamp") or found.ended_seconds)
    media = {name.removesuffix("_type") for name in row if name.endswith("._type")}
    for name, value in _flat(row):
        is_media = any(name.startswith(prefix) for prefix in media)
        if isinstance(value, int | float) and not name.startswith("_") and not is_media:
            found.points.append(Point(name, step, seconds, float(value)))


def _path(item: Any) -> list[str]:
    return [item.key] if item.key else list(item.nested_key)


def _value(item: Any) -> Any:
    for field in ("boolean", "integer", "number"):
        if item.HasField(field):
            return getattr(item, field)
    try:
        return json.loads(item.json or item.value_json or "null")
    except ValueError:
        return None  # no number, in whatever form: nothing that a metric could be


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Names with dots, and their values; media objects, which say their type, are left out."""
    for name, value in values.items():
        if isinstance(value, dict):
            if "_type" not in value:
                yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _fill_in(files: Path, found: FoundRun, config: dict[str, Any], summary: dict[str, Any]) -> None:
    """What the plain files say and the log did not."""
    plain = _load(files / "config.yaml", found.faults)
    for name, entry in plain.items():
        config.setdefault(name, entry.get("value") if isinstance(entry, dict) else entry)
    for name, value in _load(files / "wandb-summary.json", found.faults).items():
        summary.setdefault(name, value)
    metadata = _load(files / "wandb-metadata.json", found.faults)
    commit = (metadata.get("git") or {}).get("commit") if isinstance(metadata.get("git"), dict) else None
    if commit:
        found.tags.setdefault(_GIT_COMMIT, str(commit))


def _load(file: Path, faults: list[str]) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        document = yaml.safe_load(file.read_text()) if file.suffix == ".yaml" else json.loads(file.read_bytes())
    except (yaml.YAMLError, ValueError) as error:
        faults.append(f"files/{file.name} cannot be read: {str(error).splitlines()[0]}")
        return {}
    return document if isinstance(document, dict) else {}


def _add_summary(found: FoundRun, summary: Mapping[str, Any]) -> None:
    """Numbers that stand in the summary alone, at the last step."""
    known = {point.metric for point in found.points}
    step = max((point.step for point in found.points), default=0)
    seconds = float(summary.get("_timestamp") or 0) or found.ended_seconds
    media = {name.removesuffix("_type") for name in summary if name.endswith("._type")}
    for name, value in _flat(summary):
        is_own = name.startswith("_") or any(name.startswith(prefix) for prefix in media)
        if isinstance(value, int | float) and name not in known and not is_own:
            found.points.append(Point(name, step, seconds, float(value)))
