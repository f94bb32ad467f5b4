import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from exporters.scores import accuracy, interval, macro_f1

Pairs = list[tuple[int, int]]
pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


def _columns(rows: Pairs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.array([truth for truth, _ in rows]), np.array([answered for _, answered in rows])


@given(pairs)
def test_macro_f1_is_the_mean_of_f1_over_the_classes_that_occur(rows: Pairs) -> None:
    truth, answered = _columns(rows)
    each = []
    for label in sorted({*truth.tolist(), *answered.tolist()}):
        hits = sum(t == a == label for t, a in rows)
        each.append(2 * hits / (sum(t == label for t, _ in rows) + sum(a == label for _, a in rows)))
    assert macro_f1(truth, answered) == pytest.approx(float(np.mean(each)))


def test_intervals_hold_the_score_narrow_with_rows_and_repeat_with_the_seed() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 900)
    answered = np.where(rng.random(900) < 0.8, truth, (truth + 1) % 3)
    few, many = interval(accuracy, truth[:90], answered[:90]), interval(accuracy, truth, answered)
    assert many[0] < accuracy(truth, answered) < many[1]
    assert many[1] - many[0] < few[1] - few[0]
    assert many == interval(accuracy, truth, answered)
    assert interval(macro_f1, truth, truth) == (1.0, 1.0)
