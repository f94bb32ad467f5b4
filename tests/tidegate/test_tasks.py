"""From graph output to an answer: activations, temperature, threshold, fallback label, ranking."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tidegate.bundle import Postprocessing
from tidegate.tasks import decide, probabilities, ranked

LABELS = ("a", "b", "c")
ROWS = arrays.arrays(np.float32, (4, 3), elements=st.floats(-80, 80, width=32))


@given(output=ROWS, temperature=st.floats(0.1, 10))
def test_softmax_gives_a_distribution_and_keeps_the_order(
    output: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", temperature: float
) -> None:
    result = probabilities(output, Postprocessing(temperature=temperature))

    assert result.sum(axis=1) == pytest.approx(np.ones(4))
    assert (np.diff(np.take_along_axis(result, output.argsort(axis=1), axis=1), axis=1) >= 0).all()


def test_a_graph_that_answers_probabilities_is_left_alone() -> None:
    output = np.array([[0.2, 0.3, 0.5]], dtype=np.float32)

    assert probabilities(output, Postprocessing(activation="none")).tolist() == output.astype(float).tolist()


def test_sigmoid_squashes_each_class_alone() -> None:
    result = probabilities(np.array([[0.0, 100.0, -100.0]], dtype=np.float32), Postprocessing(activation="sigmoid"))

    assert result[0].tolist() == pytest.approx([0.5, 1.0, 0.0])


def test_the_most_likely_class_answers() -> None:
    answer = decide([0.2, 0.5, 0.3], LABELS, Postprocessing())

    assert (answer.label, answer.score, answer.abstained) == ("b", 0.5, False)


@pytest.mark.parametrize(("threshold", "label", "abstained"), [(0.5, "b", False), (0.51, "other", True)])
def test_below_the_threshold_the_fallback_label_answers(threshold: float, label: str, abstained: bool) -> None:
    answer = decide([0.2, 0.5, 0.3], LABELS, Postprocessing(threshold=threshold, fallback_label="other"))

    assert (answer.label, answer.score, answer.abstained) == (label, 0.5, abstained)


def test_without_a_fallback_label_the_class_answers_and_abstained_is_said() -> None:
    answer = decide([0.2, 0.5, 0.3], LABELS, Postprocessing(threshold=0.9))

    assert (answer.label, answer.abstained) == ("b", True)


def test_ranking_is_best_first_and_cut_to_top_k() -> None:
    answer = decide([0.2, 0.5, 0.3], LABELS, Postprocessing())

    assert ranked(answer, LABELS, 2) == [("b", 0.5), ("c", 0.3)]
    assert len(ranked(answer, LABELS, None)) == 3


@pytest.mark.parametrize(("fallback", "first"), [("a", ("a", 0.2)), ("other", ("other", 0.5))])
def test_an_abstained_answer_leads_with_the_fallback_label(fallback: str, first: tuple[str, float]) -> None:
    answer = decide([0.2, 0.5, 0.3], LABELS, Postprocessing(threshold=0.9, fallback_label=fallback))

    pairs = ranked(answer, LABELS, None)

    assert pairs[0] == first
    assert [label for label, _ in pairs[1:]] == [label for label in ("b", "c", "a") if label != fallback]
