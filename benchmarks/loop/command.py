"""`python -m benchmarks loop ...`: labels that choosing saves, whether estimates from them hold, wrong labels.

Each command but `noise`, which prints its table, replaces its own part of the results file. `--quick` takes a minute
or two a command and says little; `--data` measures a CSV of your own (columns text and label) instead of the shared
ones.
"""

from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.conditions import loop_conditions
from benchmarks.loop import coverage, noise, pools
from benchmarks.loop.labels_needed import curve, needed
from benchmarks.loop.neighbours import smoothed
from benchmarks.loop.results import Coverage, LabelsNeeded, Loop
from benchmarks.results import read_results, write_results
from benchmarks.workspace import own_folder
from tidegate.cli import console
from tidegate.environments import CHECKOUT
from tidegate.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Labels that choosing saves, estimates from them, wrong labels.")

Data = Annotated[Path | None, typer.Option(help="CSV with columns text and label.", show_default="the shared data")]
Models = Annotated[str, typer.Option("--models", help="minilm, tfidf or both, separated by commas.")]
Quick = Annotated[bool, typer.Option("--quick", help="One seed, ten simulations: does it run, not what it finds.")]
Work = Annotated[Path, typer.Option(help="Work folder.")]
Out = Annotated[Path, typer.Option(help="Results file; other parts of it stay.")]

SEEDS, REPEATS, SIMULATIONS = 5, 3, 200
_WORK, _OUT = CHECKOUT / ".bench", Path("benchmarks-results.json")
_MODELS = ",".join(pools.MODELS)


@app.command("labels-needed")
def labels_needed(
    data: Data = None, models: Models = _MODELS, quick: Quick = False, work: Work = _WORK, out: Out = _OUT
) -> None:
    """Labels until the policy's model is as good as random sampling's at half the pool."""
    own_folder(work)
    for file in _files(data):
        for model in _models(models):
            seeds, repeats = (1, 1) if quick else (SEEDS, REPEATS)
            part = _measure(file, model, work, seeds, repeats)
            loop = _loop(out)
            kept = loop.model_copy(update={"needed": loop.needed | {f"{file.stem}/{model}": part}})
            write_results(out, read_results(out).model_copy(update={"loop": kept}))
            low, middle, high = np.quantile(part.shares, [0.25, 0.5, 0.75])
            control, plain = np.median(part.control), np.median(part.against_plain)
            told = f"{middle:.2f} ({low:.2f} to {high:.2f}) of random's labels, control {control:.2f}, accuracy"
            told += f" {part.chosen[-1]:.3f} against {part.random[-1]:.3f}, worst {part.worst:+.1f} points"
            told += f"; {plain:.2f} of the plain recipe's labels, accuracy {part.plain[-1]:.3f}"
            console.say(f"  {file.stem}/{model}: {told}")


@app.command("coverage")
def cover(
    data: Data = None, models: Models = "tfidf", quick: Quick = False, work: Work = _WORK, out: Out = _OUT
) -> None:
    """How often the interval from chosen labels covers the true accuracy."""
    own_folder(work)
    for file in _files(data):
        for model in _models(models):
            pool = pools.pool(file.stem, model, 0, work, file.parent)
            part = _covered([coverage.simulate(pool, seed) for seed in range(10 if quick else SIMULATIONS)])
            loop = _loop(out)
            kept = loop.model_copy(update={"coverage": loop.coverage | {f"{file.stem}/{model}": part}})
            write_results(out, read_results(out).model_copy(update={"loop": kept}))
            alone = f"the random slot alone {part.random_covered:.1%}, {part.random_width:.3f}"
            told = f"covers {part.covered:.1%} of {part.simulations}, width {part.width:.3f}"
            console.say(f"  {file.stem}/{model}: {told}; {alone}")


