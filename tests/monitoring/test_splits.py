"""What training and evaluation held travels in the bundle, by true label; an older bundle tells what it can."""

import numpy as np
import pytest

from monitoring.features import INPUT, LABEL, PREDICTION, SCRIPT, VOCABULARY
from monitoring.reference import Reference, load_reference
from monitoring.splits import FILE, Split, Splits, read_splits
from tests import bundles
from tests.monitoring.conftest import House
from tidegate.bundle import Bundle
from tidegate.errors import BundleCorrupt


def without_splits(bundle: Bundle) -> Bundle:
    """The same bundle as an older Tidegate exported it."""
    files = {name: entry for name, entry in bundle.manifest.files.items() if name != FILE}
    return Bundle(bundle.path, bundle.manifest.model_copy(update={"files": files}))


def counted(split: Split, reference: Reference, features: tuple[str, ...]) -> set[float]:
    """Rows behind each of some features."""
    found = [split.counts(reference.layout.block(name)) for name in features]
    return {0.0 if counts is None else float(counts.sum()) for counts in found}


def counts_of(split: Split, reference: Reference, feature: str) -> list[float]:
    """Rows a bin of a feature; none where it is not known."""
    found = split.counts(reference.layout.block(feature))
    return [] if found is None else [float(count) for count in found]


def test_training_has_what_texts_alone_say_and_evaluation_the_answers_too(house: House) -> None:
    reference = load_reference(house.bundle)
    splits = read_splits(house.bundle, reference)

    assert splits.whole
    assert (splits.training.rows, splits.evaluation.rows) == (300.0, 150.0)
    assert counted(splits.training, reference, (*INPUT, *VOCABULARY, SCRIPT)) == {300.0}
    assert counted(splits.training, reference, (*PREDICTION, LABEL)) == {0.0}
    assert counted(splits.evaluation, reference, (*INPUT, *VOCABULARY, *PREDICTION, SCRIPT, LABEL)) == {150.0}


def test_the_splits_count_what_the_reference_counts(house: House) -> None:
    reference = load_reference(house.bundle)
    splits = read_splits(house.bundle, reference)

    for name in reference.layout.bins:
        block = reference.layout.block(name)
        split = splits.training if name in (*INPUT, SCRIPT) else splits.evaluation
        assert counts_of(split, reference, name) == pytest.approx(reference.summary.sums[block.place].tolist())


def test_rows_of_each_true_label_add_up_and_others_stand_last(house: House) -> None:
    reference = load_reference(house.bundle)
    labels = reference.document.labels
    words = np.array([3.0, 4.0, 5.0, 6.0])
    split = Split.of(reference.layout, {"words": words}, ["positive", "spam", "positive", "negative"], labels)

    assert split.label_rows.tolist() == [1.0, 0.0, 2.0, 1.0]
    assert split.by_label.sum(axis=1).tolist() == split.label_rows.tolist()


def test_a_bundle_from_before_tells_what_its_reference_tells(house: House) -> None:
    reference = load_reference(house.bundle)
    now, before = read_splits(house.bundle, reference), read_splits(without_splits(house.bundle), reference)

    assert not before.whole
    assert counted(before.training, reference, (*INPUT, SCRIPT)) == {300.0}
    assert counted(before.training, reference, VOCABULARY) == {0.0}
    assert counted(before.evaluation, reference, (*VOCABULARY, *PREDICTION)) == {150.0}
    assert not before.training.label_rows[:-1].any()
    if reference.class_rows.sum() == 150:
        assert counts_of(before.evaluation, reference, "words") == counts_of(now.evaluation, reference, "words")


def test_an_embedding_model_has_splits_without_labels(house: House) -> None:
    bundle = bundles.embedder(house.bundles)
    splits: Splits = read_splits(bundle, load_reference(bundle))

    assert splits.training.by_label.shape[0] == 1
    assert (splits.training.rows, splits.evaluation.rows) == (300.0, 150.0)


def test_a_file_that_is_none_is_named(house: House) -> None:
    reference = load_reference(house.bundle)
    (house.bundle.path / FILE).write_bytes(b"nothing")

    with pytest.raises(BundleCorrupt, match=r"splits\.npz holds no splits.*export the bundle again"):
        read_splits(house.bundle, reference)
