"""The figures as Markdown, written into docs/reference/benchmarks.md between two markers; the prose around stays.

Before: `benchmarks-results.json`. Everything measured is shown, what was missed and where Tidegate is slower first
of all.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bars import Verdict, judge, p50, p99, ratio, throughput
from benchmarks.drift.tables import contest_section, replay_section
from benchmarks.loop.tables import loop_section
from benchmarks.parts import Conditions
from benchmarks.results import Load, Pair, Results, Turns, middle
from tidegate.environments import CHECKOUT
from tidegate.errors import UsageError

PAGE = CHECKOUT / "docs" / "reference" / "benchmarks.md"
BEGIN = "<!-- figures: written by `python -m benchmarks report` -->"
END = "<!-- end of figures -->"


def write_page(page: Path, results: Results) -> None:
    """Replace what stands between the markers.

    Raises:
        UsageError: the page has no markers.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"{page} has no place for figures; put these two lines into it: {BEGIN} {END}")
    page.write_text(f"{before}{BEGIN}\n\n{render(results)}\n{END}{after}", encoding="utf-8")


def render(results: Results) -> str:
    """Every table."""
    verdicts = judge(results)
    if not verdicts:
        return "Nothing was measured yet.\n"
    parts = ["## Against the bars", *_verdicts(verdicts), "\n## Where Tidegate loses", *_losses(results)]
    for pair in results.pairs.values():
        parts += [f"\n## Tidegate and {pair.title}", *_pair(pair)]
    return "\n".join([*parts, *_inside(results), *_drift(results), *_loop(results)]) + "\n"


