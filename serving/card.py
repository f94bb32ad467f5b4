"""What a bundle's manifest says, for people (`GET /models/{m}/card`) and for programs (`GET /models/{m}`).

Everything comes from the manifest, from the plan it runs by and from what planning measured; nothing is measured here.
The card follows the
sections of Mitchell et al. 2019, "Model Cards for Model Reporting", as far as a bundle can fill them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from serving.following import ModelState
from serving.model import ServedModel
from tidegate import devices
from tidegate.behaviour_report import SuiteResult, Verdict, read_report
from tidegate.bundle import Bundle, Embedding, Evidence, Manifest
from tidegate.settings import Settings
from tidegate.tunings import Planned, Trial


def summarise(name: str, state: ModelState) -> dict[str, Any]:
    """One entry of the model list; what is not known before the model is open is left out."""
    summary: dict[str, Any] = {"name": name, "status": state.standing}
    if state.error:
        summary["error"] = state.error
    if state.served is not None:
        manifest, device = state.served.manifest, state.served.device
        summary |= {
            "version": manifest.version,
            "task": manifest.task,
            "labels": list(manifest.labels),
            **({"embedding": manifest.embedding.model_dump()} if manifest.embedding else {}),
            "variant": state.served.engine.variant.name,
            "device": device.name,
            "device_reason": device.reason,
        }
    return summary


def describe(name: str, state: ModelState, settings: Settings) -> dict[str, Any]:
    """A model in full: the manifest's summary, the plan with what was measured here, warnings."""
    summary = summarise(name, state)
    if state.served is None:
        return summary
    planned = state.planned
    tuning = planned.tuning.model_dump(mode="json", exclude={"bundle"}) if planned and planned.tuning else None
    manifest = state.served.manifest
    parts = {"description", "created_at", "variants", "evidence", "lineage", "samples"}
    post = manifest.postprocessing
    return {
        **summary,
        **manifest.model_dump(mode="json", include=parts),
        "threshold": post.threshold,
        "fallback_label": post.fallback_label,
        "behaviour": _behaviour_summary(state.served.bundle),
        "demo": _demo_summary(manifest, settings),
        "plan": state.served.engine.plan.model_dump(mode="json"),
        "tuning": tuning,
        "warnings": list(_warnings(state.served, planned)),
    }


def model_card(model: ServedModel, settings: Settings, planned: Planned | None = None) -> str:
    """The manifest as Markdown, with what was measured on this machine."""
    manifest = model.manifest
    sections = [
        f"# {manifest.name}, version {manifest.version}",
        _line(manifest.description) or "No description was given.",
        "## What it does",
        _bullets(_purpose(manifest)),
        "## How it was measured",
        "Each variant against the source model, on the run's evaluation data.",
        _evidence_table(manifest),
        *_behaviour(model.bundle),
        "## How it runs here",
        _bullets(_running(model, settings, planned)),
        *_trials(planned),
        *(f"> Warning: {_line(warning)}" for warning in _warnings(model, planned)),
        "## Where it comes from",
        _bullets(_origin(manifest)),
        "## Examples",
        "\n".join(f"- {_line(sample)}" for sample in manifest.samples),
    ]
    return "\n\n".join(sections) + "\n"


def _behaviour_summary(bundle: Bundle) -> dict[str, Any] | None:
    """How many tests ran and passed, and the names of those that failed; no texts."""
    report = read_report(bundle)
    if report is None:
        return None
    results = report.results()
    return {
        "tests": len(results),
        "passed": sum(test.passed for _, test in results),
        "failed_gating": report.failed(gated=True),
        "failed_informing": report.failed(gated=False),
    }


def _behaviour(bundle: Bundle) -> Iterator[str]:
    """How it behaves: a table of the tests that it was exported with; nothing where there are none."""
    report = read_report(bundle)
    if report is None or not report.results():
        return
    yield "## How it behaves"
    yield f"Behavioural tests of variant {report.variant} at export; those that do not gate inform."
    columns = ("Test", "Capability", "Failed (95 %)", "Allowed", "Gates", "Verdict")
    yield _table(columns, [_behaviour_row(suite, test) for suite, test in report.results()])


def _behaviour_row(suite: SuiteResult, test: Verdict) -> Sequence[str]:
    low, high = test.interval
    return (
        f"{suite.suite}: {test.name}",
        test.capability,
        f"{test.failures} of {test.cases} ({low:.0%} to {high:.0%})",
        f"{test.max_failure_rate:.0%}",
        "yes" if test.gate else "no",
        "passed" if test.passed else "failed",
    )


def _demo_summary(manifest: Manifest, settings: Settings) -> dict[str, Any] | None:
    """The demo page that the run brought, by its digest, and whether this server shows it."""
    if manifest.demo is None:
        return None
    shown = settings.trusts_demo(manifest.name, manifest.version)
    return {"file": manifest.demo, "sha256": manifest.files[manifest.demo].sha256, "shown": shown}


def _running(model: ServedModel, settings: Settings, planned: Planned | None) -> Iterator[tuple[str, str]]:
    yield "Variant", model.engine.variant.name
    yield "Plan", str(model.engine.plan)
    yield "Device", f"{model.device.name}: {model.device.reason}"
    page = _demo_summary(model.manifest, settings)
    if page is not None:
        hidden = f"the built-in one; the run brought one, which --trust-demo {model.manifest.name} would show"
        yield "Demo page", "brought by the run, shown because it is trusted" if page["shown"] else hidden
    if planned is not None and planned.tuning is not None:
        tuning = planned.tuning
        how = "quickly measured" if tuning.quick else "measured"
        yield "Tuning", f"{how} on {tuning.created_at.isoformat(timespec='seconds')} against {tuning.against}"
        yield "Hardware", tuning.hardware


