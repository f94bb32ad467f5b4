"""Limits keep the stated rate of false alarms on rows that neither reference nor calibration has seen.

A rate is measured over several worlds (training, held-out rows and windows all drawn anew), because windows of one
world share its luck.
"""

import numpy as np
import pytest

from monitoring.alarm import Detector
from monitoring.calibration import MIN_DOCUMENTS, Calibration
from monitoring.layout import Floats
from monitoring.limits import RATES
from monitoring.reference import Reference
from monitoring.summary import Summary
from tests.monitoring.samples import draw, reference


def surprises(known: Reference, rng: np.random.Generator, size: int, windows: int, shift: float = 0.0) -> Floats:
    """Family surprise of windows, (windows,)."""
    matrix = known.layout.matrix(draw(rng, size * windows, shift)).astype(np.float64)
    sums = matrix.reshape(windows, size, -1).sum(axis=1)
    return known.layout.family(known.calibration.surprise(known.distances.of(float(size), sums), size))


@pytest.fixture(scope="module")
def worlds() -> list[Reference]:
    """Eight, each with rows of its own."""
    rng = np.random.default_rng(8)
    return [reference(rng, training=600, evaluation=300) for _ in range(8)]


@pytest.mark.slow
@pytest.mark.parametrize("size", [50, 120, 400])
def test_false_alarms_stay_near_their_budget(worlds: list[Reference], size: int) -> None:
    rate, length, rng = 0.02, 40, np.random.default_rng(size)
    alarms, windows = 0, 0
    for known in worlds:
        limit = known.calibration.window_limit(size, rate)
        for _ in range(4):
            beyond = surprises(known, rng, size, length) > limit
            on = np.convolve(beyond, [1, 1, 1])[:length] >= 2
            alarms += int((on & ~np.append(False, on[:-1])).sum())
            windows += length

    # 25.6 alarms are to be expected; a plain bootstrap, which forgets that the held-out rows are a sample, and
    # windows that are taken for independent, each give several times as many at 400 rows.
    assert rate / 4 < alarms / windows < rate * 2


def test_a_shift_of_half_a_deviation_is_seen_in_two_hundred_rows() -> None:
    rng = np.random.default_rng(5)
    known = reference(rng, evaluation=400)
    limit = known.calibration.window_limit(200, 0.001)

    assert (surprises(known, rng, 200, 40, shift=0.5) > limit).mean() > 0.95
    assert (surprises(known, rng, 200, 40) > limit).mean() < 0.15


def test_limits_rise_as_the_budget_shrinks_and_thresholds_fall_as_windows_grow() -> None:
    known = reference(np.random.default_rng(6), evaluation=200).calibration
    limits = [known.window_limit(rows, rate) for rows in (50, 333, 9_000) for rate in (0.1, 0.007, 1e-4, 1e-6)]
    thresholds = np.array([known.threshold(3.0, rows) for rows in (50, 60, 100, 333, 1_000, 5_000, 10**6)])

    assert all(np.diff(part).min() >= 0 for part in np.split(np.array(limits), 3))
    assert (np.diff(thresholds, axis=0) <= 1e-12).all()


def test_a_threshold_is_where_the_surprise_is_the_limit() -> None:
    known = reference(np.random.default_rng(7), evaluation=100)
    threshold = known.calibration.threshold(3.0, 200)
    watched = known.layout.watched & (threshold > 1e-6)

    assert known.calibration.surprise(threshold, 200)[watched] == pytest.approx(3.0)


def test_the_same_seed_gives_the_same_calibration_and_it_survives_json() -> None:
    one, two = (reference(np.random.default_rng(8), evaluation=80).calibration for _ in range(2))

    assert one == two
    assert Calibration.model_validate_json(one.model_dump_json()) == one
    assert [len(row) for row in (*one.window, *one.recent, *one.slow)] == [len(RATES)] * 3 * len(one.window)


def test_too_few_held_out_rows_calibrate_nothing() -> None:
    known = reference(np.random.default_rng(9), evaluation=MIN_DOCUMENTS - 1)

    assert not known.calibrated
    assert known.known
    rows = known.layout.summarise(draw(np.random.default_rng(1), 500, shift=3.0))
    verdict = Detector().observe(rows, 60.0, known, 30.0)[1]
    assert (verdict.alarm, verdict.window.status) == (False, "insufficient")


@pytest.mark.slow
@pytest.mark.parametrize("size", [50, 200])
def test_the_three_rules_together_spend_the_budget_and_no_more(worlds: list[Reference], size: int) -> None:
    budget, length, rng = 25.0, 40, np.random.default_rng(size)
    alarms, windows = 0, 0
    for known in worlds:
        for _ in range(5):
            matrix = known.layout.matrix(draw(rng, size * length)).astype(np.float64).reshape(length, size, -1)
            detector, calm = Detector(), 3
            for sums in matrix.sum(axis=1):
                detector, verdict = detector.observe(Summary(float(size), sums), 3_600.0, known, budget / 24.0)
                alarms += verdict.alarm and calm >= 3
                calm = 0 if verdict.alarm else calm + 1
                windows += 1

    assert 0.4 < alarms / windows * budget < 2.0


def test_rules_that_alarm_together_may_each_have_more_than_a_third() -> None:
    known = reference(np.random.default_rng(10), evaluation=200).calibration
    old = known.model_copy(update={"together": ()})

    for rows in (50, 120, 5_000):
        for rate in (0.02, 0.001, 1e-6):
            assert rate <= known.each(rows, rate) <= 3.0 * rate
            assert old.each(rows, rate) == rate
    assert all(known.each(100, rate) > 1.2 * rate for rate in (0.02, 0.003))