def verdict_rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Cells of the table of verdicts, for a terminal or a page."""
    return [[v.work, v.bar, v.found, "met" if v.met else "NOT MET"] for v in verdicts]


def _verdicts(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield "\nRatios are Tidegate's median over the other's; in brackets the lowest and highest of the turns.\n"
    yield from _table(["work", "bar", "found", ""], verdict_rows(verdicts))


def _losses(results: Results) -> Iterator[str]:
    """Every figure in which a peer is better, whether or not there is a bar for it."""
    found = [f"- {line}" for pair in results.pairs.values() for line in _lost(pair)]
    yield "\n" + ("\n".join(found) if found else "In none of the figures below.") + "\n"


def _lost(pair: Pair) -> Iterator[str]:
    for turns in pair.turns:
        if turns.fault:
            continue
        for name, figure, better in (
            ("texts/s", throughput(turns), throughput(turns).middle >= 1),
            ("p50", p50(turns), p50(turns).middle <= 1),
            ("p99", p99(turns), p99(turns).middle <= 1),
        ):
            if not better:
                yield f"{turns.scenario.title}, {name}: {figure} x that of {pair.title}"
    if pair.ours.memory_mib > pair.theirs.memory_mib:
        yield f"memory: {pair.ours.memory_mib:.0f} MiB against {pair.theirs.memory_mib:.0f} of {pair.title}"
    if pair.ours.cold_seconds > pair.theirs.cold_seconds:
        yield f"start to ready: {pair.ours.cold_seconds:.1f} s against {pair.theirs.cold_seconds:.1f} of {pair.title}"


def _pair(pair: Pair) -> Iterator[str]:
    yield ""
    header = ["callers x texts", "texts/s", "p50 / p99 ms", "theirs: texts/s", "p50 / p99 ms", "texts/s ratio"]
    yield from _table(header, [_turns(turns) for turns in pair.turns])
    rows = []
    for title, side in (("Tidegate", pair.ours), (pair.title, pair.theirs)):
        labels = side.agreement
        changed = f"{labels.depend_on_list} in lists, {labels.depend_on_company} in a crowd, of {labels.texts}"
        rows.append(
            [title, f"{labels.agreement:.2%}", changed, f"{side.memory_mib:.0f} MiB", f"{side.cold_seconds:.1f} s"]
        )
    yield ""
    yield from _table(["", "labels as the source model", "labels that depend on company", "memory", "start"], rows)
    yield from _conditions(pair.conditions)


def _turns(turns: Turns) -> list[str]:
    if turns.fault:
        return [turns.scenario.title, "-", "-", "-", "-", f"invalid: {turns.fault}"]
    return [turns.scenario.title, *_loads(turns.ours), *_loads(turns.theirs), str(throughput(turns))]


def _loads(loads: tuple[Load, ...]) -> list[str]:
    rates = tuple(load.texts_per_second for load in loads)
    half = middle(tuple(load.p50_seconds for load in loads)) * 1e3
    tail = middle(tuple(load.p99_seconds for load in loads)) * 1e3
    return [f"{middle(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})", f"{half:.1f} / {tail:.1f}"]


def _inside(results: Results) -> Iterator[str]:
    if results.engine is not None:
        engine = results.engine
        yield "\n## The engine without HTTP\n"
        yield f"{_rates(engine.ours)} texts/s through the batcher, {_rates(engine.raw)} by the best raw loop"
        yield f"(batches of {engine.raw_batch}): {ratio(engine.ours, engine.raw)}.\n"
        yield from _table(["raw loop, batch", "texts/s"], [[str(size), f"{v:.0f}"] for size, v in engine.grid.items()])
        yield from _conditions(engine.conditions)
    if results.skew is not None:
        skew = results.skew
        yield "\n## Skewed lengths\n"
        yield f"{skew.under_20:.0%} of the texts under 20 tokens, {skew.over_300:.0%} over 300.\n"
        rows = [["Tidegate", _rates(skew.ours), f"{skew.padding:.1%}"]]
        rows.append(["first come, first served", _rates(skew.fifo), f"{skew.fifo_padding:.1%}"])
        rows.append(["one text a run", _rates(skew.single), "0.0%"])
        yield from _table(["batching", "texts/s", "padding"], rows)
        yield from _conditions(skew.conditions)
    if results.overhead is not None:
        over = results.overhead
        yield "\n## One caller of an idle server\n"
        yield f"p50 over HTTP {middle(over.http_p50) * 1e3:.2f} ms,"
        yield f"of tokenize and run {middle(over.bare_p50) * 1e3:.2f} ms."
        yield f"Left alone for {over.idle_seconds:.0f} s the server used {over.idle_cpu:.2%} of a core."
        yield from _conditions(over.conditions)

    if results.overload is not None:
        load = results.overload
        yield "\n## Three times the peak\n"
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(load.statuses.items()))
        yield f"Peak {load.peak:.0f} texts/s at a p99 of {load.peak_p99 * 1e3:.0f} ms, four texts a request."
        yield f"Three times as much for {load.seconds:.0f} s: {statuses}; {load.goodput:.0f} texts/s in time,"
        yield f"p99 of what was accepted {load.accepted_p99 * 1e3:.0f} ms."
        yield from _conditions(load.conditions)


def _drift(results: Results) -> Iterator[str]:
    if results.replay is not None:
        yield from replay_section(results.replay)
        yield from _conditions(results.replay.conditions)
    if results.contests:
        yield from contest_section(results.contests)
        yield from _conditions(next(iter(results.contests.values())).conditions)
    if results.monitoring is not None:
        added = results.monitoring
        yield "\n## With monitoring and without\n"
        yield f"{added.callers} callers: {_rates(added.on)} texts/s monitored, {_rates(added.off)} not."
        tails = [f"{middle(side) * 1e3:.2f} ms" for side in (added.on_p99, added.off_p99)]
        yield f"At {added.rate:.0f} requests/s, whether answers come or not: p99 {tails[0]} monitored, {tails[1]} not."
        yield from _conditions(added.conditions)


def _loop(results: Results) -> Iterator[str]:
    if results.loop is not None:
        yield from loop_section(results.loop)
        yield from _conditions(results.loop.conditions)


def _rates(values: tuple[float, ...]) -> str:
    return f"{middle(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def _conditions(conditions: Conditions) -> Iterator[str]:
    versions = ", ".join(f"{name} {number}" for name, number in conditions.versions.items())
    yield f"\n{conditions.date:%Y-%m-%d}, {conditions.machine}. `{conditions.command}`. {conditions.texts} texts."
    yield f"Model: {conditions.model} Versions: {versions}.\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + "---|" * len(header)
    yield from (f"| {' | '.join(row)} |" for row in rows)
