"""The figures of drift as Markdown; `benchmarks.report` puts them onto the page.

Before: `results`; everything measured is shown, shifts that a rival sees sooner first of all.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from benchmarks.drift.results import Contest, Replay, Wait
from benchmarks.drift.rivals.catalog import OURS, RIVALS
from benchmarks.drift.shifts import SHIFTS

_TITLES = {rival.name: rival.title for rival in RIVALS} | {OURS: "Tidegate"}


def best_rival(contest: Contest) -> str:
    """The rival whose median over the shifts is lowest, at its best window size."""
    return min((name for name in contest.best_sizes if name != OURS), key=lambda name: over_shifts(contest, name))


def over_shifts(contest: Contest, contestant: str) -> float:
    """Median over the shifts of the median rows until the alarm."""
    return median(wait.median for wait in contest.of(contestant).values())


def replay_section(replay: Replay) -> Iterator[str]:
    """False alarms."""
    yield "\n## False alarms of drift\n"
    yield "Drift-free windows replayed, all features on. Measured false alarms over those that the budget allows: 1"
    yield "keeps it; in brackets the 95 % interval over splits, then the share of windows with an alarm open.\n"
    budgets = sorted({line.budget for line in replay.ours})
    header = ["model", "rows a window", "windows", *(f"1 in {budget:.0f} windows" for budget in budgets)]
    cells: dict[tuple[str, int], list[str]] = {}
    for line in sorted(replay.ours, key=lambda each: (each.case, each.size, each.budget)):
        row = cells.setdefault((line.case, line.size), [line.case, str(line.size), str(line.windows)])
        row.append(f"{line.ratio:.2f} ({line.low:.2f} to {line.high:.2f}), {line.alarming:.1%}")
    yield from _table(header, list(cells.values()))
    if replay.rivals:
        yield "\nShare of drift-free windows that the rivals call drift as they are shipped:\n"
        sizes = sorted({line.size for line in replay.rivals})
        yield from _table(["rival", "its default", *map(str, sizes)], list(_verdicts(replay, sizes)))


def _verdicts(replay: Replay, sizes: Sequence[int]) -> Iterator[list[str]]:
    for rival in RIVALS:
        own = [line for line in replay.rivals if line.rival == rival.name]
        shares = []
        for size in sizes:
            windows = sum(line.windows for line in own if line.size == size)
            alarms = sum(line.alarms for line in own if line.size == size)
            shares.append(f"{alarms / windows:.0%} of {windows}" if windows else "-")
        yield [rival.title, rival.verdict, *shares]


def contest_section(contests: Mapping[str, Contest]) -> Iterator[str]:
    """Rows until the alarm, a table a case."""
    yield "\n## Rows until the alarm\n"
    yield "Streams that shift between two windows. Each rival's threshold is set so that it raises as many false alarms"
    yield "per row as Tidegate was measured to, at the window size that is best for it over all shifts. Medians over"
    yield "streams, quartiles in brackets; `>` where the median stream raised none.\n"
    for contest in contests.values():
        names = list(contest.best_sizes)
        yield f"\n### {contest.case}\n"
        yield from _table(
            ["shift", *(f"{_TITLES[name]}, n={contest.best_sizes[name]}" for name in names), "Tidegate / best rival"],
            [*_rows(contest, names), _last(contest, names)],
        )
        yield f"\nTidegate is allowed 1 false alarm in {contest.budget_rows:,} rows and raised {_rates(contest)}.\n"


def _rows(contest: Contest, names: Sequence[str]) -> Iterator[list[str]]:
    waits = {name: contest.of(name) for name in names}
    rival = best_rival(contest)
    for shift in SHIFTS:
        ratio = waits[OURS][shift.name].median / waits[rival][shift.name].median
        yield [shift.title, *(_wait(waits[name][shift.name], contest.limit) for name in names), f"{ratio:.2f}"]


def _last(contest: Contest, names: Sequence[str]) -> list[str]:
    medians = [f"**{over_shifts(contest, name):.0f}**" for name in names]
    rival = best_rival(contest)
    ratio = over_shifts(contest, OURS) / over_shifts(contest, rival)
    return ["median over the shifts", *medians, f"**{ratio:.2f}** ({_TITLES[rival]})"]


def _wait(wait: Wait, limit: int) -> str:
    if wait.median >= limit:
        return f"> {limit}"
    return f"{wait.median:.0f} ({wait.low:.0f} to {wait.high:.0f})"


def _rates(contest: Contest) -> str:
    measured = contest.alarms_per_row.items()
    return ", ".join(f"{rate * contest.budget_rows:.2f} at n={size}" for size, rate in measured)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + "---|" * len(header)
    yield from (f"| {' | '.join(row)} |" for row in rows)
