"""Against a real MLflow store: SQLite, models logged the MLflow 3 way and under a run's artifacts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from exporters.sources import fetch_run, list_runs, show_run
from tests.exporters.models import EVALUATION, TRAINING, fitted, plain_folder, write_rows
from tidegate.errors import RunNotFound, UnsupportedSource, UsageError

# MLflow 3.17 on SQLAlchemy 2.1 and pandas 3.1: what it calls there is deprecated, not wrong; and it warns about
# its own type hints when its pyfunc module is imported.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:Starting with pandas version 4.0 all arguments"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]


@dataclass(frozen=True)
class Registry:
    uri: str
    run_id: str
    old_run_id: str
    model_uri: str


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment("tests")
    options = {"pip_requirements": ["scikit-learn"], "serialization_format": "skops"}
    with mlflow.start_run(tags={"mlflow.source.git.commit": "c0ffee"}) as run:
        mlflow.log_params({"alpha": 1e-5})
        mlflow.log_metric("evaluation_accuracy", 0.75)
        frame = pd.DataFrame(TRAINING, columns=["text", "label"])
        mlflow.log_input(mlflow.data.from_pandas(frame, name="headlines"), context="training")
        for name, rows in (("training", TRAINING), ("evaluation", EVALUATION)):
            mlflow.log_artifact(str(write_rows(folder / f"{name}.csv", rows)), "data")
        mlflow.log_text("examples: [{text: x, label: positive}]", "behaviour.yaml")
        mlflow.log_text("raise SystemExit", "demo.py")
        logged = mlflow.sklearn.log_model(fitted(), name="model", metadata={"threshold": 0.4}, **options)
    mlflow.register_model(logged.model_uri, "headlines")
    mlflow.MlflowClient().set_registered_model_alias("headlines", "champion", 1)
    with mlflow.start_run() as old:  # how MLflow 2 kept models: under the run's own artifacts
        mlflow.sklearn.save_model(fitted(), str(folder / "saved"), **options)
        mlflow.log_artifacts(str(folder / "saved"), "nested/model")
        mlflow.log_text("hello", "notes/readme.txt")
    yield Registry(uri, run.info.run_id, old.info.run_id, logged.model_uri)
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


@pytest.mark.parametrize(
    "form", ["models:/headlines@champion", "models:/headlines/1", "{model_uri}", "runs:/{run_id}/model"]
)
def test_every_form_of_uri_finds_the_same_run(registry: Registry, tmp_path: Path, form: str) -> None:
    uri = form.format(run_id=registry.run_id, model_uri=registry.model_uri)
    run = fetch_run(uri, registry.uri, tmp_path)
    assert run.layout.flavour == "sklearn"
    assert run.layout.threshold == 0.4
    assert run.training is not None
    assert run.behaviour is not None
    assert run.behaviour.read_text().startswith("examples:")
    assert run.demo is not None
    assert run.demo.read_text() == "raise SystemExit"
    assert run.evaluation is not None
    assert run.evaluation.read_text().count("\n") > len(EVALUATION)
    lineage = run.lineage
    assert (lineage.source_uri, lineage.run_id, lineage.git_commit) == (uri, registry.run_id, "c0ffee")
    assert (lineage.params["alpha"], lineage.metrics["evaluation_accuracy"]) == ("1e-05", 0.75)
    assert lineage.dataset_name == "headlines"
    assert len(lineage.dataset_digest) == 8


def test_the_older_run_artifact_layout_resolves(registry: Registry, tmp_path: Path) -> None:
    run = fetch_run(f"runs:/{registry.old_run_id}/nested/model", registry.uri, tmp_path)
    assert run.layout.model.name == "model.skops"
    assert run.lineage.run_id == registry.old_run_id
    assert run.evaluation is None


@pytest.mark.parametrize(
    "form",
    [
        "models:/nobody@champion",
        "models:/headlines@canary",
        "models:/headlines/7",
        "models:/m-00000000000000000000000000000000",
        "runs:/{run_id}/elsewhere",
        "runs:/0123456789abcdef0123456789abcdef/model",
    ],
)
def test_what_is_not_there_is_not_found(registry: Registry, tmp_path: Path, form: str) -> None:
    with pytest.raises(RunNotFound, match="tidegate runs list"):
        fetch_run(form.format(run_id=registry.run_id), registry.uri, tmp_path)


@pytest.mark.parametrize("uri", ["models:/headlines", "models:headlines/1", "runs:/abc", "models:/a/b/c"])
def test_half_a_uri_is_a_usage_error_that_names_the_forms(registry: Registry, tmp_path: Path, uri: str) -> None:
    with pytest.raises(UsageError, match="models:/NAME@ALIAS"):
        fetch_run(uri, registry.uri, tmp_path)


def test_artifacts_that_are_no_model_are_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedSource, match=r"readme\.txt"):
        fetch_run(f"runs:/{registry.old_run_id}/notes", registry.uri, tmp_path)


def test_a_store_that_is_not_there_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="no MLflow store"):
        fetch_run("models:/a@b", f"sqlite:///{tmp_path / 'none.db'}", tmp_path)
    assert not (tmp_path / "none.db").exists()


def test_a_directory_brings_its_splits(tmp_path: Path) -> None:
    run = fetch_run(str(plain_folder(tmp_path / "m")), "", tmp_path)
    assert run.lineage.flavour == "pickles"
    assert run.evaluation == tmp_path / "m" / "evaluation.csv"
    with pytest.raises(RunNotFound, match="no directory"):
        fetch_run(str(tmp_path / "none"), "", tmp_path)


def test_the_registry_is_listed_and_shown(registry: Registry) -> None:
    (row,) = list_runs(registry.uri)
    assert (row["uri"], row["aliases"], row["run_id"]) == ("models:/headlines/1", ["champion"], registry.run_id)
    shown = show_run("models:/headlines@champion", registry.uri)
    assert shown["datasets"][0]["context"] == "training"
    with pytest.raises(UsageError):
        show_run("/some/folder", registry.uri)


def test_a_model_outlives_its_run(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: object, run_id: str) -> None:
        raise MlflowException(f"Run with id={run_id} not found", RESOURCE_DOES_NOT_EXIST)

    monkeypatch.setattr(mlflow.MlflowClient, "get_run", gone)
    (row,) = list_runs(registry.uri)
    assert (row["uri"], row["metrics"]) == ("models:/headlines/1", {})
    run = fetch_run("models:/headlines@champion", registry.uri, tmp_path)
    assert (run.layout.flavour, run.training, run.evaluation) == ("sklearn", None, None)
    assert (run.lineage.run_id, run.lineage.metrics) == ("", {})


def test_every_page_of_the_registry_is_read(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    search = mlflow.MlflowClient.search_registered_models
    client = mlflow.MlflowClient(registry.uri, registry.uri)
    client.create_registered_model("another")
    client.create_model_version("another", registry.model_uri, run_id=registry.run_id)
    monkeypatch.setattr(
        mlflow.MlflowClient,
        "search_registered_models",
        lambda *args, **options: search(*args, **options, max_results=1),
    )
    try:
        assert {row["name"] for row in list_runs(registry.uri)} == {"headlines", "another"}
    finally:
        client.delete_registered_model("another")
