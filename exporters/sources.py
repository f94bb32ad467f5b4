"""Fetches a run: its model files, splits and lineage. Opens MLflow for this room.

Accepts `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `models:/m-ID`, `runs:/ID/PATH` and a directory. MLflow 3
keeps models beside their runs (`models:/m-...`), older stores under the run's artifacts; both resolve. After
this, `convert` works on plain folders, and `training_runs` finds parents and what was trained from them. Limits:
artifacts are copied whole into the working folder.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from exporters.layouts import Layout, recognise
from tidegate.bundle import DEMO, Lineage
from tidegate.errors import RunNotFound, UsageError

_FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN_ID/PATH, or a directory"
_MODEL_ALIAS = re.compile(r"models:/([^/@]+)@([^/@]+)")
_MODEL_VERSION = re.compile(r"models:/([^/@]+)/(\d+)")
_LOGGED_MODEL = re.compile(r"models:/(m-[0-9a-f]+)")
_RUN = re.compile(r"runs:/([^/]+)/(.+)")
# Artifacts of a run beside its model, in the order of `Run`; in a directory they stand beside the model's files.
_FILES = {
    "training": "data/training.csv",
    "evaluation": "data/evaluation.csv",
    "behaviour": "behaviour.yaml",
    "demo": DEMO,
}
_GIT_COMMIT = "mlflow.source.git.commit"


@dataclass(frozen=True, slots=True)
class Run:
    """A fetched run.

    Attributes:
        layout: what its model folder holds.
        lineage: where it comes from; packages are added by the pipeline.
        training: CSV (text, label) of its training split, if the run logged one.
        evaluation: CSV (text, label) of its evaluation split, if the run logged one.
        behaviour: YAML of its behavioural tests, if the run logged one.
        demo: its own demo page, if it logged one: data here, never run.
    """

    layout: Layout
    lineage: Lineage
    training: Path | None
    evaluation: Path | None
    behaviour: Path | None = None
    demo: Path | None = None


def fetch_run(uri: str, tracking_uri: str, work: Path) -> Run:
    """Copy a run's model and splits into `work`.

    Raises:
        RunNotFound: the registry has no such model, version, alias, run or path.
        UsageError: not a form that names a run.
        UnsupportedSource: it holds nothing that can be exported.
    """
    if not uri.startswith(("models:", "runs:")):
        return _fetch_directory(uri)
    if not any(form.fullmatch(uri) for form in (_MODEL_ALIAS, _MODEL_VERSION, _LOGGED_MODEL, _RUN)):
        raise UsageError(f"{uri!r} does not name a run; use {_FORMS}")
    with registry(tracking_uri, uri) as mlflow:
        run_id = run_id_of(mlflow.MlflowClient(), uri)
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(work / "model")))
        layout = recognise(folder)
        logged = _logged_run(mlflow.MlflowClient(), run_id or layout.run_id)
        files = _download_files(mlflow, logged.info.run_id, work) if logged else {}
        return Run(layout, _lineage(uri, logged, layout), *(files.get(name) for name in _FILES))


def list_runs(tracking_uri: str) -> list[dict[str, Any]]:
    """Registered model versions, newest first: uri, name, version, aliases, run_id, metrics."""
    with registry(tracking_uri, "the registry") as mlflow:
        client = mlflow.MlflowClient()
        found: list[dict[str, Any]] = []
        for model in every(client.search_registered_models):
            aliases: dict[str, list[str]] = {}
            for alias, version in model.aliases.items():
                aliases.setdefault(str(version), []).append(alias)
            versions = every(partial(client.search_model_versions, f"name = '{model.name}'"))
            found += [_describe(client, version, aliases.get(str(version.version), [])) for version in versions]
        return sorted(found, key=lambda row: -row["created_at_seconds"])


def show_run(uri: str, tracking_uri: str) -> dict[str, Any]:
    """Params, metrics, tags and data sets of the run behind a URI.

    Raises:
        RunNotFound: there is none.
        UsageError: not a form that names a run.
    """
    if not any(form.fullmatch(uri) for form in (_MODEL_ALIAS, _MODEL_VERSION, _LOGGED_MODEL, _RUN)):
        raise UsageError(f"{uri!r} does not name a run in the registry; use {_FORMS.rpartition(', or')[0]}")
    with registry(tracking_uri, uri) as mlflow:
        run = mlflow.get_run(run_id_of(mlflow.MlflowClient(), uri))
        return {
            "uri": uri,
            "run_id": run.info.run_id,
            "status": run.info.status,
            "params": dict(run.data.params),
            "metrics": dict(run.data.metrics),
            "git_commit": run.data.tags.get(_GIT_COMMIT, ""),
            "datasets": data_sets(run),
        }


def pointed_at(uri: str, tracking_uri: str) -> tuple[str, str]:
    """The version that `models:/NAME@ALIAS` points at now, as `models:/NAME/VERSION`, and its run (empty if unknown).

    Raises:
        RunNotFound: there is no such model or alias, or the registry does not answer.
        UsageError: not an alias of a registered model.
    """
    match = _MODEL_ALIAS.fullmatch(uri)
    if match is None:
        raise UsageError(f"{uri!r} does not name an alias; use models:/NAME@ALIAS")
    with registry(tracking_uri, uri) as mlflow:
        version = mlflow.MlflowClient().get_model_version_by_alias(match[1], match[2])
        return f"models:/{match[1]}/{version.version}", version.run_id or ""


def every(search: Callable[..., Any]) -> Iterator[Any]:
    """What a search finds, on all its pages."""
    token: str | None = None
    while True:
        page = search(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _logged_run(client: Any, run_id: str) -> Any:
    """The run of that id; None where it is gone, which its models may outlive, or where there never was one."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _describe(client: Any, version: Any, aliases: list[str]) -> dict[str, Any]:
    run = _logged_run(client, version.run_id)
    metrics = run.data.metrics if run else {}
    return {
        "uri": f"models:/{version.name}/{version.version}",
        "name": version.name,
        "version": int(version.version),
        "aliases": sorted(aliases),
        "run_id": version.run_id or "",
        "created_at_seconds": version.creation_timestamp / 1000,
        "metrics": {name: value for name, value in metrics.items() if name.startswith("evaluation_")},
    }


