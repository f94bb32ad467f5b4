"""The behavioural gate: the variant that will serve answers every suite that holds for it, before it is published.

After `pipeline` has chosen a variant; before the reference is built. A gated test that fails refuses the export, unless
the live version fails it as well: asked here and now about the same cases, because its stored report may be older than
the test. What is as bad as before may go out; what is worse may not. The report goes into the bundle either way.
Limits: embeddings have no labels, so there is nothing to test; suites run on the CPU.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from exporters.manifest import Plan, draft_manifest
from tidegate.aliases import CHAMPION
from tidegate.behaviour_file import kept_file
from tidegate.behaviour_report import Report, Verdict, write_report
from tidegate.behaviour_run import Ran, Subject, run_test
from tidegate.behaviour_suites import Chosen, Outcome, choose, run_suites
from tidegate.bundle import Bundle, Variant
from tidegate.bundle_store import BundleStore
from tidegate.devices import choose as choose_device
from tidegate.engine import Engine
from tidegate.errors import BundleCorrupt, BundleNotFound, GateRefused, UsageError
from tidegate.tasks import Answer, decide_all

_BATCH = 32


class BehaviourRefused(GateRefused):
    """Gated tests failed that the live version passes; `report` holds what was seen."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


def examine(
    plan: Plan, variant: Variant, folder: Path, sampled: Sequence[str], store: BundleStore, say: Callable[[str], None]
) -> None:
    """Run the suites that hold for the model, write the report into the bundle's folder, and gate.

    Args:
        plan: of the export.
        variant: that will serve.
        folder: of the bundle, unpublished.
        sampled: evaluation texts, for tests that sample.
        store: whose home holds the model's own tests, and which has the live version.
        say: tells what goes on.

    Raises:
        BehaviourRefused: gated tests failed that the live version passes.
        UsageError: a suite of the model's own cannot be read, or names a label that it does not have.
    """
    if not plan.draft.labels:
        return
    request = plan.request
    chosen = choose(kept_file(store.root.parent, request.name), plan.run.behaviour)
    say(f"running behavioural tests on {variant.name}")
    engine = Engine.open(Bundle(folder, draft_manifest(plan, variant)), choose_device("cpu", ()), variant=variant.name)
    outcome = run_suites(chosen, subject_of(engine, sampled), variant.name)
    write_report(outcome.report, folder)
    worse = _worse(outcome, store, request.name, sampled, say)
    if worse and request.allow_behaviour_failures:
        say(f"published all the same, as was asked: {' | '.join(worse)}")
    elif worse:
        raise BehaviourRefused(
            f"nothing of {request.name} was published, behavioural tests failed: {' | '.join(worse)}. Mend the model "
            "or the test, or pass --allow-behaviour-failures",
            outcome.report,
        )


def subject_of(engine: Engine, sampled: Sequence[str]) -> Subject:
    """An open variant as the tests see it; its runs are all used."""
    manifest = engine.bundle.manifest

    def predict(texts: Sequence[str]) -> list[Answer]:
        batches = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
        with ThreadPoolExecutor(engine.plan.runs) as runners:
            rows = list(chain.from_iterable(part.tolist() for part in runners.map(engine.classify, batches)))
        return decide_all(rows, manifest)

    return Subject(manifest.labels, predict, sampled, manifest.postprocessing.fallback_label)


def _worse(
    outcome: Outcome, store: BundleStore, name: str, sampled: Sequence[str], say: Callable[[str], None]
) -> list[str]:
    """What each gated test failed that the live version does better."""
    refused = outcome.refused()
    live = _live(store, name, sampled) if refused else None
    worse = []
    for chosen, ran in refused:
        before = None if live is None else _asked(chosen, ran.result, live)
        told = f"{chosen.suite.name}: {_numbers(ran.result)}"
        if before is None:
            worse.append(told)
        elif _is_worse(ran, before):
            worse.append(f"{told}; the live version {before.result.failures}")
        else:
            say(f"failed, and no worse than the live version: {told}; the live version {before.result.failures}")
    return worse


def _is_worse(ran: Ran, before: Ran) -> bool:
    """Where no case may fail each one counts, elsewhere their number."""
    if ran.result.max_failure_rate == 0:
        return not ran.failed <= before.failed
    return before.result.passed or ran.result.failures > before.result.failures


def _live(store: BundleStore, name: str, sampled: Sequence[str]) -> Subject | None:
    """The version that serves now; None where there is none that can be asked."""
    try:
        bundle = store.load(name, CHAMPION)
    except (BundleNotFound, BundleCorrupt):
        return None
    if not bundle.manifest.labels:
        return None
    return subject_of(Engine.open(bundle, choose_device("cpu", ())), sampled)


def _asked(chosen: Chosen, result: Verdict, live: Subject) -> Ran | None:
    """The live version's result; None where it does not know the labels."""
    try:
        return run_test(chosen.suite, result.name, live, gate=True)
    except UsageError:
        return None


def _numbers(result: Verdict) -> str:
    example = f" ({result.shown[0].text!r}: {result.shown[0].why})" if result.shown else ""
    allowed = int(result.max_failure_rate * result.cases)
    return f"{result.name!r} fails {result.failures} of {result.cases}, at most {allowed}{example}"
