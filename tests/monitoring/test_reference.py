"""The reference takes each feature from the split on which nothing was fitted to it, and travels in the bundle."""

import numpy as np
import pytest

from monitoring import profiles
from monitoring.building import build_reference
from monitoring.features import INPUT, LABEL, SCRIPT, Seen
from monitoring.reference import Reference, References, load_reference
from tests import bundles
from tests.monitoring.conftest import House
from tidegate.bundle import Bundle
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.errors import BundleCorrupt, BundleNotFound, InvalidInput


def build(bundle: Bundle, training: int, evaluation: int) -> Reference:
    """A reference of so many texts, in the place of the bundle's own."""
    texts = bundles.headlines(training, 1)
    rows = Engine.open(bundle, choose("cpu", ["CPUExecutionProvider"]), threads=1).encode(texts) if texts else []
    records = bundles.predictions(bundle, bundles.headlines(evaluation, 2)) if evaluation else []
    truths = [record.label for record in records]
    build_reference(bundle.manifest.labels, list(zip(texts, rows, strict=True)), records, truths, (), bundle.path)
    return load_reference(bundle)


def test_input_features_come_from_training_and_the_rest_from_evaluation(house: House) -> None:
    reference = build(house.bundle, training=130, evaluation=60)

    for block in reference.layout.blocks:
        trained = block.feature in (*INPUT, SCRIPT)
        assert set(reference.rows[block.place]) == {130.0 if trained else 60.0}, block.feature
    assert reference.summary.rows == 60
    assert reference.class_rows.sum() <= 60
    profile = profiles.deserialize(house.bundle.file("reference.bin").read_bytes())
    assert profiles.row_count(profile, "chars") == 130
    assert profiles.row_count(profile, LABEL) == 60


def test_no_file_of_it_holds_a_text(house: House) -> None:
    build(house.bundle, training=130, evaluation=60)

    for name in ("reference.bin", "drift.json", "drift.npz"):
        assert b"quarterly" not in house.bundle.file(name).read_bytes()


def test_sums_by_class_add_up_to_those_of_the_evaluation_rows(house: House) -> None:
    reference = build(house.bundle, training=80, evaluation=60)
    tokens = reference.layout.block("tokens_used").place

    answered = reference.class_rows.sum() == 60
    assert not answered or np.array_equal(reference.by_class.sum(axis=0)[tokens], reference.summary.sums[tokens])


def test_few_evaluation_rows_give_a_reference_that_claims_nothing(house: House) -> None:
    reference = build(house.bundle, training=80, evaluation=20)

    assert reference.known
    assert not reference.calibrated


@pytest.mark.parametrize(("training", "evaluation"), [(0, 60), (60, 0)])
def test_no_texts_are_refused(house: House, training: int, evaluation: int) -> None:
    with pytest.raises(InvalidInput, match=f"{training} training texts and {evaluation} evaluation"):
        build(house.bundle, training, evaluation)


def test_a_published_bundle_carries_it(house: House) -> None:
    references = References(house.bundles)

    assert references.get("sentiment", 1).document == load_reference(house.bundle).document
    assert references.get("sentiment", 1) is references.get("sentiment", 1)
    with pytest.raises(BundleNotFound):
        references.get("sentiment", 2)


@pytest.mark.parametrize(
    ("file", "content"), [("drift.json", b'{"schema_version": 9}'), ("drift.npz", b"no archive"), ("drift.npz", b"")]
)
def test_a_reference_of_another_schema_is_refused_by_file_name(house: House, file: str, content: bytes) -> None:
    house.bundle.file(file).write_bytes(content)

    with pytest.raises(BundleCorrupt, match=r"drift\.json"):
        load_reference(house.bundle)


def test_texts_unlike_all_that_the_estimate_was_tried_on_are_not_estimated(house: House) -> None:
    texts = bundles.headlines(400, 1)
    rows = Engine.open(house.bundle, choose("cpu", ["CPUExecutionProvider"]), threads=1).encode(texts)
    evaluation = bundles.predictions(house.bundle, bundles.headlines(300, 2))
    truths = [record.label for record in evaluation]
    spoilt = bundles.predictions(house.bundle, [" ".join(r.text.split()[:2]) for r in evaluation], prefix="s")
    copies = list(zip(spoilt, truths, strict=True))
    build_reference(
        house.bundle.manifest.labels, list(zip(texts, rows, strict=True)), evaluation, truths, copies, house.bundle.path
    )
    reference = load_reference(house.bundle)
    usual, novel = (
        reference.estimate(reference.summarise(records, Seen()))
        for records in (house.usual(400, "a"), house.novel(400, "b"))
    )

    assert reference.document.tried
    assert usual is not None
    assert usual.trusted, usual.why
    assert novel is not None
    assert not novel.trusted
