import numpy as np
import pytest
from numpy.typing import NDArray

from exporters.nearness import MIN_NEIGHBOURS, faults, measure
from exporters.verify import BATCH_DIFFERENCE_FP32, BATCH_DIFFERENCE_REDUCED, compare, yardstick
from tidegate.bundle import Postprocessing

Vectors = NDArray[np.float64]


def vectors(rows: int = 60, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(size=(rows, 16))


def disturbed(source: Vectors, by: float, seed: int = 1) -> Vectors:
    return source + by * np.random.default_rng(seed).normal(size=source.shape)


def refusal(single: Vectors, batched: Vectors, source: Vectors, bound: float) -> str:
    rows = [(f"text {index}", "-") for index in range(len(source))]
    yard = yardstick(rows, (), source, Postprocessing(activation="none"), 0.005)
    return compare(single, [batched], yard, bound).refusal


def test_the_same_vectors_agree_in_everything_whatever_their_length() -> None:
    source = vectors()
    found = measure(source * 7, [source * 0.1], source)
    assert found.mean_cosine == pytest.approx(1.0)
    assert (found.neighbours, found.moved) == (1.0, 0)
    assert found.batch_distance == pytest.approx(0.0, abs=1e-12)
    assert list(faults(found, MIN_NEIGHBOURS, reduced=False)) == []


def test_rounding_passes_and_what_int8_does_is_too_much_for_float32() -> None:
    source = vectors()
    rounded = disturbed(source, 1e-5)
    assert refusal(rounded, rounded, source, BATCH_DIFFERENCE_FP32) == ""
    coarse = disturbed(source, 0.03)
    assert "less than 0.9999" in refusal(coarse, coarse, source, BATCH_DIFFERENCE_FP32)
    assert refusal(coarse, coarse, source, BATCH_DIFFERENCE_REDUCED) == ""


def test_reduced_precision_is_held_to_mean_worst_and_neighbours() -> None:
    source = vectors(rows=200)
    lost = disturbed(source, 1.0)
    said = refusal(lost, lost, source, BATCH_DIFFERENCE_REDUCED)
    assert "mean cosine" in said
    assert "less than 0.9" in said
    assert "nearest text" in said
    one = source.copy()
    one[3] = -one[3]
    assert "cosine of -1.0000" in refusal(one, one, source, BATCH_DIFFERENCE_REDUCED)


def test_company_in_a_batch_may_not_move_a_vector() -> None:
    source = vectors()
    assert "with its batch-mates" in refusal(source, disturbed(source, 0.02), source, BATCH_DIFFERENCE_FP32)


def test_neighbours_that_the_source_model_cannot_tell_apart_are_as_good() -> None:
    source = np.array([[1.0, 0.0], [0.999, 0.04], [0.999, -0.04], [0.0, 1.0], [-0.03, 1.0]])
    swapped = source[[0, 2, 1, 3, 4]]
    assert measure(swapped, [], source).neighbours == 1.0


@pytest.mark.parametrize("rows", [1, 2])
def test_few_texts_are_no_reason_to_fail(rows: int) -> None:
    source = vectors(rows)
    found = measure(source, [source], source)
    assert (found.neighbours, found.moved) == (1.0, 0)
