"""What is derived from the counts of a model's health agrees with reckoning it row by row."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.health import data_digest, health_of
from exporters.verify import yardstick
from tests import bundles
from tests.exporters.test_slices import encoded
from tidegate.bundle import Bundle, Postprocessing
from tidegate.bundle_store import BundleStore
from tidegate.errors import BundleCorrupt
from tidegate.health import FILE, Health, Share, read_health, write_health
from tidegate.intervals import wilson

CLASSES = ("negative", "neutral", "positive")
Rows = list[tuple[str, list[float]]]
rows_of_a_model = st.lists(
    st.tuples(st.sampled_from(CLASSES), st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3)), min_size=1, max_size=60
)


def health(rows: Rows, threshold: float | None = None, fallback: str | None = None) -> Health:
    scores = np.array([row for _, row in rows])
    scores /= scores.sum(axis=1, keepdims=True)
    labelled = [(f"text {place}", label) for place, (label, _) in enumerate(rows)]
    post = Postprocessing(threshold=threshold, fallback_label=fallback)
    yard = yardstick(labelled, CLASSES, scores, post, 0.01)
    return health_of(yard, [encoded(text) for text, _ in labelled], {"fp32": scores})


def tops(rows: Rows) -> list[tuple[float, bool]]:
    """Top probability and whether the likeliest class is the label, of each row."""
    return [(max(row) / sum(row), CLASSES[int(np.argmax(np.array(row) / sum(row)))] == label) for label, row in rows]


@settings(max_examples=40, deadline=None)
@given(rows_of_a_model, st.integers(0, 100))
def test_a_threshold_in_hundredths_lets_through_the_rows_that_reach_it(rows: Rows, hundredths: int) -> None:
    at = hundredths / 100
    scores = np.array([row for _, row in rows])
    found = health(rows).variants["fp32"].at(at)

    reach = (scores / scores.sum(axis=1, keepdims=True)).max(axis=1) >= at
    assert (found.at, found.rows) == (at, int(reach.sum()))
    assert found.right <= found.rows


@settings(max_examples=40, deadline=None)
@given(rows_of_a_model)
def test_bins_hold_every_row_once_and_the_error_is_the_mean_gap(rows: Rows) -> None:
    variant = health(rows).variants["fp32"]
    bins = variant.bins(10)

    assert [(each.low, each.high) for each in bins] == [(n / 10, (n + 1) / 10) for n in range(10)]
    assert sum(each.rows for each in bins) == len(rows)
    assert sum(each.right for each in bins) == sum(hit for _, hit in tops(rows))
    gaps = [abs(each.right / each.rows - each.confidence) * each.rows / len(rows) for each in bins if each.rows]
    assert variant.calibration_error() == pytest.approx(sum(gaps))
    assert all(each.low - 1e-6 <= each.confidence <= each.high + 1e-6 for each in bins if each.rows)


@settings(max_examples=40, deadline=None)
@given(rows_of_a_model)
def test_scores_of_labels_are_those_of_the_counts(rows: Rows) -> None:
    found = health(rows)
    scores = {each.label: each for each in found.label_scores("fp32")}

    assert sum(each.right for each in scores.values()) == found.variants["fp32"].hits
    for each in scores.values():
        for share in (each.precision, each.recall, each.f1):
            assert share is None or 0.0 <= share.low <= share.value + 1e-12 <= share.high + 2e-12 <= 1.0 + 3e-12
        if each.precision and each.recall and each.f1 and each.right:
            mean = 2 * each.precision.value * each.recall.value / (each.precision.value + each.recall.value)
            assert each.f1.value == pytest.approx(mean)


def test_a_fallback_that_is_no_class_is_a_label_of_its_own() -> None:
    found = health([("negative", [0.9, 0.05, 0.05]), ("positive", [0.4, 0.3, 0.3])], 0.6, "unsure")
    assert found.labels == (*CLASSES, "unsure")
    assert found.matrix("fp32") == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert found.variants["fp32"].accuracy == Share(0.5, *wilson(0.5, 2))
    unsure = found.label_scores("fp32")[-1]
    assert (unsure.recall, unsure.answered) == (None, 1)


def test_data_is_the_same_whatever_its_order() -> None:
    rows = [("a", "x"), ("b", "y")]
    assert data_digest(rows) == data_digest(rows[::-1]) != data_digest([("a", "y"), ("b", "x")])


def test_it_is_read_as_it_was_written_and_older_bundles_have_none(tmp_path: Path) -> None:
    bundle = bundles.wordpieces(BundleStore(tmp_path), verification_set=False)
    old = Bundle(bundle.path, bundle.manifest.model_copy(update={"health": None}))
    assert read_health(old) is None

    found = health([("negative", [0.9, 0.05, 0.05])])
    write_health(found, tmp_path)
    assert read_health(Bundle(tmp_path, bundle.manifest.model_copy(update={"health": FILE}))) == found


@pytest.mark.parametrize("harm", ['{"labels": []}', "{", '"\\ud800"'])
def test_what_is_no_health_is_refused_by_name(tmp_path: Path, harm: str) -> None:
    bundle = bundles.wordpieces(BundleStore(tmp_path))
    (tmp_path / FILE).write_text(harm)
    with pytest.raises(BundleCorrupt, match="export the bundle again"):
        read_health(Bundle(tmp_path, bundle.manifest.model_copy(update={"health": FILE})))


def test_counts_that_contradict_each_other_are_refused() -> None:
    found = health([("negative", [0.9, 0.05, 0.05])])
    for change in ({"rows": 2}, {"labels": ("negative",)}):
        document = found.model_dump() | change
        if "labels" in change:
            document["variants"]["fp32"]["confusion"] = [[0, 1, 1]]
        with pytest.raises(ValueError, match="counts"):
            Health.model_validate(document)
