"""The estimate follows what changes without labels, adds up over windows, and says when it cannot tell."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.accuracy import AccuracyReference, Estimate, finding
from monitoring.accuracy_fit import DAMAGES, fit
from monitoring.features import LABEL, Rows
from tests.monitoring.answers import LABELS, accuracy, answers


def fitted() -> AccuracyReference:
    held, truths = answers(1_500, 1)
    copies = [answers(120, 10 + kind, blur=0.1 * kind, words=20 + kind) for kind in range(DAMAGES)]
    rows = together([rows for rows, _ in copies])
    reference = fit(LABELS, held, truths, rows, [label for _, labels in copies for label in labels])
    assert reference is not None
    return reference


def together(parts: list[Rows]) -> Rows:
    return Rows(
        numbers={name: np.concatenate([part.numbers[name] for part in parts]) for name in parts[0].numbers},
        classes={LABEL: np.concatenate([part.classes[LABEL] for part in parts])},
        scores=np.concatenate([part.scores for part in parts]),
        tokens=np.zeros(0, dtype=np.int64),
        counts=np.concatenate([part.counts for part in parts]),
        embedding=np.concatenate([part.embedding for part in parts]),
    )


def estimated(reference: AccuracyReference, rows: Rows) -> Estimate:
    return reference.estimate(len(rows), reference.columns(rows).sum(axis=0))


REFERENCE = fitted()


def test_without_a_shift_the_interval_holds_the_truth_in_most_windows() -> None:
    held = 0
    for seed in range(40):
        rows, truths = answers(300, 100 + seed)
        estimate = estimated(REFERENCE, rows)
        held += estimate.low <= accuracy(rows, truths) <= estimate.high

    assert held >= 36


@pytest.mark.parametrize("blur", [0.15, 0.35, 0.6])
def test_the_estimate_falls_as_answers_grow_unsure(blur: float) -> None:
    rows, truths = answers(3_000, 5, blur=blur)
    estimate = estimated(REFERENCE, rows)

    assert estimate.accuracy == pytest.approx(accuracy(rows, truths), abs=0.03)
    assert estimate.low <= accuracy(rows, truths) <= estimate.high


@pytest.mark.parametrize("share_up", [0.1, 0.7])
def test_the_estimate_follows_the_frequencies_of_the_classes(share_up: float) -> None:
    rows, truths = answers(3_000, 6, share_up=share_up)
    estimate = estimated(REFERENCE, rows)

    assert estimate.accuracy == pytest.approx(accuracy(rows, truths), abs=0.03)


def test_confidence_alone_errs_more_where_one_class_has_become_most_frequent() -> None:
    rows, truths = answers(3_000, 6, share_up=0.75)
    estimate = estimated(REFERENCE, rows)

    assert abs(estimate.accuracy - accuracy(rows, truths)) < abs(estimate.expected - accuracy(rows, truths))


def test_sums_of_two_windows_give_the_estimate_of_both() -> None:
    (one, _), (other, _) = answers(200, 7), answers(400, 8, blur=0.3)
    sums = REFERENCE.columns(one).sum(axis=0) + REFERENCE.columns(other).sum(axis=0)
    apart, whole = REFERENCE.estimate(600, sums), estimated(REFERENCE, together([one, other]))

    assert (apart.accuracy, apart.low, apart.high) == pytest.approx((whole.accuracy, whole.low, whole.high))
    assert REFERENCE.columns(one).shape == (200, REFERENCE.width)


def test_labels_in_another_order_with_their_columns_change_nothing() -> None:
    order = [2, 0, 1]
    held, truths = answers(1_500, 1)
    rows, _ = answers(500, 9, blur=0.2)
    turned = fit([LABELS[place] for place in order], replace(held, scores=held.scores[:, order]), truths, None, [])
    straight = fit(LABELS, held, truths, None, [])
    assert turned is not None
    assert straight is not None

    moved = estimated(turned, replace(rows, scores=rows.scores[:, order]))
    assert moved.accuracy == pytest.approx(estimated(straight, rows).accuracy)


def test_a_fallback_label_that_is_no_class_counts_as_it_did_in_the_evaluation_split() -> None:
    held, truths = answers(1_500, 1)
    reference = fit(LABELS, abstaining(held), truths, None, [])
    assert reference is not None
    rows, fresh = answers(3_000, 3)
    rows = abstaining(rows)

    assert estimated(reference, rows).accuracy == pytest.approx(accuracy(rows, fresh), abs=0.03)


def abstaining(rows: Rows) -> Rows:
    unsure = rows.scores.max(axis=1) < 0.6
    return replace(rows, classes={LABEL: np.where(unsure, "unknown", rows.classes[LABEL]).astype(object)})


def test_texts_unlike_all_that_was_tried_cannot_be_told_and_the_number_is_named() -> None:
    rows, _ = answers(500, 11, words=60.0)
    estimate = estimated(REFERENCE, rows)

    assert not estimate.trusted
    assert "words" in estimate.why


def test_few_rows_cannot_be_told() -> None:
    rows, _ = answers(30, 12)
    estimate = estimated(REFERENCE, rows)

    assert (estimate.trusted, estimate.low, estimate.high) == (False, 0.0, 1.0)
    assert "30 rows" in estimate.why


def test_fewer_than_50_evaluation_rows_fit_nothing() -> None:
    rows, truths = answers(49, 13)
    assert fit(LABELS, rows, truths, None, []) is None


def test_a_model_that_is_always_right_is_estimated_so() -> None:
    held, _ = answers(400, 14)
    reference = fit(LABELS, held, held.classes[LABEL].tolist(), None, [])
    assert reference is not None

    assert estimated(reference, held).accuracy > 0.99


def test_the_reference_survives_being_written() -> None:
    rows, _ = answers(200, 15)
    again = AccuracyReference.model_validate_json(REFERENCE.model_dump_json())

    assert np.array_equal(again.columns(rows), REFERENCE.columns(rows))


def test_a_sure_drop_beyond_what_is_bearable_is_a_finding_that_says_how_much() -> None:
    rows, _ = answers(3_000, 16, blur=0.5)
    found = finding(estimated(REFERENCE, rows), REFERENCE.accuracy, 0.05)

    assert found is not None
    assert found.drop > 0.05
    assert f"{REFERENCE.accuracy:.1%}" in found.text


def test_no_drop_and_an_estimate_that_cannot_be_trusted_are_no_findings() -> None:
    usual, _ = answers(1_000, 17)
    blurred, _ = answers(3_000, 16, blur=0.5)
    doubtful = replace(estimated(REFERENCE, blurred), trusted=False)

    assert finding(estimated(REFERENCE, usual), REFERENCE.accuracy, 0.05) is None
    assert finding(doubtful, REFERENCE.accuracy, 0.05) is None
