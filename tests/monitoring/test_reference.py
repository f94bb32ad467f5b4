"""The reference takes each feature from the split on which nothing was fitted to it, and travels in the bundle."""

from pathlib import Path

import pytest

from monitoring import profiles
from monitoring.features import INPUT, LABEL, NUMERIC
from monitoring.reference import Reference, References, build_reference, load_reference
from tests import bundles
from tests.monitoring.conftest import House
from tidegate.bundle import Bundle
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.errors import BundleCorrupt, BundleNotFound, InvalidInput


def build(bundle: Bundle, folder: Path, training: int, evaluation: int) -> Reference:
    texts = bundles.headlines(training, 1)
    rows = Engine.open(bundle, choose("cpu", ["CPUExecutionProvider"]), threads=1).encode(texts) if texts else []
    records = bundles.predictions(bundle, bundles.headlines(evaluation, 2)) if evaluation else []
    build_reference(bundle.manifest.labels, list(zip(texts, rows, strict=True)), records, folder)
    return Reference.model_validate_json((folder / "drift.json").read_bytes())


def test_input_features_come_from_training_and_the_rest_from_evaluation(house: House, tmp_path: Path) -> None:
    reference = build(house.bundle, tmp_path, training=130, evaluation=60)

    assert {f.name: f.rows for f in reference.features} == {
        name: 130 if name in INPUT else 60 for name in (*NUMERIC, LABEL)
    }
    profile = profiles.deserialize((tmp_path / "reference.bin").read_bytes())
    assert profiles.row_count(profile, "chars") == 130
    assert profiles.row_count(profile, LABEL) == 60
    assert b"quarterly" not in (tmp_path / "reference.bin").read_bytes()


def test_few_evaluation_rows_give_a_reference_that_claims_nothing(house: House, tmp_path: Path) -> None:
    reference = build(house.bundle, tmp_path, training=80, evaluation=20)

    assert reference.features
    assert reference.calibration.sizes == ()


@pytest.mark.parametrize(("training", "evaluation"), [(0, 60), (60, 0)])
def test_no_texts_are_refused(house: House, tmp_path: Path, training: int, evaluation: int) -> None:
    with pytest.raises(InvalidInput, match=f"{training} training texts and {evaluation} evaluation"):
        build(house.bundle, tmp_path, training, evaluation)


def test_a_published_bundle_carries_it(house: House) -> None:
    references = References(house.bundles)

    assert references.get("sentiment", 1) == load_reference(house.bundle)
    assert references.get("sentiment", 1) is references.get("sentiment", 1)
    with pytest.raises(BundleNotFound):
        references.get("sentiment", 2)


def test_a_reference_of_another_schema_is_refused_by_file_name(house: House) -> None:
    house.bundle.file("drift.json").write_text('{"schema_version": 9}')

    with pytest.raises(BundleCorrupt, match=r"drift\.json"):
        load_reference(house.bundle)
