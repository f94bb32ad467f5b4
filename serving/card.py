"""What a bundle's manifest says, for people (`GET /models/{m}/card`) and for programs (`GET /models/{m}`).

Everything comes from the manifest and from where it runs now; nothing is measured here. The card follows the
sections of Mitchell et al. 2019, "Model Cards for Model Reporting", as far as a bundle can fill them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from serving.model import ServedModel
from serving.repository import ModelState
from tidegate import devices
from tidegate.bundle import Evidence, Manifest


def summarise(name: str, state: ModelState) -> dict[str, Any]:
    """One entry of the model list; what is not known before the model is open is left out."""
    summary: dict[str, Any] = {"name": name, "status": state.status}
    if state.error:
        summary["error"] = state.error
    if state.served is not None:
        manifest, device = state.served.manifest, state.served.device
        summary |= {
            "version": manifest.version,
            "task": manifest.task,
            "labels": list(manifest.labels),
            "variant": state.served.engine.variant.name,
            "device": device.name,
            "device_reason": device.reason,
        }
    return summary


def describe(name: str, state: ModelState) -> dict[str, Any]:
    """A model in full: the manifest's summary, the device with its reason, warnings."""
    summary = summarise(name, state)
    if state.served is None:
        return summary
    manifest = state.served.manifest
    parts = {"description", "created_at", "variants", "evidence", "lineage", "samples"}
    post = manifest.postprocessing
    return {
        **summary,
        **manifest.model_dump(mode="json", include=parts),
        "threshold": post.threshold,
        "fallback_label": post.fallback_label,
        "warnings": list(_warnings(state.served)),
    }


def model_card(model: ServedModel) -> str:
    """The manifest as Markdown."""
    manifest = model.manifest
    sections = [
        f"# {manifest.name}, version {manifest.version}",
        _line(manifest.description) or "No description was given.",
        "## What it does",
        _bullets(_purpose(manifest)),
        "## How it was measured",
        "Each variant against the source model, on the run's evaluation data.",
        _evidence_table(manifest),
        "## How it runs here",
        _bullets([("Variant", model.engine.variant.name), ("Device", f"{model.device.name}: {model.device.reason}")]),
        *(f"> Warning: {warning}" for warning in _warnings(model)),
        "## Where it comes from",
        _bullets(_origin(manifest)),
        "## Examples",
        "\n".join(f"- {_line(sample)}" for sample in manifest.samples),
    ]
    return "\n\n".join(sections) + "\n"


def _warnings(model: ServedModel) -> Iterator[str]:
    """What an operator should know: figures that were measured elsewhere may not hold here."""
    here = devices.hardware()
    variant = model.engine.variant
    for evidence in model.manifest.evidence:
        if evidence.variant == variant.name and evidence.hardware != here:
            yield (
                f"variant {variant.name} was verified on another machine ({evidence.hardware}; here: {here}); "
                "its speed will differ, and int8 answers may: export again on this machine to be sure"
            )


def _purpose(manifest: Manifest) -> Iterator[tuple[str, str]]:
    post = manifest.postprocessing
    yield "Task", manifest.task
    yield "Labels", ", ".join(manifest.labels)
    if post.threshold is not None:
        answers = f"answers {post.fallback_label!r}" if post.fallback_label else "says that it abstains"
        yield "Abstention", f"below a probability of {post.threshold:.3f} it {answers}"


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
    columns = (
        "Variant",
        "Verdict",
        "Accuracy (95 %)",
        "Macro-F1 (95 %)",
        "Agreement",
        "p50, one text",
        "Texts/s",
        "Size",
    )
    rows = [columns, ("---",) * len(columns), *(_evidence_row(evidence) for evidence in manifest.evidence)]
    return "\n".join("| " + " | ".join(_line(cell) for cell in row) + " |" for row in rows)


def _evidence_row(evidence: Evidence) -> Sequence[str]:
    return (
        evidence.variant,
        "accepted" if evidence.accepted else f"refused: {evidence.refusal}",
        _with_interval(evidence.accuracy, evidence.accuracy_interval),
        _with_interval(evidence.macro_f1, evidence.macro_f1_interval),
        f"{evidence.agreement:.2%} of {evidence.rows}",
        f"{evidence.latency_p50_seconds * 1e3:.2f} ms",
        f"{evidence.throughput_texts_per_second:.0f}",
        f"{evidence.size_bytes / 1e6:.1f} MB",
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
