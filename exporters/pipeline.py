"""The export: fetch_run -> to_onnx -> quantize -> compare -> examine -> build_reference -> publish_bundle.

Runs in the export environment, started by `tidegate.cli.export_child`, which also gives it the builder of the
reference profile (exporters and monitoring do not import each other). Everything is written into staging folders
of the bundle store: killed anywhere, nothing is published, and the next export of that model sweeps them away.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporters.behaviour import examine
from exporters.convert import Draft, to_onnx
from exporters.embedding_output import aligned
from exporters.handover import BuildReference, hand_over
from exporters.health import health_of
from exporters.manifest import ExportRequest as ExportRequest
from exporters.manifest import Plan, draft_manifest, final_manifest
from exporters.sources import Run, fetch_run
from exporters.texts import MAX_ROWS, Row, read_rows, sample_rows
from exporters.verification import draw, write
from exporters.verify import Yardstick, depends_on_batch, fastest, judge, run_measurement, yardstick
from tidegate.bundle import DEMO, Bundle, Evidence, TokenizerPreprocessing, Variant
from tidegate.bundle_store import BundleStore, checked_name
from tidegate.engine import open_preprocessor
from tidegate.errors import GateRefused, TidegateError, UsageError
from tidegate.health import write_health
from tidegate.preprocess import Feeds, collate
from tidegate.session import EMBEDDING
from tidegate.tunings import TIE

MOST_DEMO_BYTES = 1_000_000

Say = Callable[[str], None]

# What a rewriting in reduced precision aims at; the gate itself asks for less (`verify.MIN_AGREEMENT`).
GOOD_AGREEMENT = 0.995
# 128 gave the same ranges within 4 %; more adds seconds.
CALIBRATION_TEXTS = 256


class NoVariantPassed(GateRefused):
    """The gate refused every variant; `evidence` holds what was measured of each."""

    def __init__(self, message: str, evidence: Sequence[Evidence]) -> None:
        super().__init__(message)
        self.evidence = evidence


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant with what was measured of it, and its answers with one text a run, (rows, classes)."""

    variant: Variant
    evidence: Evidence
    answers: NDArray[np.float64]


def export_run(
    request: ExportRequest, store: BundleStore, tracking_uri: str, build_reference: BuildReference, say: Say
) -> Bundle:
    """Export a run and publish it as the next version of a bundle.

    Raises:
        NoVariantPassed: the gate refused every variant; nothing is published.
        BehaviourRefused: it behaves worse than the live version; nothing is published.
        UsageError: no evaluation data, or data that does not fit the model.
        RunNotFound, UnsupportedSource, UntrustedPickle: see `sources` and `convert`.
    """
    checked_name(request.name)
    with store.staging(request.name) as folder, store.staging(request.name) as work:
        say(f"fetching {request.run}")
        run = fetch_run(request.run, tracking_uri, work)
        evaluation = _evaluation_rows(request, run, say)
        say(f"converting a {run.layout.flavour} model to ONNX")
        draft = to_onnx(run.layout, folder, trust_pickle=request.trust_pickle)
        if _lacks_embedding(draft):
            say("the graph shows no attention to take embeddings from: monitoring goes without them")
        say(f"asking the source model for its answers to {len(evaluation)} evaluation texts")
        texts = [text for text, _ in evaluation]
        yard = yardstick(
            evaluation, draft.labels, draft.predict(texts), draft.postprocessing, request.max_accuracy_drop / 100
        )
        plan = Plan(request, run, draft, evaluation)
        candidates = _compare(plan, yard, folder, work, say)
        chosen = _choose(request.name, candidates)
        _delete_refused(candidates, folder)
        verification = draw(evaluation, yard.source, yard.max_accuracy_drop)
        examine(plan, chosen.variant, folder, verification.texts, store, say)
        say(f"building the reference profile from the answers of {chosen.variant.name}")
        if run.training is None:
            say("the run logged no training split: the evaluation texts stand in for it in the reference")
        hand_over(plan, chosen.variant, folder, build_reference)
        _bring_page(run, folder, say)
        _keep_health(plan, yard, candidates, folder)
        write(verification, folder)
        measured = [(candidate.variant, candidate.evidence) for candidate in candidates]
        bundle = store.publish(
            request.name,
            folder,
            lambda version, files: final_manifest(plan, version, files, measured, chosen.variant.name),
        )
    say(f"published {request.name}/{bundle.manifest.version}, serving variant {chosen.variant.name}")
    return bundle


