"""Results of the right shape, for tests of what is made of them; nothing in them was measured."""

from datetime import UTC, datetime

from benchmarks.parts import Conditions
from benchmarks.results import Agreement, Engine, Load, Overhead, Pair, Results, Scenario, Side, Skew, Turns


def load(texts_per_second: float = 100.0, p50: float = 0.01, p99: float = 0.02, fault: str = "") -> Load:
    """One run."""
    return Load(
        requests_per_second=texts_per_second,
        texts_per_second=texts_per_second,
        p50_seconds=p50,
        p99_seconds=p99,
        requests=100,
        fault=fault,
    )


def turns(callers: int, texts: int, ours: tuple[Load, ...], theirs: tuple[Load, ...]) -> Turns:
    """One scenario."""
    return Turns(scenario=Scenario(callers=callers, texts=texts), ours=ours, theirs=theirs)


def side(agreement: float = 1.0, *, on_list: int = 0, in_crowd: int = 0, memory_mib: float = 100.0) -> Side:
    """One server."""
    labels = Agreement(texts=200, agreement=agreement, depend_on_list=on_list, depend_on_company=in_crowd)
    return Side(cold_seconds=1.0, memory_mib=memory_mib, agreement=labels)


def pair(bar: str, *scenarios: Turns, ours: Side | None = None, title: str = "Rival") -> Pair:
    """One peer."""
    return Pair(
        peer="rival",
        title=title,
        bar=bar,
        conditions=conditions(),
        ours=ours or side(),
        theirs=side(0.98, on_list=3, in_crowd=5),
        turns=scenarios,
    )


def conditions() -> Conditions:
    """Of a machine that does not exist."""
    return Conditions(
        date=datetime(2026, 1, 2, tzinfo=UTC),
        machine="a machine",
        command="python -m benchmarks pairs",
        versions={"python": "3.11.0"},
        model="sentiment 1.",
        texts=200,
    )


def inside(http_p50: float = 0.0055, idle_cpu: float = 0.002, padding: float = 0.1) -> Results:
    """Engine, skew and overhead, all of them good unless told otherwise."""
    return Results(
        engine=Engine(
            conditions=conditions(), ours=(97.0, 98.0), raw=(100.0, 100.0), raw_batch=8, grid={1: 80.0, 8: 100.0}
        ),
        skew=Skew(
            conditions=conditions(),
            under_20=0.5,
            over_300=0.1,
            ours=(90.0,),
            fifo=(50.0,),
            single=(80.0,),
            padding=padding,
            fifo_padding=0.6,
        ),
        overhead=Overhead(
            conditions=conditions(), http_p50=(http_p50,), bare_p50=(0.005,), idle_cpu=idle_cpu, idle_seconds=20.0
        ),
    )
