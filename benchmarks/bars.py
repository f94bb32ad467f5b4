"""What each figure is held against, and whether it was met. Pure functions over the results.

The bars are ratios between things measured in the same run, so that they mean the same on any machine; each was
fixed before anything was measured. A figure that was not measured is neither met nor missed: it is left out.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.drift.rivals.catalog import OURS
from benchmarks.drift.tables import best_rival, over_shifts
from benchmarks.results import Load, Pair, Results, Turns, middle

CROWD = "64 x 1"
LISTS = "8 x 32"
ALONE = "1 x 1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bar and what was found.

    Attributes:
        bar: as people read it.
        found: the figure, with what it was taken from.
    """

    work: str
    bar: str
    found: str
    met: bool


@dataclass(frozen=True, slots=True)
class Ratio:
    """Of medians, with the lowest and highest of the turns."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        """As in tables."""
        return f"{self.middle:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(ours: tuple[float, ...], theirs: tuple[float, ...]) -> Ratio:
    """Ours over theirs; both hold one figure a turn, in the order they were measured."""
    turns = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return Ratio(middle(ours) / middle(theirs), min(turns), max(turns))


def throughput(turns: Turns) -> Ratio:
    """Texts a second, ours over theirs: above 1 is better."""
    return _ratio(turns, lambda load: load.texts_per_second)


def p99(turns: Turns) -> Ratio:
    """Ours over theirs: below 1 is better."""
    return _ratio(turns, lambda load: load.p99_seconds)


def p50(turns: Turns) -> Ratio:
    """Ours over theirs: below 1 is better."""
    return _ratio(turns, lambda load: load.p50_seconds)


def _ratio(turns: Turns, figure: Callable[[Load], float]) -> Ratio:
    return ratio(tuple(map(figure, turns.ours)), tuple(map(figure, turns.theirs)))


def judge(results: Results) -> list[Verdict]:
    """Every bar that something was measured for, in the order of the table of bars."""
    verdicts = [*_engine(results)]
    for pair in results.pairs.values():
        verdicts += _pair(pair)
    return [
        *verdicts,
        *_labels(results),
        *_overhead(results),
        *_skew(results),
        *_overload(results),
        *_drift(results),
        *_loop(results),
    ]


def _engine(results: Results) -> Iterator[Verdict]:
    if results.engine is not None:
        found = ratio(results.engine.ours, results.engine.raw)
        yield Verdict("engine in process vs the best raw loop", ">= 0.95", str(found), found.middle >= 0.95)


def _pair(pair: Pair) -> Iterator[Verdict]:
    """The bars of one rival: by how much in a crowd, at what p99, and the p50 of a lone caller."""
    for turns in pair.turns:
        scenario = turns.scenario.title
        work = f"{scenario} vs {pair.title}"
        if turns.fault:
            yield Verdict(work, "every request answered", turns.fault, met=False)
            continue
        least = {"pipeline": {CROWD: 20.0}, "simple": {CROWD: 2.0}, "framework": {CROWD: 2.5, LISTS: 2.5}}
        factor = least[pair.bar].get(scenario)
        if factor is not None:
            found = throughput(turns)
            yield Verdict(f"{work}, texts/s", f">= {factor:g} x", str(found), found.middle >= factor)
        if factor is not None and pair.bar != "pipeline":
            tail = p99(turns)
            yield Verdict(f"{work}, p99", "<= 0.5 x", str(tail), tail.middle <= 0.5)
        if scenario == ALONE:
            alone = p50(turns)
            yield Verdict(f"{work}, p50", "<= 1 x", str(alone), alone.middle <= 1)


def _labels(results: Results) -> Iterator[Verdict]:
    """The worst of all pairs: every run of ours has to agree."""
    sides = [pair.ours.agreement for pair in results.pairs.values()]
    if sides:
        agreement = min(side.agreement for side in sides)
        changed = max(max(side.depend_on_list, side.depend_on_company) for side in sides)
        yield Verdict("labels that are the source model's", ">= 99.5 %", f"{agreement:.2%}", agreement >= 0.995)
        yield Verdict("labels that depend on batch-mates", "none", str(changed), changed == 0)


def _overhead(results: Results) -> Iterator[Verdict]:
    if results.overhead is None:
        return
    overhead = results.overhead
    added = middle(overhead.http_p50) - middle(overhead.bare_p50)
    yield Verdict("p50 over HTTP minus p50 of tokenize and run", "<= 1.0 ms", f"{added * 1e3:.2f} ms", added <= 1e-3)
    idle = overhead.idle_cpu
    yield Verdict("idle CPU, share of one core", "< 1 %", f"{idle:.2%}", idle < 0.01)


def _skew(results: Results) -> Iterator[Verdict]:
    if results.skew is None:
        return
    found, waste = ratio(results.skew.ours, results.skew.fifo), results.skew.padding
    yield Verdict("skewed lengths vs FIFO batching, texts/s", ">= 1.5 x", str(found), found.middle >= 1.5)
    yield Verdict("skewed lengths, padding", "<= 15 %", f"{waste:.1%}", waste <= 0.15)


def _overload(results: Results) -> Iterator[Verdict]:
    if results.overload is None:
        return
    found, work = results.overload, f"three times the peak for {results.overload.seconds:.0f} s"
    share, late = found.goodput / found.peak, found.accepted_p99 / found.peak_p99
    yield Verdict(f"{work}: answered in time, share of the peak", ">= 90 %", f"{share:.1%}", share >= 0.9)
    yield Verdict(f"{work}: p99 of what was accepted, of the peak's", "<= 2 x", f"{late:.2f}", late <= 2)
    quick, error = found.refusal_p50, found.retry_error
    yield Verdict(f"{work}: a refusal takes, median", "< 10 ms", f"{quick * 1e3:.1f} ms", quick < 0.01)
    yield Verdict(f"{work}: error of Retry-After, median", "<= 30 %", f"{error:.0%}", error <= 0.3)
    grown = found.memory_growth
    yield Verdict(f"{work}: memory grown", "<= 5 %", f"{grown:+.1%}", grown <= 0.05)
    yield Verdict(f"{work}: requests without an answer", "0", str(found.hung), found.hung == 0)


def _drift(results: Results) -> Iterator[Verdict]:
    """False alarms against the budget, rows until the alarm against the best rival, and what monitoring costs."""
    if results.replay is not None and results.replay.ours:
        worst = max(results.replay.ours, key=lambda line: abs(math.log(max(line.ratio, 1e-3))))
        found = f"{worst.ratio:.2f} x at worst ({worst.case}, n={worst.size}, 1 in {worst.budget:.0f} windows)"
        yield Verdict("false alarms over the budget", "0.5 to 2 x", found, 0.5 <= worst.ratio <= 2)
    for case, contest in results.contests.items():
        rival = best_rival(contest)
        share = over_shifts(contest, OURS) / over_shifts(contest, rival)
        yield Verdict(f"rows until the alarm, {case}, vs {rival}", "<= 0.5 x", f"{share:.2f}", share <= 0.5)
    if results.monitoring is not None:
        added = results.monitoring
        kept = ratio(added.on, added.off)
        yield Verdict("texts/s with monitoring, of those without", ">= 0.98 x", str(kept), kept.middle >= 0.98)
        late = middle(tuple(on - off for on, off in zip(added.on_p99, added.off_p99, strict=True)))
        yield Verdict("p99 that monitoring adds", "<= 100 us", f"{late * 1e6:.0f} us", late <= 100e-6)


def _loop(results: Results) -> Iterator[Verdict]:
    """Labels needed of random's, the worst round, and coverage; the bars are stricter for frozen encoders."""
    if results.loop is None:
        return
    for name, part in results.loop.needed.items():
        bar, found = (0.35 if name.endswith("/minilm") else 0.6), median(part.shares)
        yield Verdict(f"labels needed, {name}", f"<= {bar:.0%} of random's", f"{found:.0%}", found <= bar)
        yield Verdict(
            f"against random at equal labels, {name}", ">= -0.5 points", f"{part.worst:+.1f}", part.worst >= -0.5
        )
    for name, cover in results.loop.coverage.items():
        yield Verdict(
            f"estimate from chosen labels, {name}", "covers >= 90 %", f"{cover.covered:.1%}", cover.covered >= 0.9
        )
