"""The verification set is a fair sample however much of it is taken, and survives the file."""

from pathlib import Path

import numpy as np
import pytest

from exporters.verification import FILE, MAX_TEXTS, Verification, draw, read, write
from tests import bundles
from tidegate.bundle import Bundle, load_bundle
from tidegate.bundle_store import BundleStore
from tidegate.errors import BundleCorrupt

ROWS = [(f"text {index}", "common" if index % 5 else "rare") for index in range(2000)]
SOURCE = np.linspace(0, 1, 4000).reshape(2000, 2)


def test_every_beginning_of_the_sample_has_the_labels_in_proportion() -> None:
    drawn = draw(ROWS, SOURCE, 0.005)

    assert len(drawn.texts) == MAX_TEXTS
    assert len(set(drawn.texts)) == MAX_TEXTS
    for count in (20, 64, 100, 512):
        assert drawn.labels[:count].count("rare") / count == pytest.approx(0.2, abs=1 / count)


def test_the_sample_is_seeded_and_keeps_text_label_and_answer_together() -> None:
    drawn = draw(ROWS, SOURCE, 0.005)

    assert drawn == draw(ROWS, SOURCE, 0.005)
    assert drawn.texts != draw(ROWS, SOURCE, 0.005, seed=1).texts
    for text, label, answer in zip(drawn.texts, drawn.labels, drawn.source, strict=True):
        index = int(text.split()[1])
        assert label == ROWS[index][1]
        assert answer == pytest.approx(SOURCE[index], abs=1e-6)


def test_few_rows_are_all_taken() -> None:
    assert sorted(draw(ROWS[:7], SOURCE[:7], 0.0).texts) == [text for text, _ in ROWS[:7]]


def test_it_survives_the_bundle_and_is_covered_by_the_digests(tmp_path: Path) -> None:
    bundle = bundles.wordpieces(BundleStore(tmp_path))

    known = read(bundle)
    assert known is not None
    assert len(known.texts) == 150
    assert known.max_accuracy_drop == 0.005
    assert FILE in bundle.manifest.files
    content = bundle.file(FILE).read_bytes()
    bundle.file(FILE).write_bytes(content.replace(b"profit", b"profut", 1))
    with pytest.raises(BundleCorrupt, match=r"verification\.json is not what was published"):
        load_bundle(bundle.path)


def test_a_bundle_from_before_has_none_and_loads(tmp_path: Path) -> None:
    bundle = bundles.wordpieces(BundleStore(tmp_path), verification_set=False)

    assert read(load_bundle(bundle.path)) is None


def test_a_file_that_is_no_verification_set_is_corrupt_by_name(tmp_path: Path) -> None:
    manifest = bundles.wordpieces(BundleStore(tmp_path / "store")).manifest
    (tmp_path / FILE).write_text('{"texts": ["a"], "labels": [], "source": [], "max_accuracy_drop": 0}')

    with pytest.raises(BundleCorrupt, match=r"verification\.json is no verification set.*not of one length"):
        read(Bundle(tmp_path, manifest))


def test_the_yardstick_knows_the_fallback_label(tmp_path: Path) -> None:
    bundle = bundles.sentiment(BundleStore(tmp_path / "store"), threshold=0.6, fallback="unsure")
    drawn = Verification(texts=("a",), labels=("unsure",), source=((0.4, 0.3, 0.3),), max_accuracy_drop=0.1)
    write(drawn, tmp_path)

    yard = drawn.yardstick(bundle.manifest)
    assert yard.labels == (*bundles.LABELS, "unsure")
    assert (yard.classes, yard.max_accuracy_drop) == (bundles.LABELS, 0.1)
