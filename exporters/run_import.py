"""Writes runs that other tools left on disk into MLflow, once each, however often it is asked.

After `tensorboard_runs`, `wandb_runs` and `trainer_runs`; before `sources`, which `tidegate export` fetches with. A tag
says which run on disk an MLflow run is, and it is set as the run is made; another holds the digest of what was read,
and it is set when all is written. So a second import changes nothing, a run that has grown gets what is new, and one
that was interrupted gets what is missing: values that are there already, by metric, step and value, are not sent again.
Limits: MLflow keeps the first value of a param; of two imports at one moment each may make the run.

Source: mlflow.utils.validation for what names and values may be.
"""

import math
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from exporters import sources, tensorboard_runs, trainer_runs, wandb_runs
from exporters.found_runs import FoundRun, Place, Point, model_files
from tidegate.errors import TidegateError, UsageError
from tidegate.home import make_private

_RUN = "tidegate.import.run"
_DIGEST = "tidegate.import.digest"
_MODEL = "tidegate.import.model"
_BATCH_METRICS, _BATCH_REST = 1000, 100  # the most that MLflow takes in one request
_LONGEST_NAME, _LONGEST_PARAM, _LONGEST_TAG = 250, 6000, 8000
_FARTHEST = 1.7976931348623157e308  # how MLflow's stores keep an infinity

Progress = Callable[[int, int, str], None]
_Entry = TypeVar("_Entry")


