"""Spacing: how often windows may be closed, so that a busy model's cost no more than a quiet one's.

Judging a window takes some 5 ms, which at a thousand predictions a second and a hundred a window is a twentieth of a
core. A burst of windows may close at once; beyond it they grow larger instead, which loses nothing: limits are known
at any size. Before: `writer`, for each model version; after: `closing`. Limits: each process has its own.
"""

BURST = 20  # windows: what a load test of some seconds, or a person who tries things out, gets as asked for


class Spacing:
    """A bucket of windows that may be closed; one comes in every so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left = float(BURST)
        self._at = float("-inf")

    def open(self, now: float) -> bool:
        """Whether a window may be closed now (Unix seconds)."""
        return not self._seconds or self._filled(now) >= 1.0

    def close(self, now: float) -> None:
        """A window has been closed."""
        if self._seconds:
            self._left, self._at = max(self._filled(now) - 1.0, 0.0), now

    def _filled(self, now: float) -> float:
        return min(float(BURST), self._left + max(0.0, now - self._at) / self._seconds)
