"""The training scripts as a user runs them, and the exports of what they registered."""

import importlib
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io

from exporters.texts import read_rows
from tests.exporters.models import write_rows
from tidegate.cli.children import train_example
from tidegate.cli.export import export_run
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.errors import UsageError
from tidegate.settings import Settings
from tidegate.tasks import decide

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = Path(__file__).parents[3] / "shared" / "data" / "financial_phrasebank.csv"


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def files(home: Path, pattern: str) -> list[Path]:
    return sorted((home / "mlflow" / "artifacts").rglob(pattern))


def run_of(home: Path, run: str) -> dict[str, Any]:
    code = "import sys, json; from exporters.sources import show_run; print(json.dumps(show_run(*sys.argv[1:])))"
    uri = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    done = subprocess.run([sys.executable, "-c", code, run, uri], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


@pytest.mark.slow
def test_tfidf_is_trained_logged_registered_and_exported_with_the_same_labels(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, export_python=sys.executable)
    arguments = ["--rows", "400", "--epochs", "3", "--analyzer", "word", "--ngrams", "1", "2", "--seed", "7"]
    trained = train_example(settings, "train_tfidf.py", [*arguments, "--register", "news", "--alias", "champion"])
    assert trained["run"] == "models:/news@champion"
    shown = run_of(tmp_path, trained["run"])
    assert shown["params"]["seed"] == "7"
    assert {"train_loss", "validation_loss", "evaluation_accuracy", "evaluation_f1-score/neutral"} <= set(
        shown["metrics"]
    )
    assert {entry["context"] for entry in shown["datasets"]} == {"training", "validation", "evaluation"}
    names = {file.name for file in files(tmp_path, "*")}
    assert {"confusion_matrix.png", "confusion_matrix.json", "training-profile.bin", "evaluation.csv"} <= names

    manifest = (bundle := export_run(settings, trained["run"], "news")).manifest
    assert manifest.postprocessing.threshold == pytest.approx(shown["metrics"]["threshold"])
    assert manifest.lineage.dataset_digest == shown["datasets"][0]["digest"]
    assert manifest.evidence[0].source_accuracy == pytest.approx(shown["metrics"]["evaluation_accuracy"])

    texts = [text for text, _ in read_rows(files(tmp_path, "evaluation.csv")[0])]
    pipeline = skops.io.load(files(tmp_path, "model.skops")[0], trusted=[])
    source = pipeline.predict_proba(texts)
    answers = Engine.open(bundle, choose("cpu", ()), variant="fp32").classify(texts)
    np.testing.assert_allclose(answers, source, atol=1e-5)
    labels = [decide(row.tolist(), manifest.labels, manifest.postprocessing).label for row in answers]
    assert labels == [decide(row.tolist(), manifest.labels, manifest.postprocessing).label for row in source]


@pytest.mark.slow
def test_texts_stay_out_of_the_statistics(tmp_path: Path) -> None:
    rows = [
        (f"Zebrafisch number {index} {word}", label)
        for index in range(12)
        for word, label in (("up", "a"), ("down", "b"))
    ]
    data = write_rows(tmp_path / "rows.csv", rows)
    done = script("train_tfidf.py", "--data", str(data), "--home", str(tmp_path / "home"), "--epochs", "1")
    assert done.returncode == 0, done.stderr
    profiles = files(tmp_path / "home", "*-profile.bin")
    assert len(profiles) == 3
    assert not any(b"Zebrafisch" in profile.read_bytes() for profile in profiles)


@pytest.mark.parametrize("name", ["train_tfidf.py", "finetune_transformer.py"])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "no column 'text'"),
        ("text,label\n", "no rows"),
        ("sentence,label\na,b\n", "no column 'text'; it has: sentence, label"),
        ("text,label\na,x\nb,x\nc,x\n", "has 1 class; a classifier needs at least 2"),
        ("text,label\na,x\nb,x\nc,x\nd,y\ne,y\n", "class 'y' has 2 row(s)"),
        ("text,label\n ,x\n", "line 2: the text is empty"),
    ],
)
def test_bad_data_is_one_clear_line_and_exit_2(tmp_path: Path, name: str, rows: str, message: str) -> None:
    data = tmp_path / "rows.csv"
    data.write_text(rows)
    done = script(name, "--data", str(data), "--home", str(tmp_path / "home"))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train_tfidf.py", ["--data", "nowhere.csv"], "cannot read nowhere.csv"),
        ("train_tfidf.py", ["--alias", "champion"], "needs --register"),
        ("train_tfidf.py", ["--threshold", "1.5"], "invalid"),
        ("train_tfidf.py", ["--rows", "3"], "--rows 3"),
        ("finetune_transformer.py", ["--encoder", "nowhere"], "--encoder nowhere"),
    ],
)
def test_bad_options_exit_2(tmp_path: Path, name: str, arguments: list[str], message: str) -> None:
    done = script(name, *arguments, "--home", str(tmp_path / "home"))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("max_steps", "epochs", "expected"), [(-1, 4.0, 50), (-1, 0.5, 4), (-1, 1.0, 7), (6, 4.0, 6), (80, 0.1, 50)]
)
def test_at_least_the_last_step_is_evaluated(
    monkeypatch: pytest.MonkeyPatch, max_steps: int, epochs: float, expected: int
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    steps = importlib.import_module("finetune_transformer").steps_between_evaluations
    rows = 200 if expected < 50 else 2000
    assert steps(Namespace(eval_steps=50, max_steps=max_steps, epochs=epochs, batch_size=32), rows) == expected


def test_the_home_folder_is_the_configured_one_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code = "import recipe, tracking; tracking.start_run(recipe.options('', threshold='none').parse_args([]), 'test')"
    subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES, check=True)
    assert (tmp_path / "home" / "mlflow" / "mlflow.db").is_file()
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_the_scripts_own_error_reaches_the_parent(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, export_python=sys.executable)
    with pytest.raises(UsageError, match="--rows 1: make up at least 50"):
        train_example(settings, "train_tfidf.py", ["--rows", "1"])


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_file(), reason=f"needs {DATA.name} in the folder shared/data beside the checkout")
def test_the_packaged_minilm_is_tuned_and_served_with_the_source_models_labels(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, export_python=sys.executable)
    data = write_rows(tmp_path / "rows.csv", read_rows(DATA)[::14])
    arguments = ["--data", str(data), "--max-steps", "6", "--eval-steps", "3", "--freeze-layers", "4"]
    trained = train_example(settings, "finetune_transformer.py", [*arguments, "--register", "news", "--alias", "best"])
    shown = run_of(tmp_path, trained["run"])
    assert {"train_loss", "validation_loss", "validation_macro_f1"} <= set(shown["metrics"])
    bundle = export_run(settings, trained["run"], "news")
    fp32 = bundle.manifest.evidence[0]
    assert (fp32.variant, fp32.agreement) == ("fp32", 1.0)
    assert fp32.max_abs_error < 1e-4
    assert fp32.source_accuracy == pytest.approx(shown["metrics"]["evaluation_accuracy"])
