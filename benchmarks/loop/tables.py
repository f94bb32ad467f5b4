"""The figures of the loop as Markdown; `benchmarks.report` puts them onto the page. Before: `results`."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.loop.results import Loop


def loop_section(loop: Loop) -> Iterator[str]:
    """Labels needed, then coverage."""
    if loop.needed:
        yield "\n## Labels that choosing saves\n"
        yield "Labels until the model is as good as random sampling's at half the pool, as a share of those: median and"
        yield "quartiles over seeds and repeats; 1.20 where it never was. The control: random arms. Both arms fit the"
        yield "same classifier, over rows moved towards their neighbours; the plain recipe is random without that.\n"
        rows = []
        for name, part in loop.needed.items():
            final = 100.0 * (part.chosen[-1] - part.random[-1])
            accuracy = f"{part.random[-1]:.3f}, {final:+.1f} points; {part.plain[-1]:.3f}"
            spreads = [_spread(values) for values in (part.shares, part.control, part.against_plain)]
            rows.append([name, str(part.budget), *spreads, accuracy, f"{part.worst:+.1f}"])
        header = ["data/model", "random's labels", "needed", "control", "needed against the plain recipe"]
        header += ["accuracy at the end: random, chosen; plain recipe", "worst round, points"]
        yield from _table(header, rows)
    if loop.coverage:
        yield "\n## Estimates from chosen labels\n"
        yield "Accuracy from 100 chosen labels, weighted by the chance of each: how often its 95 % interval covers the"
        yield "truth, beside the random slot's 20 labels alone.\n"
        rows = []
        for name, said in loop.coverage.items():
            bias = f"{100.0 * said.bias:+.1f} ({100.0 * said.unweighted_bias:+.1f} unweighted)"
            alone = [f"{said.random_covered:.1%}", f"{said.random_width:.3f}"]
            rows.append([name, str(said.simulations), f"{said.covered:.1%}", f"{said.width:.3f}", bias, *alone])
        header = ["data/model", "simulations", "covered", "width", "bias, points", "random slot covered", "width"]
        yield from _table(header, rows)


def _spread(values: Sequence[float]) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + "---|" * len(header)
    yield from (f"| {' | '.join(row)} |" for row in rows)
