"""Tidegate and one peer in one run: both up, one parked while the other is measured, turn by turn.

Alternating (A B A B A B) puts a slow minute of the machine on both. Medians are compared; the raw turns are kept.
Client and server share the machine's cores, as in `make bench`'s promise. Before: `prepare` and `environments`;
after: `bars` judges and `report` shows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks.agreement import ask, measure_agreement
from benchmarks.conditions import conditions
from benchmarks.environments import interpreter
from benchmarks.load import SCENARIOS, drive
from benchmarks.peers.catalog import TIDEGATE, Peer
from benchmarks.processes import memory_mib
from benchmarks.results import Load, Pair, Scenario, Side, Turns
from benchmarks.server import Server, running
from benchmarks.workspace import Workspace
from tidegate.cli import console

Rows = Sequence[tuple[str, str]]


class Parkable(Protocol):
    """What can take turns."""

    def park(self) -> None:
        """Stop where it stands."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...


S = TypeVar("S", bound=Parkable)
F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: turns of each server, and seconds of each turn."""

    repeats: int
    seconds: int


def measure_pair(peer: Peer, workspace: Workspace, environments: Path, effort: Effort) -> Pair:
    """Start both, measure every scenario in turn, and what their labels are.

    Raises:
        TidegateError: a server does not start, or answers wrongly.
    """
    rows = workspace.read_texts()
    console.say(f"{peer.name}: environment")
    python = interpreter(peer, environments)
    with running(TIDEGATE, interpreter(TIDEGATE, environments), workspace) as ours:
        ours.park()
        with running(peer, python, workspace) as theirs:
            console.say(f"{peer.name}: ready after {theirs.cold_seconds:.1f} s, Tidegate after {ours.cold_seconds:.1f}")
            theirs.park()
            turns = tuple(_turns(ours, theirs, scenario, workspace, effort) for scenario in SCENARIOS)
            console.say(f"{peer.name}: labels")
            return Pair(
                peer=peer.name,
                title=peer.title,
                bar=peer.bar,
                conditions=conditions(workspace, len(rows), peer),
                ours=_side(ours, rows),
                theirs=_side(theirs, rows),
                turns=turns,
            )


def _turns(ours: Server, theirs: Server, scenario: Scenario, workspace: Workspace, effort: Effort) -> Turns:
    texts = [text for text, _ in workspace.read_texts()]

    def measure(server: Server) -> Load:
        load = drive(server, scenario, texts, effort.seconds, workspace.scratch)
        console.say(
            f"  {scenario.title:>6}  {server.peer.name:<16} {load.texts_per_second:7.0f} texts/s"
            f"  p50 {load.p50_seconds * 1e3:7.1f} ms  p99 {load.p99_seconds * 1e3:7.1f} ms  {load.fault}"
        )
        return load

    first, second = alternate(ours, theirs, effort.repeats, measure)
    return Turns(scenario=scenario, ours=tuple(first), theirs=tuple(second))


def alternate(first: S, second: S, repeats: int, measure: Callable[[S], F]) -> tuple[list[F], list[F]]:
    """Measure two parked servers in turn, `repeats` times each; only the measured one runs."""
    figures: tuple[list[F], list[F]] = ([], [])
    for _ in range(repeats):
        for server, taken in zip((first, second), figures, strict=True):
            server.resume()
            try:
                taken.append(measure(server))
            finally:
                server.park()
    return figures


def _side(server: Server, rows: Rows) -> Side:
    server.resume()
    try:
        return Side(
            cold_seconds=server.cold_seconds,
            memory_mib=memory_mib(server.pid),
            agreement=measure_agreement(server, rows),
        )
    finally:
        server.park()


def try_peer(peer: Peer, workspace: Workspace, environments: Path) -> list[str]:
    """Start one peer alone and ask it a few texts: the labels it gives, alone and as a list."""
    texts = [text for text, _ in workspace.read_texts()[:4]]
    with running(peer, interpreter(peer, environments), workspace) as server:
        return ask(server, texts, 1, 1) + ask(server, texts, len(texts), 1)
