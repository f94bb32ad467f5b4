"""Whitening makes every direction count, and calibration sees it as rows do that it was not fitted to."""

import numpy as np
import pytest

from monitoring import whitening
from monitoring.layout import Floats
from tests.monitoring.samples import reference

WIDTH, ROWS = 40, 300
SCALES = np.geomspace(3.0, 0.05, WIDTH)


def draw(rng: np.random.Generator, rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Rows that vary along few directions and hardly along the others."""
    return (rng.normal(size=(rows, WIDTH)) * SCALES).astype(np.float32)


def squares(rows: np.ndarray[tuple[int, int], np.dtype[np.float32]], matrix: Floats) -> Floats:
    """Squared length of each row as the matrix shows it, (rows,)."""
    length: Floats = ((rows @ matrix) ** 2).sum(axis=1)
    return length


def test_a_change_where_rows_hardly_vary_stands_out_more() -> None:
    rows = draw(np.random.default_rng(1), ROWS)
    matrix = whitening.fit(rows)
    little, much = np.eye(WIDTH)[-1] * 0.5, np.eye(WIDTH)[0] * 0.5

    assert np.linalg.norm(little @ matrix) > 2 * np.linalg.norm(much @ matrix)
    assert matrix == pytest.approx(matrix.T)


def test_crossed_rows_lie_as_far_away_as_fresh_ones_and_the_fitted_ones_too_near() -> None:
    rng = np.random.default_rng(2)
    rows, fresh = draw(rng, 100), draw(rng, 4_000)
    matrix = whitening.fit(rows)
    own, crossed, true = (squares(each - each.mean(axis=0), matrix).mean() for each in
                          (rows, whitening.crossed(rows, matrix), fresh))  # fmt: skip

    assert own < 0.95 * true
    assert crossed == pytest.approx(true, rel=0.05)
    assert whitening.crossed(rows, matrix).mean(axis=0) == pytest.approx(rows.mean(axis=0), abs=1e-4)


def test_a_reference_carries_it_and_one_without_weighs_all_directions_alike() -> None:
    known = reference(np.random.default_rng(3), evaluation=80)
    sums = known.summary.sums + np.linspace(0.0, 3.0, known.layout.width)
    place = known.layout.features.index("embedding")
    whitened = known.distances.of(80.0, sums)[place]
    plain = type(known)(known.document, {name: each for name, each in known.arrays.items() if name != "whitening"})

    block = known.layout.block("embedding").place
    expected = ((sums[block] / 80.0 - plain.summary.sums[block] / plain.rows[block]) ** 2).sum()
    assert plain.distances.of(80.0, sums)[place] == pytest.approx(expected)
    assert whitened != pytest.approx(expected)
