"""What the sections of the health view have in common: what they are about, and how shares are said.

Before: `health` reads the bundle; after: `health_labels`, `health_confidence`, `health_slices`.
"""

from dataclasses import dataclass

from demos.dashboard.content import Cell, Mark, Number
from tidegate.bundle import Manifest
from tidegate.health import Health, Share, VariantHealth
from tidegate.intervals import wilson


@dataclass(frozen=True, slots=True)
class Subject:
    """A variant of a version, with what was counted of it."""

    manifest: Manifest
    health: Health
    variant: str

    @property
    def name(self) -> str:
        """Of both, for people."""
        return f"version {self.manifest.version}, {self.variant}"

    @property
    def counted(self) -> VariantHealth:
        """What was counted of the variant."""
        return self.health.variants[self.variant]


def counted(right: int, rows: int) -> Share | None:
    """The share of so many rows, with its interval; None of none."""
    return Share(right / rows, *wilson(right / rows, rows)) if rows else None


def percent(value: float) -> str:
    """A share in [0, 1] as per cent."""
    return f"{value:.1%}"


def interval(found: Share) -> str:
    """The ends of an interval, in per cent."""
    return f"{found.low * 100:.1f} to {found.high * 100:.1f}%"


def share(value: float) -> Number:
    """A share in [0, 1] as a cell."""
    return Number(value, percent(value))


def points(value: float) -> Number:
    """A difference of shares as a cell, in points."""
    return Number(value, f"{value * 100:+.1f}")


def spread(low: float, high: float) -> Mark:
    """The ends of an interval of a difference as a cell, in points."""
    return Mark(f"from {low * 100:+.1f} to {high * 100:+.1f}")


def pair(found: Share | None) -> tuple[Cell, Cell]:
    """A share and its interval as two cells."""
    return (None, None) if found is None else (share(found.value), Mark(interval(found)))
