"""What somebody who trains does to a registry; runs in the export environment: `registry_steps.py URI STEP [ARGUMENT]`.

Steps: `register` logs and registers a version of `headlines` (ARGUMENT `pickle`: one that export refuses, `twice`: two
versions of one run); `alias VERSION` points `live` at a version.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import mlflow  # in the export environment alone

from tests.exporters.models import EVALUATION, TRAINING, fitted, write_rows

warnings.simplefilter("ignore")


def register(uri: str, how: str) -> None:
    """Log a run with its splits, and register its model."""
    folder = Path(uri.removeprefix("sqlite:///")).parent
    if mlflow.get_experiment_by_name("tests") is None:
        mlflow.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment("tests")
    form = "cloudpickle" if how == "pickle" else "skops"
    with mlflow.start_run(), tempfile.TemporaryDirectory() as splits:
        for name, rows in (("training", TRAINING), ("evaluation", EVALUATION)):
            mlflow.log_artifact(str(write_rows(Path(splits) / f"{name}.csv", rows)), "data")
        for number in range(2 if how == "twice" else 1):
            logged = mlflow.sklearn.log_model(
                fitted(), name=f"model-{number}", serialization_format=form, pip_requirements=["scikit-learn"]
            )
            mlflow.register_model(logged.model_uri, "headlines")


def main(uri: str, step: str, argument: str = "") -> None:
    """Take one step."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    if step == "register":
        register(uri, argument)
    else:
        mlflow.MlflowClient().set_registered_model_alias("headlines", "live", argument)


if __name__ == "__main__":
    main(*sys.argv[1:])
