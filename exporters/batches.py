"""Waiting rows to runs, by a plan: what a busy server does, without its queue. And what a run costs beyond its tokens.

Used by `trial`, which times every text at once. Pure functions. Limits: the server's own cutting
(`serving.batch`) sees a moving queue and bounds waiting; here all rows are there from the start.
"""

from collections.abc import Sequence

import numpy as np

from tidegate.plan import RUN_TOKENS, Plan
from tidegate.preprocess import Encoded

Point = tuple[int, float]  # (padded tokens of a run, its seconds)

# A fixed cost beyond it would have the batcher pad without end; a GPU's 5 ms start costs about 500 tokens.
_MOST_RUN_TOKENS = 512.0
_MOST_POINTS = 400  # pairs grow with the square


def cut(rows: Sequence[Encoded], plan: Plan) -> list[list[int]]:
    """Indices of the rows of each run: rows of like length together, longest first, within the plan's bounds."""
    runs: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(rows)), key=lambda index: -rows[index].length):
        size = len(runs[-1]) + 1 if runs else 0
        if not size or size > plan.max_batch_rows or size * longest > plan.max_batch_tokens:
            runs.append([])
            longest = rows[index].length
        runs[-1].append(index)
    return runs


def padded_tokens(rows: Sequence[Encoded], plan: Plan) -> int:
    """Tokens of a run once padded."""
    longest = max(row.length for row in rows)
    return len(rows) * -(-longest // plan.length_multiple) * plan.length_multiple


def run_tokens(points: Sequence[Point]) -> float:
    """Fixed cost of a run in tokens: intercept over slope of seconds on padded tokens.

    By the median of the slopes between runs (Theil 1950, Sen 1968), because on a shared machine some runs take several
    times as long as others. The default of an unmeasured graph when the runs say nothing (too few, of one size, or no
    dearer for more tokens), and never less: a batcher that believes that runs cost nothing pads nothing and batches
    only texts of equal length.
    """
    tokens, seconds = np.array(points[:_MOST_POINTS], dtype=np.float64).reshape(-1, 2).T
    if len(set(tokens.tolist())) < 3:
        return RUN_TOKENS
    more = tokens[None, :] - tokens[:, None]  # (runs, runs)
    longer = seconds[None, :] - seconds[:, None]
    slope = float(np.median(longer[more > 0] / more[more > 0]))
    if slope <= 0:
        return RUN_TOKENS
    fixed = float(np.median(seconds - slope * tokens))
    return round(float(np.clip(fixed / slope, RUN_TOKENS, _MOST_RUN_TOKENS)), 1)
