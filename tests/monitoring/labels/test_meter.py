"""The meter sees labels saved where choosing helps, none where it does not, and says when it cannot tell."""

import numpy as np
import pytest
from numpy.typing import NDArray

from monitoring.labels.meter import saved

RNG = np.random.default_rng(5)
WAY = np.linspace(-1.0, 1.0, 12)
ROWS = RNG.normal(size=(1_500, 12)).astype(np.float32)
LABELS = np.where(WAY @ ROWS.T > 0.0, "good", "bad")
CLOSE = np.argsort(np.abs(WAY @ ROWS[:1_100].T))[:150]  # next to the border, as margin picks them
RANDOM = np.arange(1_100, 1_400)


def _asked(chosen: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.str_], NDArray[np.bool_]]:
    rows = np.concatenate([RANDOM, chosen])
    return ROWS[rows], LABELS[rows], np.arange(len(rows)) < len(RANDOM)


def test_chosen_labels_next_to_the_border_save_some() -> None:
    found = saved(*_asked(CLOSE))

    assert found.why == ""
    assert found.chosen == 150
    assert found.low <= found.labels <= found.high
    assert found.labels > 0.0


def test_labels_chosen_at_random_save_none_that_is_sure() -> None:
    found = saved(*_asked(np.arange(150)))

    assert found.low < 0.0 < found.high


@pytest.mark.parametrize(("random", "chosen"), [(40, 150), (300, 10)])
def test_too_few_labels_cannot_tell(random: int, chosen: int) -> None:
    embedding, labels, drawn = _asked(CLOSE[:chosen])
    kept = np.concatenate([np.arange(random), np.arange(300, 300 + chosen)])
    found = saved(embedding[kept], labels[kept], drawn[kept])

    assert "are needed" in found.why
    assert found.labels == 0.0


def test_labels_that_nothing_can_learn_cannot_tell() -> None:
    embedding, labels, drawn = _asked(CLOSE)
    found = saved(embedding, np.full(len(labels), "good"), drawn)

    assert "teach" in found.why