def _trials(planned: Planned | None) -> Iterator[str]:
    """The table of what was tried here; nothing where nothing was."""
    if planned is not None and planned.tuning is not None and planned.tuning.trials:
        columns = ("Plan", "Verdict here", "Agreement", "Largest difference", "p50, one text", "Texts/s")
        yield _table(columns, [_trial_row(trial) for trial in planned.tuning.trials])


def _trial_row(trial: Trial) -> Sequence[str]:
    measured = trial.rows > 0
    return (
        str(trial.plan),
        "accepted" if trial.accepted else f"refused: {trial.refusal}",
        f"{trial.agreement:.2%} of {trial.rows}" if measured else "",
        f"{trial.max_abs_error:.4f}" if measured else "",
        f"{trial.latency_p50_seconds * 1e3:.2f} ms" if measured else "",
        f"{trial.throughput_texts_per_second:.0f}" if measured else "",
    )


def _warnings(model: ServedModel, planned: Planned | None) -> Iterator[str]:
    """What an operator should know: figures that were measured elsewhere, and a choice that was refused here."""
    here = devices.hardware()
    variant, chosen = model.engine.variant, model.manifest.chosen
    trials = planned.tuning.trials if planned is not None and planned.tuning is not None else ()
    tried = [trial for trial in trials if trial.plan.variant == chosen]
    if variant.name != chosen and tried and not any(trial.accepted for trial in tried):
        yield f"the exported choice {chosen} is not used on this machine: {tried[0].refusal}"
    if planned is not None and planned.verified:
        return
    for evidence in model.manifest.evidence:
        if evidence.variant == variant.name and evidence.hardware != here:
            yield (
                f"variant {variant.name} was verified on another machine ({evidence.hardware}; here: {here}); "
                "its speed will differ, and int8 answers may: export again on this machine to be sure"
            )


def _purpose(manifest: Manifest) -> Iterator[tuple[str, str]]:
    post = manifest.postprocessing
    yield "Task", manifest.task
    if manifest.embedding is not None:
        yield from _vectors(manifest.embedding)
        return
    yield "Labels", ", ".join(manifest.labels)
    if post.threshold is not None:
        answers = f"answers {post.fallback_label!r}" if post.fallback_label else "says that it abstains"
        yield "Abstention", f"below a probability of {post.threshold:.3f} it {answers}"


def _vectors(embedding: Embedding) -> Iterator[tuple[str, str]]:
    length = "length 1" if embedding.normalised else "any length"
    yield "Answers", f"a vector of {embedding.dimensions} numbers, {length}, {embedding.pooling} pooling"
    yield "Monitoring", "characters, words and tokens of the texts; no vectors are recorded, and there is no feedback"


def _origin(manifest: Manifest) -> Iterator[tuple[str, str]]:
    lineage = manifest.lineage
    yield "Source", lineage.source_uri
    yield "Flavour", lineage.flavour
    yield "Published", manifest.created_at.isoformat()
    for name, value in (
        ("Run", lineage.run_id),
        ("Git commit", lineage.git_commit),
        ("Data set", lineage.dataset_name),
        ("Data set digest", lineage.dataset_digest),
        ("Parameters", _pairs(lineage.params)),
        ("Metrics", _pairs({name: f"{value:.4g}" for name, value in lineage.metrics.items()})),
    ):
        if value:
            yield name, value


def _evidence_table(manifest: Manifest) -> str:
    scored = ("Accuracy (95 %)", "Macro-F1 (95 %)", "Agreement", "Labels that batches flip")
    if manifest.embedding is not None:
        scored = ("Mean cosine", "Worst cosine", "Same nearest text", "Nearest texts that batches change")
    columns = ("Variant", "Verdict", *scored, "p50, one text", "Texts/s", "Size")
    return _table(columns, [_evidence_row(evidence) for evidence in manifest.evidence])


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join("| " + " | ".join(_line(cell) for cell in line) + " |" for line in lines)


def _evidence_row(evidence: Evidence) -> Sequence[str]:
    return (
        evidence.variant,
        "accepted" if evidence.accepted else f"refused: {evidence.refusal}",
        *_scores(evidence),
        f"{evidence.agreement:.2%} of {evidence.rows}",
        str(evidence.flips),
        f"{evidence.latency_p50_seconds * 1e3:.2f} ms",
        f"{evidence.throughput_texts_per_second:.0f}",
        f"{evidence.size_bytes / 1e6:.1f} MB",
    )


def _scores(evidence: Evidence) -> tuple[str, str]:
    if evidence.mean_cosine is not None and evidence.worst_cosine is not None:
        return f"{evidence.mean_cosine:.4f}", f"{evidence.worst_cosine:.4f}"
    return (
        _with_interval(evidence.accuracy, evidence.accuracy_interval),
        _with_interval(evidence.macro_f1, evidence.macro_f1_interval),
    )


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))


def _bullets(pairs: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- **{name}**: {_line(value)}" for name, value in pairs)


def _line(text: str) -> str:
    """Text from a bundle on one line, with what Markdown and HTML would take for markup made harmless."""
    flat = " ".join(text.split())
    return flat.replace("\\", "\\\\").replace("<", "&lt;").replace("|", "\\|").replace("`", "\\`")
