"""Worlds are as far from a reference as chance alone takes them, however many rows it is known from."""

import numpy as np
import pytest
from numpy.typing import NDArray

from monitoring.bins import numeric_bins
from monitoring.layout import Distances, Layout
from monitoring.worlds import Worlds

DOCUMENTS = 400


def drawn(rng: np.random.Generator, known: int, shift: float = 0.0) -> tuple[Worlds, Distances, Layout]:
    """Worlds of held-out numbers that a reference of `known` other rows is compared with."""
    training, held = rng.normal(size=known), rng.normal(shift, 1.0, size=DOCUMENTS)
    layout = Layout([numeric_bins("length", training)], 0, None)
    block = layout.block("length")
    matrix = np.zeros((DOCUMENTS, layout.width), dtype=np.float32)
    matrix[np.arange(DOCUMENTS), block.start + layout.bins["length"].assign(held)] = 1.0
    sums = np.concatenate([np.asarray(layout.bins["length"].shares) * known, np.zeros(layout.width - block.stop)])
    distances = Distances(layout, sums, np.full(layout.width, float(known)), np.zeros(0))
    return Worlds(matrix, layout, distances, rng), distances, layout


def mean_distance(worlds: Worlds, distances: Distances, size: int) -> float:
    """Of drift-free windows, as calibration sees them."""
    return float(distances.of(float(size), worlds.windows(slice(0, 50), size))[..., 0].mean())


@pytest.mark.parametrize("known", [200, 400, 4_000])
def test_windows_lie_as_far_away_as_fresh_rows_do(known: int) -> None:
    calibrated, true = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        worlds, distances, layout = drawn(rng, known)
        fresh = layout.bins["length"].assign(rng.normal(size=100 * 200)).reshape(100, 200)
        width = layout.bins["length"].width
        counts: NDArray[np.float64] = np.stack([np.bincount(row, minlength=width) for row in fresh]).astype(np.float64)
        sums = np.pad(counts, ((0, 0), (0, layout.width - width)))
        calibrated.append(mean_distance(worlds, distances, 200))
        true.append(float(distances.of(200.0, sums)[..., 0].mean()))

    assert np.mean(calibrated) == pytest.approx(np.mean(true), rel=0.2)


def test_held_out_rows_that_differ_from_training_beyond_chance_are_not_taken_for_drift() -> None:
    rng = np.random.default_rng(1)
    same, apart = (mean_distance(*drawn(rng, 4_000, shift)[:2], 1_000_000) for shift in (0.0, 0.5))

    assert apart > 20 * same