@app.command("noise")
def wrong_labels(data: Data = None, models: Models = _MODELS, quick: Quick = False, work: Work = _WORK) -> None:
    """Wrong labels in a returned batch: caught, flagged in vain, and what they cost the next model; in percent."""
    own_folder(work)
    seeds = 1 if quick else SEEDS
    rows = []
    for file in _files(data):
        for model in _models(models):
            for kind in noise.KINDS:
                rows.append(
                    [file.stem, model, kind, *(f"{mean:.1f}" for mean in _noise(file, model, kind, work, seeds))]
                )
                console.say("  ".join(rows[-1]))
    names = [field.name.replace("_", " ") for field in fields(noise.Trial)]
    console.table(f"wrong labels, %, mean of {seeds}", ["data", "model", "aimed at", *names], rows)


@app.command("all")
def everything(data: Data = None, quick: Quick = False, work: Work = _WORK, out: Out = _OUT) -> None:
    """Labels needed, then coverage, then wrong labels."""
    labels_needed(data, _MODELS, quick, work, out)
    cover(data, "tfidf", quick, work, out)
    wrong_labels(data, _MODELS, quick, work)


def _measure(file: Path, model: str, work: Path, seeds: int, repeats: int) -> LabelsNeeded:
    """Both arms over all seeds and repeats, and random sampling by the plain recipe."""
    shares, control, against_plain = [], [], []
    chosen, random, plain = [], [], []
    for seed in range(seeds):
        pool = pools.pool(file.stem, model, seed, work, file.parent)
        read = smoothed(pool)
        even = [curve(read, repeat, chosen=False) for repeat in range(repeats)]
        bare = [curve(pool, repeat, chosen=False) for repeat in range(repeats)]
        ours = [curve(read, repeat, chosen=True) for repeat in range(repeats)]
        target, plain_target = (float(np.mean([one.accuracy[-1] for one in arm])) for arm in (even, bare))
        shares += [needed(one, target) for one in ours]
        control += [needed(one, target) for one in even]
        against_plain += [needed(one, plain_target) for one in ours]
        chosen += [one.accuracy for one in ours]
        random += [one.accuracy for one in even]
        plain += [one.accuracy for one in bare]
    return LabelsNeeded(
        budget=len(pool.truths) // 2,
        shares=tuple(shares),
        control=tuple(control),
        against_plain=tuple(against_plain),
        chosen=_mean(chosen),
        random=_mean(random),
        plain=_mean(plain),
    )


def _mean(curves: Sequence[NDArray[np.float64]]) -> tuple[float, ...]:
    """Mean accuracy after each round."""
    return tuple(np.mean(curves, axis=0).tolist())


def _noise(file: Path, model: str, kind: str, work: Path, seeds: int) -> NDArray[np.float64]:
    """Means over seeds of all that a trial tells, in percent."""
    texts, labels = pools.read(file)
    truths = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    near = pools.encoded(file, work).astype(np.float64) if model == "minilm" else None
    trials = [astuple(noise.trial(texts, truths, near, kind, seed)) for seed in range(seeds)]
    means: NDArray[np.float64] = 100.0 * np.mean(trials, axis=0)
    return means


def _covered(found: Sequence[coverage.Simulated]) -> Coverage:
    return Coverage(
        simulations=len(found),
        covered=float(np.mean([one.covered for one in found])),
        width=float(np.mean([one.width for one in found])),
        bias=float(np.mean([one.weighted - one.truth for one in found])),
        unweighted_bias=float(np.mean([one.unweighted - one.truth for one in found])),
        random_covered=float(np.mean([one.random_covered for one in found])),
        random_width=float(np.mean([one.random_width for one in found])),
    )


def _loop(out: Path) -> Loop:
    return read_results(out).loop or Loop(conditions=loop_conditions())


def _files(data: Path | None) -> list[Path]:
    files = [data] if data else [pools.SHARED / f"{name}.csv" for name in pools.DATA]
    for file in files:
        if not file.is_file():
            raise UsageError(f"{file} is not there; put the shared data beside the checkout, or name a CSV with --data")
    return files


def _models(names: str) -> list[str]:
    wanted = [name.strip() for name in names.split(",")]
    strange = [name for name in wanted if name not in pools.MODELS]
    if strange:
        raise UsageError(f"--models {', '.join(strange)}: there are {', '.join(pools.MODELS)}")
    return wanted