def _bring_page(run: Run, folder: Path, say: Say) -> None:
    """Put the run's own demo page into the bundle, as bytes: nothing here reads what they say."""
    if run.demo is None:
        return
    if run.demo.stat().st_size > MOST_DEMO_BYTES:
        say(f"left out: {DEMO} of the run has more than {MOST_DEMO_BYTES:,} bytes, which no page needs")
        return
    (folder / DEMO).write_bytes(run.demo.read_bytes())
    say(f"the run brings a demo page, {DEMO}; it is shown where the server is told --trust-demo NAME")


def _keep_health(plan: Plan, yard: Yardstick, candidates: Sequence[Candidate], folder: Path) -> None:
    """Count what each accepted variant answered; embeddings have no labels to be right about."""
    if not plan.draft.labels:
        return
    preprocessor = open_preprocessor(
        Bundle(folder, draft_manifest(plan, plan.draft.variant)), [spec.name for spec in plan.draft.inputs]
    )
    encoded = preprocessor.encode([text for text, _ in plan.evaluation])
    answers = {each.variant.name: each.answers for each in candidates if each.evidence.accepted}
    write_health(health_of(yard, encoded, answers), folder)


def _lacks_embedding(draft: Draft) -> bool:
    return isinstance(draft.preprocessing, TokenizerPreprocessing) and EMBEDDING not in {o.name for o in draft.outputs}


def _evaluation_rows(request: ExportRequest, run: Run, say: Say) -> list[Row]:
    if request.data is None and run.evaluation is None:
        raise UsageError(
            f"{request.run} logged no evaluation split (data/evaluation.csv); "
            "name labelled rows that it was not trained on with --data CSV"
        )
    has_labels = run.layout.flavour != "encoder"
    if request.data is not None:
        rows = read_rows(request.data, request.text_column, request.label_column if has_labels else None)
    else:
        rows = read_rows(run.evaluation, label_column="label" if has_labels else None) if run.evaluation else []
    if len(rows) > MAX_ROWS:
        say(f"verifying on {MAX_ROWS} of {len(rows)} rows")
    return sample_rows(rows)


def _compare(plan: Plan, yard: Yardstick, folder: Path, work: Path, say: Say) -> list[Candidate]:
    """Measure the converted graph, then every faster version of it that can be made."""
    candidates = [_measure(plan, plan.draft.variant, yard, folder, work, say)]
    feeds = _calibration(plan, folder) if plan.draft.rewrites else []
    for rewrite in plan.draft.rewrites:
        try:
            candidate = _careful_enough(plan, aligned(rewrite(folder, feeds), folder, feeds), yard, folder, work, say)
            candidates.append(_if_faster(candidate, candidates[0], say))
        except TidegateError as error:  # what is only meant to be faster must not stop the export
            say(f"left out: {error}")
    return candidates


def _careful_enough(
    plan: Plan, versions: Iterable[Variant], yard: Yardstick, folder: Path, work: Path, say: Say
) -> Candidate:
    """The first version of a variant whose labels agree well enough, else the one that agrees best; one file stays."""
    tried: list[Candidate] = []
    files: set[Path] = set()
    try:
        for variant in versions:
            files.add(folder / variant.file)
            tried.append(_measure(plan, variant, yard, folder, work, say))
            shortfall = _shortfall(tried[-1].evidence)
            if not shortfall:
                break
            say(f"variant {variant.name} {shortfall}")
    except TidegateError as error:
        if not tried:
            _unlink(files)
            raise
        say(f"no more careful version: {error}")
    best = max(tried, key=lambda candidate: candidate.evidence.agreement)
    _unlink(files - {folder / best.variant.file})
    return best


def _shortfall(evidence: Evidence) -> str:
    """What a more careful version should do better; empty when nothing."""
    if evidence.mean_cosine is None:
        agreed = f"agrees on {evidence.agreement:.2%} of labels, and {GOOD_AGREEMENT:.1%} is the aim"
        return "" if evidence.agreement >= GOOD_AGREEMENT else agreed
    near = f"has a mean cosine of {evidence.mean_cosine:.4f}, and {GOOD_AGREEMENT} is the aim"
    return evidence.refusal or ("" if evidence.mean_cosine >= GOOD_AGREEMENT else near)


