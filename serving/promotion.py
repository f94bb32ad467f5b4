"""Promotion: what a canary's counts say, by rules that are stated here and nowhere else. A pure function.

Before: counts of a rollout (`tidegate.comparisons`); after: `serving.rollouts` moves the alias or waits. A canary goes
back at once when it fails or is slow, and when people say that it is wrong more often; it is promoted when it has been
compared often enough and people say that it is right as often, or, where nobody says anything, when it agrees.
Source of the tests: two proportions, normal approximation, one-sided 5 %.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from tidegate.comparisons import Accuracy, Comparison

FIRST_LOOK_REQUESTS = 50  # fewer tell nothing about errors or latency
ENOUGH_PAIRS = 500  # texts compared before a promotion; 95 % agreement is then known to +- 2 points
ENOUGH_FEEDBACK = 50  # of each version
MORE_ERRORS = 0.02  # share of requests
SLOWER = 2.0  # times the champion's median
AGREEMENT = 0.95
_ONE_SIDED = 1.645


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a canary, and why."""

    decision: Literal["promote", "rollback", "wait"]
    reason: str


def judge(
    champion: Comparison, canary: Comparison, champions: Accuracy | None = None, canarys: Accuracy | None = None
) -> Verdict:
    """What to do with a canary.

    Args:
        champion: counts of the champion over this rollout.
        canary: counts of the canary.
        champions: accuracy of the champion by feedback; None where there is none.
        canarys: that of the canary.
    """
    fault = _fault(champion, canary) or _less_right(champions, canarys)
    if fault:
        return Verdict("rollback", fault)
    if canary.paired < ENOUGH_PAIRS:
        return Verdict("wait", f"{canary.paired} of {ENOUGH_PAIRS} texts are compared")
    if _enough(champions) and _enough(canarys):
        return Verdict("promote", f"no more errors, no slower, and right as often ({_share(canarys)} of its feedback)")
    agreement = canary.agreed / canary.paired
    if agreement < AGREEMENT:
        return Verdict(
            "wait",
            f"it agrees on {agreement:.1%} of {canary.paired} texts, less than {AGREEMENT:.0%}; feedback "
            f"({ENOUGH_FEEDBACK} of each version) or a person must say which of the two is right",
        )
    return Verdict("promote", f"no more errors, no slower, and it agrees on {agreement:.1%} of {canary.paired} texts")


def _fault(champion: Comparison, canary: Comparison) -> str:
    if canary.requests < FIRST_LOOK_REQUESTS:
        return ""
    failed, usual = _errors(canary), _errors(champion)
    if failed > usual + MORE_ERRORS:
        return f"{failed:.1%} of its requests failed, {usual:.1%} of the champion's"
    theirs, its = champion.quantile(0.5), canary.quantile(0.5)
    if champion.requests >= FIRST_LOOK_REQUESTS and theirs and its and its > SLOWER * theirs:
        return f"its median is {its * 1e3:.1f} ms, the champion's {theirs * 1e3:.1f} ms"
    return ""


def _less_right(champions: Accuracy | None, canarys: Accuracy | None) -> str:
    if champions is None or canarys is None or not _enough(champions) or not _enough(canarys):
        return ""
    one, other = champions.right / champions.total, canarys.right / canarys.total
    pooled = (champions.right + canarys.right) / (champions.total + canarys.total)
    spread = sqrt(pooled * (1 - pooled) * (1 / champions.total + 1 / canarys.total))
    if one - other > _ONE_SIDED * spread and one > other:
        return f"by feedback it is right on {_share(canarys)}, the champion on {_share(champions)}"
    return ""


def _enough(accuracy: Accuracy | None) -> bool:
    return accuracy is not None and accuracy.total >= ENOUGH_FEEDBACK


def _errors(counts: Comparison) -> float:
    return counts.errors / counts.requests if counts.requests else 0.0


def _share(accuracy: Accuracy | None) -> str:
    return f"{accuracy.right / accuracy.total:.1%} of {accuracy.total}" if accuracy and accuracy.total else "nothing"