def import_runs(root: Path, tracking_uri: str, experiment: str, register: str, progress: Progress) -> dict[str, Any]:
    """Bring every run below a folder into an experiment.

    Args:
        root: the folder; it may be one run's own.
        tracking_uri: MLflow's store, which is made if it is a SQLite file that is not there.
        experiment: by its name; made if it is not there.
        register: registered model that every checkpoint becomes a version of; empty for none.
        progress: told the runs that are done, how many there are, and the name of the next.

    Returns:
        `{"experiment", "runs": [{"name", "kind", "run_id", "result", "params", "metrics", "points", "model",
        "registered", "faults"}]}`; result is added, updated, unchanged or unreadable; points are the ones added.

    Raises:
        UsageError: no such folder, or no run in it.
        TidegateError: MLflow refused.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; name one with TensorBoard, W&B or Trainer runs in it")
    places = [place for kind in (tensorboard_runs, wandb_runs, trainer_runs) for place in kind.find(root)]
    if not places:
        raise UsageError(
            f"{root} holds no run: no events.out.tfevents.*, no W&B folder (run-*, offline-run-*) and no "
            "trainer_state.json; name the folder that holds them, or one above it"
        )
    if tracking_uri.startswith("sqlite:///"):
        make_private(Path(tracking_uri.removeprefix("sqlite:///")).parent)
    mlflow = sources.opened(tracking_uri)
    from mlflow.exceptions import MlflowException

    try:
        client = mlflow.MlflowClient()
        experiment_id = _experiment(client, tracking_uri, experiment)
        runs = list(_each(client, experiment_id, register, places, progress))
    except (MlflowException, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise TidegateError(f"the import stopped: {reason}; run it again, and it goes on from there") from error
    return {"experiment": experiment, "runs": runs}


def _experiment(client: Any, tracking_uri: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    database = Path(tracking_uri.removeprefix("sqlite:///"))
    # Without this, MLflow would put what belongs to an embedded store into the working folder.
    artifacts = (database.parent / "artifacts").as_uri() if tracking_uri.startswith("sqlite:///") else None
    return str(client.create_experiment(name, artifact_location=artifacts))


def _each(
    client: Any, experiment_id: str, register: str, places: Sequence[Place], progress: Progress
) -> Iterator[dict[str, Any]]:
    for done, place in enumerate(places):
        progress(done, len(places), place.name)
        found = place.read()
        row: dict[str, Any] = {"name": found.name, "kind": found.kind, "run_id": None, "result": "unreadable"}
        row |= {"params": 0, "metrics": 0, "points": 0, "model": None, "registered": None}
        is_whole = found.identity and (found.points or found.params or found.tags)
        yield row | (_import(client, experiment_id, register, found) if is_whole else {}) | {"faults": found.faults}
    progress(len(places), len(places), "")


def _import(client: Any, experiment_id: str, register: str, found: FoundRun) -> dict[str, Any]:
    """Bring one run up to date."""
    _fit_names(found)
    digest = found.digest()
    run, is_new = _own_run(client, experiment_id, found)
    run_id, points = run.info.run_id, 0
    unchanged = run.data.tags.get(_DIGEST) == digest
    if not unchanged:
        points = _write(client, run, found)
        client.set_terminated(run_id, found.status, _milliseconds(found.ended_seconds))
        client.set_tag(run_id, _DIGEST, digest)  # last: all before it is written
    model = f"runs:/{run_id}/{found.checkpoint.name}" if found.checkpoint else None
    return {
        "run_id": run_id,
        "result": "unchanged" if unchanged else "added" if is_new else "updated",
        "params": len(found.params),
        "metrics": len({point.metric for point in found.points}),
        "points": points,
        "model": model,
        "registered": _register(client, run, found.checkpoint.name, register)
        if found.checkpoint and register
        else None,
    }


def _own_run(client: Any, experiment_id: str, found: FoundRun) -> tuple[Any, bool]:
    """The MLflow run that stands for a run on disk, and whether it was made just now."""
    identity = f"{found.kind}:{found.identity}"
    for run in client.search_runs([experiment_id], filter_string=f"tags.`{_RUN}` = '{identity}'", max_results=1):
        return run, False
    tags = {_RUN: identity, "tidegate.import.kind": found.kind, "mlflow.source.name": found.name}
    started = _milliseconds(found.started_seconds)
    return client.create_run(experiment_id, start_time=started, tags=tags, run_name=found.name), True


def _write(client: Any, run: Any, found: FoundRun) -> int:
    """Send what the MLflow run has not; answers how many points that was."""
    from mlflow.entities import Metric, Param, RunTag

    run_id, known = run.info.run_id, run.data.params
    for name, value in found.params.items():
        if name in known and known[name] != value:
            found.faults.append(f"param {name} was {known[name]} and is {value} now; MLflow keeps the first")
    tags = found.tags | {"tidegate.import.faults": "; ".join(found.faults)}
    for batch in _batches([Param(*item) for item in found.params.items() if item[0] not in known], _BATCH_REST):
        client.log_batch(run_id, params=batch)
    for part in _batches([RunTag(name, value[:_LONGEST_TAG]) for name, value in tags.items()], _BATCH_REST):
        client.log_batch(run_id, tags=part)
    missing = _missing(client, run, found.points)
    metrics = [Metric(each.metric, each.value, _milliseconds(each.seconds), each.step) for each in missing]
    for logged in _batches(metrics, _BATCH_METRICS):
        client.log_batch(run_id, metrics=logged)
    for file in model_files(found.checkpoint) if found.checkpoint else []:
        client.log_artifact(run_id, str(file), found.checkpoint.name if found.checkpoint else None)
    return len(missing)


def _missing(client: Any, run: Any, points: Iterable[Point]) -> list[Point]:
    """The points that the MLflow run lacks; the first of several equal ones are taken to be those that are there."""
    there: Counter[tuple[str, int, str]] = Counter()
    for name in run.data.metrics:
        history = client.get_metric_history(run.info.run_id, name)
        there.update(_key(metric.key, metric.step, metric.value) for metric in history)
    missing = []
    for point in dict.fromkeys(points):  # MLflow keeps one of two points that are the same in all, time too
        key = _key(point.metric, point.step, point.value)
        if there[key]:
            there[key] -= 1
        else:
            missing.append(point)
    return missing


def _key(metric: str, step: int, value: float) -> tuple[str, int, str]:
    return metric, step, "nan" if math.isnan(value) else repr(max(-_FARTHEST, min(_FARTHEST, float(value))))


def _register(client: Any, run: Any, path: str, name: str) -> str:
    """The version of a registered model that a checkpoint is, made if it is not there."""
    from mlflow.exceptions import MlflowException

    run_id = run.info.run_id
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.run_id == run_id and version.tags.get(_MODEL) == path:
            return f"models:/{name}/{version.version}"
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{run.info.artifact_uri}/{path}"
    made = client.create_model_version(name, source, run_id=run_id, tags={_MODEL: path})
    return f"models:/{name}/{made.version}"


def _fit_names(found: FoundRun) -> None:
    """Bring names and values into MLflow's limits, and say so where that changes what is kept."""
    names = {name: _fitting(name) for name in dict.fromkeys(point.metric for point in found.points)}
    taken: Counter[str] = Counter()
    for name, fitting in names.items():
        taken[fitting] += 1
        names[name] = f"{fitting}_{taken[fitting]}" if taken[fitting] > 1 else fitting
    found.points = [Point(names[each.metric], each.step, each.seconds, each.value) for each in found.points]
    longer = [name for name, value in found.params.items() if len(value) > _LONGEST_PARAM]
    found.faults += [f"param {name} was cut to {_LONGEST_PARAM} characters" for name in longer]
    found.params = {_fitting(name): value[:_LONGEST_PARAM] for name, value in found.params.items()}
    found.tags = {_fitting(name): value for name, value in found.tags.items()}


def _fitting(name: str) -> str:
    """A name of MLflow's: letters, digits and `_ - . : / space`, and no path that leads elsewhere."""
    plain = posixpath.normpath(re.sub(r"[^\w\-. :/]", "_", name)).lstrip("/.") or "_"
    return plain[:_LONGEST_NAME]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _batches(entries: Sequence[_Entry], size: int) -> Iterator[Sequence[_Entry]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
