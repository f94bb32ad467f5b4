"""`python -m benchmarks loop ...`: labels that choosing saves, and whether estimates from chosen labels hold.

Each command replaces its own part of the results file. The whole takes some 30 minutes on two cores, `--quick` some
minutes and says little; `--data` measures a CSV of your own (columns text and label) instead of the shared ones.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.conditions import loop_conditions
from benchmarks.loop import coverage, pools
from benchmarks.loop.labels_needed import curve, needed
from benchmarks.results import Coverage, LabelsNeeded, Loop, read_results, write_results
from benchmarks.workspace import own_folder
from tidegate.cli import console
from tidegate.environments import CHECKOUT
from tidegate.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Labels that choosing saves, and estimates from chosen labels.")

Data = Annotated[Path | None, typer.Option(help="CSV with columns text and label. [default: the shared data]")]
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
            told = f"{middle:.2f} ({low:.2f} to {high:.2f}) of random's labels, accuracy {part.chosen[-1]:.3f} against"
            console.say(f"  {file.stem}/{model}: {told} {part.random[-1]:.3f}, worst {part.worst:+.1f} points")


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


@app.command("all")
def everything(data: Data = None, quick: Quick = False, work: Work = _WORK, out: Out = _OUT) -> None:
    """Labels needed, then coverage."""
    labels_needed(data, _MODELS, quick, work, out)
    cover(data, "tfidf", quick, work, out)


def _measure(file: Path, model: str, work: Path, seeds: int, repeats: int) -> LabelsNeeded:
    """Both arms over all seeds and repeats."""
    shares, control, chosen, random = [], [], [], []
    for seed in range(seeds):
        pool = pools.pool(file.stem, model, seed, work, file.parent)
        even = [curve(pool, repeat, chosen=False) for repeat in range(repeats)]
        ours = [curve(pool, repeat, chosen=True) for repeat in range(repeats)]
        target = float(np.mean([one.accuracy[-1] for one in even]))
        shares += [needed(one, target) for one in ours]
        control += [needed(one, target) for one in even]
        chosen += [one.accuracy for one in ours]
        random += [one.accuracy for one in even]
    ours_mean, even_mean = np.mean(chosen, axis=0), np.mean(random, axis=0)
    return LabelsNeeded(
        budget=len(pool.truths) // 2,
        shares=tuple(shares),
        control=tuple(control),
        chosen=tuple(ours_mean.tolist()),
        random=tuple(even_mean.tolist()),
    )


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
