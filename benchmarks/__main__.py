"""`python -m benchmarks`: prepare a model, measure, and write the page.

Each command replaces its own part of the results file, so that parts can be measured one by one. Every server is
ended when a command ends, however it ends.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks import bars, changes, report
from benchmarks.demos import command as demos
from benchmarks.drift import command as drift
from benchmarks.engine import measure_engine
from benchmarks.load import find_wrk
from benchmarks.loop import command as loop
from benchmarks.monitoring import measure_monitoring
from benchmarks.overhead import measure_overhead
from benchmarks.overload import measure_overload
from benchmarks.pairs import Effort, measure_pair, try_peer
from benchmarks.path import measure_path
from benchmarks.peers.catalog import PEERS, Peer, find
from benchmarks.prepare import prepare as make
from benchmarks.recording import SIZES, measure_recording
from benchmarks.results import Results, read_results, write_results
from benchmarks.skew import measure_skew
from benchmarks.workspace import Workspace
from tidegate.cli import console
from tidegate.environments import CHECKOUT
from tidegate.errors import TidegateError, UsageError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Tidegate against its peers, on this machine.",
)
app.add_typer(demos.app, name="demos")
app.add_typer(drift.app, name="drift")
app.add_typer(loop.app, name="loop")

Work = Annotated[Path, typer.Option(help="Work folder, made by `prepare`.")]
Environments = Annotated[Path, typer.Option(help="Where each peer's environment is made.")]
Chosen = Annotated[str, typer.Option("--peers", help="Names, separated by commas.", show_default="all")]
Repeats = Annotated[int, typer.Option(min=1, help="Turns of each side; a claim needs at least 3.")]
Seconds = Annotated[int, typer.Option(min=1, help="Length of one turn under load.")]
Out = Annotated[Path, typer.Option(help="Results file; other parts of it stay.")]

WORK = CHECKOUT / ".bench"
ENVIRONMENTS = CHECKOUT / ".venv-peers"
OUT = Path("benchmarks-results.json")


@app.command()
def prepare(
    data: Annotated[Path | None, typer.Option(help="CSV with columns text and label to train on.")] = None,
    work: Work = WORK,
) -> None:
    """Train, register and export the model that everybody serves."""
    make(Workspace(work), data)


@app.command()
def check(peers: Chosen = "", work: Work = WORK, environments: Environments = ENVIRONMENTS) -> None:
    """Start each peer and ask it a few texts; nothing is measured."""

    def ask(peer: Peer) -> None:
        console.out(f"{peer.name}: {', '.join(try_peer(peer, Workspace(work), environments))}")

    _each(_named(peers), ask)


@app.command()
def pairs(
    peers: Chosen = "",
    repeats: Repeats = 3,
    seconds: Seconds = 10,
    work: Work = WORK,
    environments: Environments = ENVIRONMENTS,
    out: Out = OUT,
) -> None:
    """Tidegate and each peer in turn, over HTTP."""
    find_wrk()
    read_results(out)  # what cannot be kept is said now, not after minutes

    def measure(peer: Peer) -> None:
        pair = measure_pair(peer, Workspace(work), environments, Effort(repeats, seconds))
        results = read_results(out)
        _keep(out, results.model_copy(update={"pairs": results.pairs | {peer.name: pair}}))

    try:
        _each(_named(peers), measure)
    finally:
        _show(read_results(out))


@app.command()
def engine(repeats: Repeats = 5, work: Work = WORK, out: Out = OUT) -> None:
    """The engine and its batcher against the best raw loop, in one process."""
    read_results(out)
    part = measure_engine(Workspace(work), repeats)
    _keep(out, read_results(out).model_copy(update={"engine": part}))
    _show(read_results(out))


@app.command()
def skew(repeats: Repeats = 3, work: Work = WORK, out: Out = OUT) -> None:
    """Skewed lengths: our batching against first come, first served."""
    read_results(out)
    part = measure_skew(Workspace(work), repeats)
    _keep(out, read_results(out).model_copy(update={"skew": part}))
    _show(read_results(out))


@app.command()
def overhead(
    repeats: Repeats = 3, work: Work = WORK, environments: Environments = ENVIRONMENTS, out: Out = OUT
) -> None:
    """One caller of an idle server, and the idle server alone."""
    read_results(out)
    part = measure_overhead(Workspace(work), environments, repeats)
    _keep(out, read_results(out).model_copy(update={"overhead": part}))
    _show(read_results(out))


@app.command()
def path(repeats: Repeats = 5) -> None:
    """Steps of the request path before and after they were made cheaper; prints them, keeps nothing."""
    rows = [[step, f"{before:.1f}", f"{after:.1f}"] for step, before, after in measure_path(repeats)]
    console.table("microseconds a request", ["step", "before", "after"], rows)


@app.command()
def recording() -> None:
    """What monitoring costs a record, by stage; prints it, keeps nothing."""
    rows = [[cost.kind, cost.stage, *(f"{each:.1f}" for each in cost.microseconds)] for cost in measure_recording()]
    console.table("microseconds of CPU a record", ["model", "stage", *(f"batches of {n}" for n in SIZES)], rows)


@app.command("all")
def everything(
    peers: Chosen = "",
    repeats: Repeats = 3,
    seconds: Seconds = 10,
    data: Annotated[Path | None, typer.Option(help="CSV to train on, where nothing is prepared yet.")] = None,
    work: Work = WORK,
    environments: Environments = ENVIRONMENTS,
    out: Out = OUT,
) -> None:
    """Prepare, then measure everything: about 5 minutes a peer."""
    find_wrk()
    prepare(data, work)
    overhead(repeats, work, environments, out)
    engine(repeats, work, out)
    skew(repeats, work, out)
    pairs(peers, repeats, seconds, work, environments, out)


@app.command("changes")
def change_under_load(
    switches: Annotated[int, typer.Option(min=0, help="Moves of the champion.")] = 200,
    restart: Annotated[int, typer.Option(min=0, help="Restarts of the server.")] = 20,
) -> None:
    """Aliases that move and servers that are restarted under load; prints what callers saw, keeps nothing."""
    with TemporaryDirectory() as folder:
        changes.show(Path(folder), switches, restart)


@app.command("overload")
def ask_too_much(
    seconds: Annotated[float, typer.Option(min=3, help="Length of the overload.")] = 60,
    work: Work = WORK,
    environments: Environments = ENVIRONMENTS,
    out: Out = OUT,
) -> None:
    """Three times more than the server can answer."""
    read_results(out)
    part = measure_overload(Workspace(work), environments, seconds)
    _keep(out, read_results(out).model_copy(update={"overload": part}))
    _show(read_results(out))


@app.command()
def monitoring(
    repeats: Repeats = 5,
    seconds: Seconds = 10,
    work: Work = WORK,
    environments: Environments = ENVIRONMENTS,
    out: Out = OUT,
) -> None:
    """The same server with monitoring and without, in turn: throughput at saturation, p99 at half of it."""
    find_wrk()
    read_results(out)
    part = measure_monitoring(Workspace(work), environments, Effort(repeats, seconds))
    _keep(out, read_results(out).model_copy(update={"monitoring": part}))
    _show(read_results(out))


@app.command("report")
def write_report(out: Out = OUT, page: Annotated[Path, typer.Option(help="The page.")] = report.PAGE) -> None:
    """Write the figures into the page."""
    report.write_page(page, read_results(out))
    console.say(f"wrote {page}")


def _each(peers: Sequence[Peer], work: Callable[[Peer], None]) -> None:
    """Do something with every peer; one that fails is told of at once and does not stop the others.

    Raises:
        TidegateError: some failed; carries their names.
    """
    failed = []
    for peer in peers:
        try:
            work(peer)
        except TidegateError as error:
            console.fail(f"{peer.name}: {error}")
            failed.append(peer.name)
    if failed:
        raise TidegateError(f"not done: {', '.join(failed)}; their own messages are above")


def _named(names: str) -> list[Peer]:
    try:
        return [find(name.strip()) for name in names.split(",")] if names else list(PEERS)
    except KeyError as error:
        raise UsageError(f"--peers: {error.args[0]}") from None


def _keep(out: Path, results: Results) -> None:
    write_results(out, results)
    console.say(f"results are in {out}")


def _show(results: Results) -> None:
    console.table("Against the bars", ["work", "bar", "found", ""], report.verdict_rows(bars.judge(results)))


def main() -> None:
    """Run a command; an error of ours becomes one line and its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that every server is ended
    try:
        app()
    except TidegateError as error:
        console.fail(str(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
