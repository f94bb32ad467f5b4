"""Canaries are judged by the stated rules and by nothing else."""

import pytest

from serving.promotion import ENOUGH_PAIRS, judge
from tidegate.comparisons import Accuracy, Comparison


def counts(requests: int = 200, errors: int = 0, seconds: float = 0.01, paired: int = 0, agreed: int = 0) -> Comparison:
    made = Comparison(paired=paired, agreed=agreed)
    for number in range(requests):
        made.observe(seconds, failed=number < errors)
    return made


ENOUGH = {"paired": ENOUGH_PAIRS, "agreed": ENOUGH_PAIRS}


@pytest.mark.parametrize(
    ("canary", "decision", "reason"),
    [
        (counts(), "wait", "0 of 500 texts are compared"),
        (counts(**ENOUGH), "promote", "agrees on 100.0%"),
        (counts(paired=ENOUGH_PAIRS, agreed=450), "wait", "agrees on 90.0% of 500 texts, less than 95%"),
        (counts(errors=10), "rollback", "5.0% of its requests failed, 0.0% of the champion's"),
        (counts(requests=20, errors=20), "wait", "0 of 500"),  # too few to tell
        (counts(seconds=0.05, **ENOUGH), "rollback", "its median is"),
        (counts(requests=0, **ENOUGH), "promote", "agrees"),
    ],
)
def test_without_feedback(canary: Comparison, decision: str, reason: str) -> None:
    verdict = judge(counts(), canary)

    assert verdict.decision == decision
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("champion", "canary", "decision"),
    [
        (Accuracy(90, 100), Accuracy(70, 100), "rollback"),
        (Accuracy(90, 100), Accuracy(89, 100), "promote"),  # no worse than chance allows
        (Accuracy(70, 100), Accuracy(90, 100), "promote"),
        (Accuracy(0, 0), Accuracy(0, 40), "wait"),  # not enough to overrule disagreement
    ],
)
def test_feedback_decides_where_there_is_enough(champion: Accuracy, canary: Accuracy, decision: str) -> None:
    disagreeing = counts(paired=ENOUGH_PAIRS, agreed=400)

    assert judge(counts(), disagreeing, champion, canary).decision == decision


def test_a_champion_that_fails_as_often_does_not_condemn_its_canary() -> None:
    assert judge(counts(errors=20), counts(errors=20, **ENOUGH)).decision == "promote"
