"""What an export is asked for, and the manifest that it ends in: everything but the measuring between the two.

Used by `pipeline`, before which the command line checks the request, and after which the bundle store publishes. A
draft of the manifest is enough to open one variant while nothing is published yet.
"""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from exporters.convert import Draft
from exporters.sources import Run
from exporters.texts import Row, choose_samples, read_rows
from exporters.verification import FILE as VERIFICATION
from tidegate.behaviour_report import FILE as BEHAVIOUR
from tidegate.bundle import DEMO, Evidence, FileEntry, Lineage, Manifest, Variant
from tidegate.health import FILE as HEALTH

_PACKAGES = (
    "tidegate",
    "onnxruntime",
    "onnx",
    "numpy",
    "scikit-learn",
    "transformers",
    "torch",
    "optimum",
    "tokenizers",
)


class ExportRequest(BaseModel):
    """What to export and how strictly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(description="models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/PATH, or a directory.")
    name: str = Field(description="Name of the bundle.")
    data: Path | None = Field(None, description="CSV to verify on; None takes the run's own evaluation split.")
    text_column: str = "text"
    label_column: str = "label"
    max_accuracy_drop: float = Field(0.5, ge=0, le=100, description="In points (percent of rows).")
    trust_pickle: bool = False
    allow_behaviour_failures: bool = Field(False, description="Publish although gated behavioural tests fail.")


@dataclass(frozen=True, slots=True)
class Plan:
    """What stays the same through one export; its rows have a dash for a label where there are none."""

    request: ExportRequest
    run: Run
    draft: Draft
    evaluation: Sequence[Row]

    def training_rows(self) -> Sequence[Row]:
        """The training split; the evaluation rows where the run logged none."""
        if self.run.training is None:
            return self.evaluation
        return read_rows(self.run.training, label_column="label" if self.draft.labels else None)


def draft_manifest(plan: Plan, variant: Variant) -> Manifest:
    """Enough of a manifest to open one variant before anything is published."""
    return _fill(
        plan, version=1, files={}, variants=(variant,), chosen=variant.name, evidence=(), lineage=plan.run.lineage
    )


def final_manifest(
    plan: Plan, version: int, files: dict[str, FileEntry], candidates: Sequence[tuple[Variant, Evidence]], chosen: str
) -> Manifest:
    """What is published: the accepted variants, and what was measured of all."""
    return _fill(
        plan,
        version=version,
        files=files,
        variants=tuple(variant for variant, evidence in candidates if evidence.accepted),
        chosen=chosen,
        evidence=tuple(evidence for _, evidence in candidates),
        verification=VERIFICATION,
        behaviour=BEHAVIOUR if BEHAVIOUR in files else None,
        demo=DEMO if DEMO in files else None,
        health=HEALTH if HEALTH in files else None,
        lineage=plan.run.lineage.model_copy(update={"packages": _packages()}),
    )


def _fill(
    plan: Plan,
    *,
    version: int,
    files: dict[str, FileEntry],
    variants: tuple[Variant, ...],
    chosen: str,
    evidence: tuple[Evidence, ...],
    lineage: Lineage,
    verification: str | None = None,
    behaviour: str | None = None,
    demo: str | None = None,
    health: str | None = None,
) -> Manifest:
    draft = plan.draft
    return Manifest(
        name=plan.request.name,
        version=version,
        task="text-classification" if draft.embedding is None else "embedding",
        description=_description(plan, evidence),
        created_at=datetime.now(UTC),
        labels=draft.labels,
        embedding=draft.embedding,
        inputs=draft.inputs,
        outputs=draft.outputs,
        preprocessing=draft.preprocessing,
        postprocessing=draft.postprocessing,
        variants=variants,
        chosen=chosen,
        evidence=evidence,
        lineage=lineage,
        verification=verification,
        behaviour=behaviour,
        demo=demo,
        health=health,
        samples=choose_samples(plan.evaluation),
        files=files,
    )


def _description(plan: Plan, evidence: Sequence[Evidence]) -> str:
    if plan.draft.embedding is not None:
        vectors = plan.draft.embedding
        shape = f"{vectors.dimensions} numbers{' of length 1' if vectors.normalised else ''}"
        return f"Turns a text into a vector of {shape}; an encoder with {vectors.pooling} pooling."
    kinds = {"transformers": "a fine-tuned transformer", "onnx": "an ONNX model"}
    kind = kinds.get(plan.run.layout.flavour, "TF-IDF with a linear classifier")
    measured = f" Accuracy of the source model on {evidence[0].rows} evaluation texts: " if evidence else ""
    number = f"{evidence[0].source_accuracy:.3f}." if evidence else ""
    return f"Sorts texts into {', '.join(plan.draft.labels)}; {kind}.{measured}{number}"


def _packages() -> dict[str, str]:
    """Versions of what made the bundle."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # not part of this environment
    return versions
