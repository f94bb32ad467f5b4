"""Durations as people write them: `100ms`, `2.5s`, `3m`."""

import re

from tidegate.errors import UsageError

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")


def parse_seconds(text: str, name: str, shortest: float, longest: float) -> float:
    """`100ms` to 0.1; `name` says in an error which option was wrong.

    Raises:
        UsageError: not a number with a unit, or outside [shortest, longest] seconds.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{name} {text!r} is no duration; write a number and a unit, such as 100ms, 30s or 2m")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not shortest <= seconds <= longest:
        raise UsageError(f"{name} {text!r} is out of range; use {shortest:g}s to {longest:g}s")
    return seconds
