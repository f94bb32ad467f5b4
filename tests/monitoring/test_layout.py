"""Sums of parts are the sums of the whole, exactly where they count; distances are 0 of the reference and grow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.kernel import Kernel
from monitoring.layout import BUCKETS, bucket
from monitoring.summary import Summary
from monitoring.terms import DIMENSIONS, project
from tests.monitoring.samples import draw, reference

REFERENCE = reference(np.random.default_rng(1), training=200, evaluation=40)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_windows_merge_as_if_they_had_been_one(sizes: list[int], seed: int) -> None:
    rows = draw(np.random.default_rng(seed), sum(sizes))
    matrix = REFERENCE.layout.matrix(rows).astype(np.float64)
    whole = REFERENCE.layout.summarise(rows)
    parts = [Summary(float(len(part)), part.sum(axis=0)) for part in np.split(matrix, np.cumsum(sizes)[:-1])]
    merged = sum(parts[1:], start=parts[0])

    assert merged.rows == whole.rows == sum(sizes)
    for block in REFERENCE.layout.blocks:
        one, other = merged.sums[block.place], whole.sums[block.place]
        exact = block.kind in ("number", "class", "tokens")
        assert one.tolist() == other.tolist() if exact else one == pytest.approx(other, rel=1e-5, abs=1e-4)
    assert Summary.from_bytes(whole.to_bytes()).sums.tolist() == whole.sums.tolist()


def test_the_evaluation_rows_are_near_and_shifted_rows_are_further() -> None:
    rng = np.random.default_rng(2)
    near, far = (REFERENCE.layout.summarise(draw(rng, 2_000, shift)) for shift in (0.0, 1.0))
    distances = [REFERENCE.distances.of(each.rows, each.sums) for each in (near, far)]
    moved = [REFERENCE.layout.features.index(name) for name in ("chars", "embedding", "tokens_used")]

    assert (distances[0] >= 0).all()
    assert (distances[1][moved] > 1.2 * distances[0][moved]).all()


def test_distances_of_many_windows_at_once_are_those_of_each() -> None:
    rng = np.random.default_rng(3)
    several = [REFERENCE.layout.summarise(draw(rng, size)) for size in (20, 50)]
    together = REFERENCE.distances.of(np.array([one.rows for one in several]), np.stack([one.sums for one in several]))

    for one, distances in zip(several, together, strict=True):
        assert REFERENCE.distances.of(one.rows, one.sums) == pytest.approx(distances)


def test_kernel_features_measure_like_the_gaussian_kernel_they_stand_for() -> None:
    points = np.random.default_rng(4).normal(size=(60, 10)).astype(np.float32)
    kernel = Kernel.fit(points, 0)
    features = kernel.features(points)
    apart = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    median = np.median(apart[np.triu_indices(60, 1)])
    exact = np.exp(-0.5 * apart / median)

    assert (features**2).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.abs(features @ features.T - exact).mean() < 0.08
    assert Kernel.load({}) is None


def test_projected_terms_keep_lengths_and_do_not_depend_on_their_company() -> None:
    rng = np.random.default_rng(5)
    rows = [(rng.integers(0, 50_000, size), rng.random(size).astype(np.float32)) for size in (40, 1, 300)]
    together = project(rows)

    assert together.shape == (3, DIMENSIONS)
    assert np.concatenate([project([row]) for row in rows]) == pytest.approx(together, abs=1e-4)
    for vector, (_, weights) in zip(together, rows, strict=True):
        assert (vector**2).sum() / DIMENSIONS == pytest.approx((weights.astype(float) ** 2).sum(), rel=0.5)


def test_buckets_are_used_evenly() -> None:
    counts = np.bincount(bucket(np.arange(30_000)), minlength=BUCKETS)

    assert len(counts) == BUCKETS
    assert 60 < counts.min() < counts.max() < 190
