"""Training runs: what a run was trained with, and what was trained from it since. For `tidegate retrain`.

`fetch_parent` copies a run's splits and reads its recipe; `find_trained` finds the run of a retraining by the tag that
every run which starts under it carries, so that a retraining that was killed is not done twice.
Before: a run in MLflow, or a directory; after: `monitoring.labels.data_sets`, then `pipeline`.
"""

import json
from pathlib import Path
from shutil import copyfile
from typing import Any

from exporters.sources import registry, show_run
from tidegate.errors import RunNotFound

SPLITS = ("training", "validation", "evaluation")
RECIPE_TAG = "tidegate.recipe"
RETRAINING_TAG = "tidegate.retraining"


def fetch_parent(uri: str, tracking_uri: str, target: Path) -> dict[str, Any]:
    """Copy a run's splits into `target` as `<split>.csv`.

    Returns:
        splits (names of those that it has) and recipe (script and options, or None).

    Raises:
        RunNotFound: there is no such run or directory.
    """
    target.mkdir(parents=True, exist_ok=True)
    if not uri.startswith(("models:", "runs:")):
        return _of_directory(Path(uri), target)
    run_id = str(show_run(uri, tracking_uri)["run_id"])
    with registry(tracking_uri, uri) as mlflow:
        client = mlflow.MlflowClient()
        logged = {entry.path for entry in client.list_artifacts(run_id, "data")}
        found = [name for name in SPLITS if f"data/{name}.csv" in logged]
        for name in found:
            place = f"data/{name}.csv"
            file = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=place, dst_path=str(target / "run"))
            Path(file).replace(target / f"{name}.csv")
        recipe = client.get_run(run_id).data.tags.get(RECIPE_TAG)
    return {"splits": found, "recipe": json.loads(recipe) if recipe else None}


def find_trained(token: str, register: str, tracking_uri: str) -> dict[str, Any] | None:
    """The finished run of a retraining; registers its model where the process that trained it did not get that far.

    Args:
        token: of the retraining, the value of its tag.
        register: name to register under; empty for not at all.
        tracking_uri: of the store.

    Returns:
        run_id and run (a URI to export), or None where there is none yet; runs that were cut off are marked as killed.
    """
    with registry(tracking_uri, "the run of this retraining") as mlflow:
        client = mlflow.MlflowClient()
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = client.search_runs(experiments, f"tags.`{RETRAINING_TAG}` = '{token}'", order_by=["start_time DESC"])
        for run in runs:
            if run.info.status == "RUNNING":
                client.set_terminated(run.info.run_id, "KILLED")
        for run in runs:
            uri = _model_of(mlflow, client, run, experiments, register) if run.info.status == "FINISHED" else None
            if uri is not None:
                return {"run_id": run.info.run_id, "run": uri}
    return None


def _model_of(mlflow: Any, client: Any, run: Any, experiments: list[str], register: str) -> str | None:
    versions = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    named = [version for version in versions if not register or version.name == register]
    if named:
        return f"models:/{named[0].name}/{named[0].version}"
    models = client.search_logged_models(experiments, f"source_run_id = '{run.info.run_id}'")
    if not models:
        return None
    if not register:
        return str(models[0].model_uri)
    version = mlflow.register_model(models[0].model_uri, register)
    return f"models:/{register}/{version.version}"


def _of_directory(folder: Path, target: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise RunNotFound(f"no directory {str(folder)!r}, which the live version was exported from; export it again")
    found = [name for name in SPLITS if (folder / f"{name}.csv").is_file()]
    for name in found:
        copyfile(folder / f"{name}.csv", target / f"{name}.csv")
    return {"splits": found, "recipe": None}