def _unlink(files: set[Path]) -> None:
    """What stays in the bundle folder would be published."""
    for file in files:
        file.unlink()


def _if_faster(candidate: Candidate, plain: Candidate, say: Say) -> Candidate:
    """Refuse a variant that is as large as the plain one and brings nothing for it."""
    evidence, other = candidate.evidence, plain.evidence
    gains = (
        evidence.latency_p50_seconds * TIE < other.latency_p50_seconds
        or evidence.throughput_texts_per_second > TIE * other.throughput_texts_per_second
    )
    if gains or not evidence.accepted or evidence.size_bytes < other.size_bytes / TIE:
        return candidate
    say(f"variant {evidence.variant} left out: no faster than {other.variant} and no smaller")
    refused = {"accepted": False, "refusal": f"is no faster than {other.variant} and no smaller"}
    return replace(candidate, evidence=evidence.model_copy(update=refused))


def _calibration(plan: Plan, folder: Path) -> list[Feeds]:
    """Graph inputs of training texts, one text each; of evaluation texts where the run logged no training split."""
    rows = plan.training_rows()
    bundle = Bundle(folder, draft_manifest(plan, plan.draft.variant))
    preprocessor = open_preprocessor(bundle, [spec.name for spec in plan.draft.inputs])
    encoded = preprocessor.encode([text for text, _ in sample_rows(rows, CALIBRATION_TEXTS)])
    return [collate([row], preprocessor.pad_values) for row in encoded]


def _measure(plan: Plan, variant: Variant, yard: Yardstick, folder: Path, work: Path, say: Say) -> Candidate:
    """Measure a variant; one whose answers depend on batch-mates is measured again as one text a run."""
    candidate = _measured(plan, variant, yard, folder, work, say)
    first = candidate.evidence
    if variant.max_batch_size == 1 or not depends_on_batch(first, variant):
        return candidate
    say(f"variant {variant.name} again, one text a run: in batches it {first.refusal}")
    alone = variant.model_copy(update={"max_batch_size": 1, "one_thread_runs": True})
    candidate = _measured(plan, alone, yard, folder, work, say)
    why = {"flips": first.flips, "batch_difference": first.batch_difference}
    return replace(candidate, evidence=candidate.evidence.model_copy(update=why))


def _measured(plan: Plan, variant: Variant, yard: Yardstick, folder: Path, work: Path, say: Say) -> Candidate:
    say(f"measuring variant {variant.name}")
    texts = [text for text, _ in plan.evaluation]
    measured = run_measurement(folder, draft_manifest(plan, variant), variant, texts, work)
    evidence = judge(variant, (folder / variant.file).stat().st_size, measured, yard)
    verdict = "accepted" if evidence.accepted else f"refused: {evidence.refusal}"
    say(f"variant {variant.name} {verdict}")
    return Candidate(variant, evidence, measured.single)


def _choose(name: str, candidates: Sequence[Candidate]) -> Candidate:
    accepted = [candidate.evidence for candidate in candidates if candidate.evidence.accepted]
    if not accepted:
        faults = " | ".join(
            f"{c.variant.name}: {c.evidence.refusal} ({_numbers(c.evidence)}agreement {c.evidence.agreement:.4f})"
            for c in candidates
        )
        message = f"no variant of {name} passed, nothing was published: {faults}"
        raise NoVariantPassed(message, [candidate.evidence for candidate in candidates])
    winner = fastest(accepted).variant
    return next(candidate for candidate in candidates if candidate.variant.name == winner)


def _numbers(evidence: Evidence) -> str:
    if evidence.mean_cosine is not None:
        return f"mean cosine {evidence.mean_cosine:.4f}, "
    return f"accuracy {evidence.accuracy:.4f}, source model {evidence.source_accuracy:.4f}, "


def _delete_refused(candidates: Sequence[Candidate], folder: Path) -> None:
    for candidate in candidates:
        if not candidate.evidence.accepted:
            (folder / candidate.variant.file).unlink()
