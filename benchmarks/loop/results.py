"""What was measured of the loop, as `benchmarks-results.json` keeps it; by DATA/MODEL.

Written by `command`, read by `tables` and `benchmarks.bars`.
"""

from pydantic import Field

from benchmarks.parts import Conditions, Part


class LabelsNeeded(Part):
    """What the policy needed until it was as good as random sampling at half the pool, of one data set and model."""

    budget: int = Field(description="Random sampling's labels: half the pool.")
    shares: tuple[float, ...] = Field(description="Needed, of the budget; one a seed and repeat, 1.2 for never.")
    control: tuple[float, ...] = Field(description="The same of single random runs.")
    against_plain: tuple[float, ...] = Field(description="As `shares`, but of random sampling by the plain recipe.")
    chosen: tuple[float, ...] = Field(description="Mean accuracy after each round.")
    random: tuple[float, ...]
    plain: tuple[float, ...] = Field(description="Of random sampling by the plain recipe: rows as they are.")

    @property
    def worst(self) -> float:
        """Points by which the policy's mean curve lies below random's, at its worst round; negative is below."""
        return 100.0 * min(ours - even for ours, even in zip(self.chosen, self.random, strict=True))


class Coverage(Part):
    """Simulated estimates of accuracy from chosen labels; shares in [0, 1]."""

    simulations: int
    covered: float = Field(description="Share of intervals that hold the truth.")
    width: float
    bias: float
    unweighted_bias: float = Field(description="Of the chosen labels as they come.")
    random_covered: float = Field(description="Of the random slot's labels alone, with Wilson's interval.")
    random_width: float


class Loop(Part):
    """What the loop was measured to do; by DATA/MODEL."""

    conditions: Conditions
    needed: dict[str, LabelsNeeded] = Field(default_factory=dict)
    coverage: dict[str, Coverage] = Field(default_factory=dict)
