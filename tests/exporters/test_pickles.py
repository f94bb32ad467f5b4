import json
import os
from pathlib import Path

import joblib
import pytest
import skops.io

from exporters.layouts import Layout, recognise
from exporters.pickles import load_pipeline
from tests.exporters.models import LABELS, fitted, plain_folder
from tidegate.errors import UnsupportedSource, UntrustedPickle


class Exploit:
    """Runs a command when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_is_not_even_opened_without_trust(tmp_path: Path) -> None:
    folder = plain_folder(tmp_path / "m")
    joblib.dump(Exploit(tmp_path / "ran"), folder / "vectorizer.pkl")
    with pytest.raises(UntrustedPickle, match=r"vectorizer\.pkl is a pickle.*--trust-pickle"):
        load_pipeline(recognise(folder), trust_pickle=False)
    assert not (tmp_path / "ran").exists()


def test_the_plain_layout_takes_its_labels_from_the_encoder(tmp_path: Path) -> None:
    pipeline, labels = load_pipeline(recognise(plain_folder(tmp_path / "m")), trust_pickle=True)
    assert labels == tuple(reversed(LABELS))
    assert pipeline.predict_proba(["profit rose"]).shape == (1, 3)


@pytest.mark.parametrize("encoder", ['{"class_to_index": {"a": 0}}', '{"classes": []}', "[]", "not json"])
def test_an_encoder_that_does_not_fit_is_refused(tmp_path: Path, encoder: str) -> None:
    folder = plain_folder(tmp_path / "m")
    (folder / "label_encoder.json").write_text(encoder)
    with pytest.raises(UnsupportedSource, match=r"label_encoder\.json"):
        load_pipeline(recognise(folder), trust_pickle=True)


def test_skops_files_need_no_trust(tmp_path: Path) -> None:
    skops.io.dump(fitted(), tmp_path / "model.skops")
    pipeline, labels = load_pipeline(Layout("sklearn", tmp_path / "model.skops", tmp_path), trust_pickle=False)
    assert labels == LABELS
    assert pipeline.predict(["profit rose"])[0] in LABELS


def test_a_skops_file_with_a_foreign_type_is_refused_by_its_name(tmp_path: Path) -> None:
    pipeline = fitted()
    pipeline[-1].extra_ = Exploit(tmp_path / "ran")
    skops.io.dump(pipeline, tmp_path / "model.skops")
    with pytest.raises(UntrustedPickle, match=r"test_pickles\.Exploit|posix\.system"):
        load_pipeline(Layout("sklearn", tmp_path / "model.skops", tmp_path), trust_pickle=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pkl", ".skops"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"model{suffix}"
    file.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(UnsupportedSource, match="cannot be loaded"):
        load_pipeline(Layout("sklearn", file, tmp_path), trust_pickle=True)


def test_something_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    joblib.dump(json.loads("{}"), tmp_path / "model.pkl")
    with pytest.raises(UnsupportedSource, match=r"dict in model\.pkl has no classes_"):
        load_pipeline(Layout("sklearn", tmp_path / "model.pkl", tmp_path), trust_pickle=True)
