"""Thresholds keep the stated rate of false alarms on rows that neither reference nor calibration has seen.

The level is 1 % of windows, whatever their size and however many features. A rate is measured over several
worlds (reference, calibration set and windows all drawn anew), because windows of one world share its luck.
"""

import numpy as np
import pandas as pd
import pytest

from monitoring.bins import FeatureBins, category_bins, numeric_bins
from monitoring.calibration import MIN_DOCUMENTS, SIZES, Calibration, calibrate

FROM_TRAINING = ("chars", "words", "rare", "never")


def draw(rng: np.random.Generator, rows: int, shift: float = 0.0) -> pd.DataFrame:
    """Dependent features of several kinds: counts, shares, rare and constant ones, a class."""
    z = rng.normal(size=(rows, 3))
    chars = np.round(np.exp(4.8 + 0.45 * (z[:, 0] + shift)))
    top = 1.0 / (1.0 + np.exp(-(1.5 + z[:, 1])))
    return pd.DataFrame(
        {
            "chars": chars,
            "words": np.round(chars / 6 + rng.normal(size=rows)),
            "rare": (rng.random(rows) < 0.01) * rng.random(rows),
            "never": np.zeros(rows),
            "top": top,
            "margin": 2 * top - 1,
            "label": np.where(z[:, 2] < 0.2, "a", np.where(z[:, 2] < 1.2, "b", "c")),
        }
    )


def world(rng: np.random.Generator, documents: int, seed: int) -> tuple[list[FeatureBins], Calibration]:
    training, held_out = draw(rng, 1_500), draw(rng, documents)
    bins = [
        category_bins(name, held_out[name].tolist(), ("a", "b", "c"))
        if name == "label"
        else numeric_bins(name, (training if name in FROM_TRAINING else held_out)[name].to_numpy())
        for name in held_out.columns
    ]
    return bins, calibrate(held_out, bins, seed=seed)


def drifted(window: pd.DataFrame, bins: list[FeatureBins], calibration: Calibration) -> bool:
    rows = len(window)
    return any(
        float(f.distance(np.bincount(f.assign(window[f.name]), minlength=len(f.shares)) / rows))
        > calibration.threshold(f.name, rows)
        for f in bins
    )


@pytest.mark.slow
def test_false_alarms_stay_near_one_percent_at_every_size() -> None:
    rng = np.random.default_rng(4)
    alarms: dict[int, list[bool]] = {size: [] for size in (50, 120, 200, 500, 1_000)}
    for seed in range(25):
        bins, calibration = world(rng, 300, seed)
        for size, found in alarms.items():
            found += [drifted(draw(rng, size), bins, calibration) for _ in range(20)]

    # 500 windows a size: with a true rate of 1 % more than 4 % has a chance below 1e-6, worlds' shared luck aside;
    # a plain bootstrap, which forgets that the held-out rows are a sample, alarms in 7 % and more at 500 rows.
    assert {size: float(np.mean(found)) for size, found in alarms.items() if np.mean(found) > 0.04} == {}
    assert 0.001 < np.mean([np.mean(found) for found in alarms.values()]) < 0.025


def test_a_shift_of_half_a_deviation_is_seen_in_two_hundred_rows() -> None:
    rng = np.random.default_rng(5)
    bins, calibration = world(rng, 400, 0)

    assert np.mean([drifted(draw(rng, 200, shift=0.5), bins, calibration) for _ in range(50)]) > 0.95
    assert np.mean([drifted(draw(rng, 200), bins, calibration) for _ in range(50)]) < 0.1


def test_thresholds_fall_with_the_window_but_not_below_what_the_held_out_rows_can_tell() -> None:
    _, calibration = world(np.random.default_rng(6), 200, 0)
    thresholds = [calibration.threshold("top", rows) for rows in (50, 60, 100, 333, 1_000, 5_000, 10**6)]

    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] > 1.2 / np.sqrt(200), "no window is compared more sharply than 200 documents allow"


def test_what_never_occurred_may_occur_once_in_a_window_but_not_in_a_tenth_of_it() -> None:
    _, calibration = world(np.random.default_rng(7), 300, 0)

    assert 1 / 50 < calibration.threshold("never", 50) < 0.1
    assert 1 / 200 < calibration.threshold("never", 200) < 0.1


def test_the_same_seed_gives_the_same_thresholds() -> None:
    one, two = (world(np.random.default_rng(8), 80, 3)[1] for _ in range(2))

    assert one == two
    assert one.sizes == SIZES
    assert Calibration.model_validate_json(one.model_dump_json()) == one


def test_too_few_documents_give_no_thresholds_at_all() -> None:
    _, calibration = world(np.random.default_rng(9), MIN_DOCUMENTS - 1, 0)

    assert calibration.sizes == ()
    assert calibration.documents == MIN_DOCUMENTS - 1
