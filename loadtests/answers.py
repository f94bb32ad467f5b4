"""Is an answer right? A status of 200 is not enough: a wrong answer counts as a failure, by kind.

After `locustfile` got an answer, before `tally` counts it. The kinds are few and never carry text of the
answer, so that a report stays small however badly a server fails. Contract: design §5, `POST predict`.
"""

import math
import re
from collections.abc import Set
from typing import Any

import orjson

STAGES = ("queue", "tokenize", "infer")
_STAGE = re.compile(r"\s*([\w-]+)\s*;\s*dur=(\d+(?:\.\d+)?)\s*")


def failure_of(status: int, body: bytes | None, texts: int, labels: Set[str]) -> str:
    """The kind of failure, or "" for a right answer.

    Args:
        status: HTTP status.
        body: what was answered.
        texts: how many texts were sent; the answer must hold one list for each.
        labels: every label the model may answer.
    """
    if status != 200:
        return f"HTTP {status}"
    try:
        answer = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return "wrong answer: no JSON"
    if not isinstance(answer, list) or len(answer) != texts:
        return "wrong answer: not one list per text"
    return next(filter(None, (_fault(ranking, labels) for ranking in answer)), "")


def _fault(ranking: Any, labels: Set[str]) -> str:
    """What is wrong with the list of one text, or ""."""
    if not isinstance(ranking, list) or not ranking or not all(isinstance(pair, dict) for pair in ranking):
        return "wrong answer: no list of labels and scores"
    if any(pair.get("label") not in labels for pair in ranking):
        return "wrong answer: a label the model does not have"
    if not all(_probable(pair.get("score")) for pair in ranking):
        return "wrong answer: a score outside [0, 1]"
    return ""


def _probable(score: Any) -> bool:
    # a softmax in float32 may sum to a hair above one
    return isinstance(score, int | float) and math.isfinite(score) and -1e-6 <= score <= 1 + 1e-6


def stages_of(server_timing: str | None) -> dict[str, float]:
    """Seconds per stage (`STAGES`) from a `server-timing` header, `queue;dur=1.5, infer;dur=8.0` in ms.

    Source: W3C Server Timing, https://www.w3.org/TR/server-timing/. Other stages and bad numbers are left out.
    """
    entries = (_STAGE.fullmatch(entry) for entry in (server_timing or "").split(","))
    return {entry[1]: float(entry[2]) / 1e3 for entry in entries if entry and entry[1] in STAGES}
