"""Bundles that know their health, for tests of the dashboard: published beside a toy, with whatever labels."""

from collections.abc import Sequence

import numpy as np

from exporters.health import health_of
from exporters.verify import yardstick
from tests import bundles
from tests.exporters.test_slices import encoded
from tidegate.behaviour_report import FILE as BEHAVIOUR
from tidegate.behaviour_report import Failure, Report, SuiteResult, Verdict, write_report
from tidegate.bundle import Bundle, Postprocessing
from tidegate.bundle_store import BundleStore
from tidegate.health import FILE, Health, write_health


def health(
    labels: Sequence[str] = bundles.LABELS,
    *,
    rows: int = 240,
    seed: int = 0,
    data: int = 0,
    word: str = "margin",
    post: Postprocessing | None = None,
) -> Health:
    """A model that is mostly right, and seldom where a text says `word`; the same rows for the same `data`."""
    chosen = np.random.default_rng(data)
    truths = [labels[place] for place in chosen.integers(0, len(labels), size=rows)]
    says = chosen.random(rows) < 0.2
    texts = [f"{word if said else 'sales'} {'up ' * (place % 9)}" for place, said in enumerate(says)]
    rng = np.random.default_rng(seed)
    scores = rng.random((rows, len(labels))) + 0.05
    for place, (truth, said) in enumerate(zip(truths, says, strict=True)):
        if rng.random() < (0.4 if said else 0.9):
            scores[place, labels.index(truth)] += rng.random() * 4
    scores /= scores.sum(axis=1, keepdims=True)
    labelled = list(zip(texts, truths, strict=True))
    yard = yardstick(labelled, tuple(labels), scores, post or Postprocessing(), 0.01)
    return health_of(yard, [encoded(text) for text in texts], {"fp32": scores})


def published(
    store: BundleStore, like: Bundle, found: Health, *, post: Postprocessing | None = None, run_id: str = ""
) -> Bundle:
    """The next version of a bundle, made of that run, with its health and the results of two behavioural tests."""
    with store.staging(like.manifest.name) as folder:
        for name in like.manifest.files:
            (folder / name).write_bytes(like.file(name).read_bytes())
        write_health(found, folder)
        write_report(_report(), folder)
        told = {
            "health": FILE,
            "behaviour": BEHAVIOUR,
            "postprocessing": post or like.manifest.postprocessing,
            "lineage": like.manifest.lineage.model_copy(update={"run_id": run_id}),
        }
        return store.publish(
            like.manifest.name,
            folder,
            lambda version, files: like.manifest.model_copy(update=told | {"version": version, "files": files}),
        )


def _report() -> Report:
    failed = Failure(text="<b>not good</b>", why="positive, not negative")
    tests = (
        Verdict(name="names change nothing", kind="invariance", gate=True, cases=50, failures=0, interval=(0.0, 0.07)),
        Verdict(
            name="<i>negation</i>",
            kind="minimum functionality",
            gate=False,
            cases=40,
            failures=9,
            interval=(0.12, 0.37),
            passed=False,
            shown=(failed,),
        ),
        Verdict(name="currencies", kind="directional", gate=False, skipped="no text has one"),
    )
    return Report(variant="fp32", suites=(SuiteResult(suite="sentiment", source="built-in", tests=tests),))
