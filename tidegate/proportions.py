"""Two shares compared: how surprising it is that so many of these and so many of those are of a kind.

Fisher's exact test, since words and rare classes are counted in ones and twos, where a z-test's tail is wrong by orders
of magnitude. Used by `monitoring.words`, `monitoring.attribution` and `exporters.slices`. Source: Fisher 1934; the
hypergeometric tail is summed by the ratio of neighbouring terms, in logarithms, so that no count underflows.
"""

import math

_NEGLIGIBLE = 1e-12


def surprise(before: int, of_before: int, now: int, of_now: int) -> float:
    """-log10 of the two-sided p-value (twice the smaller tail, at most 1) that both shares are one.

    Args:
        before: rows of the kind among the first ...
        of_before: ... of this many rows.
        now: rows of the kind among the second ...
        of_now: ... of this many rows.
    """
    kind, rows = before + now, of_before + of_now
    if now * rows < kind * of_now:  # fewer than expected: more than expected of the others
        return surprise(of_before - before, of_before, of_now - now, of_now)
    return max(-(_log_tail(now, kind, of_now, rows) + math.log(2)) / math.log(10), 0.0)


def _log_tail(least: int, kind: int, drawn: int, rows: int) -> float:
    """Log of the chance that `drawn` of `rows` rows hold `least` or more of the `kind` there are."""
    log_first = _log_choose(kind, least) + _log_choose(rows - kind, drawn - least) - _log_choose(rows, drawn)
    term = total = 1.0
    for held in range(least, min(kind, drawn)):
        term *= (kind - held) * (drawn - held) / ((held + 1) * (rows - kind - drawn + held + 1))
        total += term
        if term < _NEGLIGIBLE * total:
            break
    return log_first + math.log(total)


def _log_choose(of: int, taken: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(taken + 1) - math.lgamma(of - taken + 1)
