"""Every run of the registry in a few words each, newest first, registered or not: what a list of runs is made of.

After `sources`, which opens MLflow; `run_documents` has the whole of a run. Limits: the newest thousand; deleted runs
and deleted experiments are not among them.
"""

from functools import partial
from typing import Any

from exporters.sources import data_sets, every, registry

MOST_RUNS = 1_000


def all_runs(tracking_uri: str) -> list[dict[str, Any]]:
    """Every run, newest first.

    Returns:
        `summary` of each, and `metrics`, and `registered`: URIs of the model versions that were made from it.

    Raises:
        RunNotFound: the registry does not answer.
    """
    with registry(tracking_uri, "the registry") as mlflow:
        client = mlflow.MlflowClient()
        experiments = {one.experiment_id: one.name for one in every(client.search_experiments)}
        runs = client.search_runs(list(experiments), max_results=MOST_RUNS, order_by=["attributes.start_time DESC"])
        registered: dict[str, list[str]] = {}
        for version in every(partial(client.search_model_versions, max_results=MOST_RUNS)):
            registered.setdefault(version.run_id, []).append(f"models:/{version.name}/{version.version}")
        return [
            summary(run, experiments[run.info.experiment_id])
            | {"metrics": dict(run.data.metrics), "registered": registered.get(run.info.run_id, [])}
            for run in runs
        ]


def summary(run: Any, experiment: str) -> dict[str, Any]:
    """What an MLflow run is.

    Args:
        run: MLflow's.
        experiment: name of the one that it belongs to.

    Returns:
        `{"run_id", "name", "status", "started_seconds", "ended_seconds", "experiment", "datasets"}`, times in Unix
        seconds; a data set is `{"name", "digest", "context"}`.
    """
    return {
        "run_id": run.info.run_id,
        "name": run.info.run_name or run.info.run_id[:8],
        "status": run.info.status,
        "started_seconds": run.info.start_time / 1000,
        "ended_seconds": run.info.end_time / 1000 if run.info.end_time else None,
        "experiment": experiment,
        "datasets": data_sets(run),
    }