def _fetch_directory(uri: str) -> Run:
    folder = Path(uri)
    if not folder.is_dir():
        raise RunNotFound(f"no directory {uri!r}; name a run as {_FORMS}")
    layout = recognise(folder)
    lineage = Lineage(source_uri=str(folder.absolute()), run_id=layout.run_id, flavour=layout.flavour)
    files = [folder / Path(place).name for place in _FILES.values()]
    return Run(layout, lineage, *(file if file.is_file() else None for file in files))


@contextmanager
def registry(tracking_uri: str, uri: str) -> Iterator[Any]:
    """MLflow, pointed at the store; its errors become RunNotFound, which names `uri`."""
    database = Path(tracking_uri.removeprefix("sqlite:///"))
    if tracking_uri.startswith("sqlite:///") and not database.is_file():
        raise RunNotFound(f"{uri}: there is no MLflow store at {database}; train a run, or set MLFLOW_TRACKING_URI")
    mlflow = opened(tracking_uri)
    from mlflow.exceptions import MlflowException

    try:
        yield mlflow
    except (MlflowException, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise RunNotFound(f"{uri} cannot be fetched: {reason}; `tidegate runs list` shows what there is") from error


def opened(tracking_uri: str) -> Any:
    """The module `mlflow`, pointed at a store, which it makes where there is none."""
    # Its progress bars are for a person who waits, not for a log file.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "true" if sys.stderr.isatty() else "false")
    # Seven with growing pauses is its default: minutes, before somebody learns that the address is wrong.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    import mlflow

    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    return mlflow


def run_id_of(client: Any, uri: str) -> str:
    """The run behind a URI; empty where a model version was registered without one."""
    if match := _MODEL_ALIAS.fullmatch(uri):
        return client.get_model_version_by_alias(match[1], match[2]).run_id or ""
    if match := _MODEL_VERSION.fullmatch(uri):
        return client.get_model_version(match[1], match[2]).run_id or ""
    if match := _LOGGED_MODEL.fullmatch(uri):
        return client.get_logged_model(match[1]).source_run_id or ""
    match = _RUN.fullmatch(uri)
    return client.get_run(match[1]).info.run_id if match else ""


def _download_files(mlflow: Any, run_id: str, work: Path) -> dict[str, Path]:
    """What the run logged of `_FILES`."""
    client, target = mlflow.MlflowClient(), str(work / "files")
    logged = {entry.path for folder in (None, "data") for entry in client.list_artifacts(run_id, folder)}
    return {
        name: Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=place, dst_path=target))
        for name, place in _FILES.items()
        if place in logged
    }


def _lineage(uri: str, run: Any, layout: Layout) -> Lineage:
    if run is None:
        return Lineage(source_uri=uri, flavour=layout.flavour)
    used = _datasets(run)
    return Lineage(
        source_uri=uri,
        run_id=run.info.run_id,
        flavour=layout.flavour,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        git_commit=run.data.tags.get(_GIT_COMMIT, ""),
        dataset_name=used[0].dataset.name if used else "",
        dataset_digest=used[0].dataset.digest if used else "",
    )


def data_sets(run: Any) -> list[dict[str, str]]:
    """Name, digest and context (as `training`) of the data sets that an MLflow run logged, the training one first."""
    return [
        {"name": used.dataset.name, "digest": used.dataset.digest, "context": _context(used)} for used in _datasets(run)
    ]


def _datasets(run: Any) -> list[Any]:
    """Its data sets, the training one first; the store returns them in any order."""
    return sorted(run.inputs.dataset_inputs, key=lambda used: (_context(used) != "training", _context(used)))


def _context(used: Any) -> str:
    return next((str(tag.value) for tag in used.tags if tag.key == "mlflow.data.context"), "")
