"""What the builder of the reference gets from an export: texts and predictions as the server will record them.

After `pipeline` has chosen a variant, which answers everything here; before `monitoring.building`, which the command
line names, because exporters and monitoring do not import each other. Input features come from training texts;
predictions and embeddings from evaluation texts, because on training texts the model is surer than it will be again;
what corrupted copies of those do to accuracy is known here alone, where there are labels. Limits: runs on the CPU.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from exporters.manifest import Plan, draft_manifest
from exporters.perturb import perturbed
from exporters.texts import Row, sample_rows
from tidegate.bundle import Bundle, Variant
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.preprocess import Encoded
from tidegate.records import Record, make_records
from tidegate.tasks import decide_all

# Labels, training texts, evaluation records, their true labels, records of perturbed copies with theirs, folder,
# and the training texts' true labels.
BuildReference = Callable[
    [
        Sequence[str],
        Sequence[tuple[str, Encoded]],
        Sequence[Record],
        Sequence[str],
        Sequence[tuple[Record, str]],
        Path,
        Sequence[str],
    ],
    None,
]

_SEED = 0


def hand_over(plan: Plan, variant: Variant, folder: Path, build: BuildReference) -> None:
    """Run evaluation texts and their perturbed copies through a variant of the bundle folder, and build.

    Embeddings have no labels: there are no truths then, and no copies.
    """
    engine = Engine.open(Bundle(folder, draft_manifest(plan, variant)), choose("cpu", ()), variant=variant.name)
    training = sample_rows(plan.training_rows())
    texts = [text for text, _ in training]
    labels = plan.draft.labels
    copies = perturbed(plan.evaluation, _SEED) if labels else []
    build(
        labels,
        list(zip(texts, engine.encode(texts), strict=True)),
        _records(engine, "evaluation", plan.evaluation),
        [label for _, label in plan.evaluation] if labels else [],
        list(zip(_records(engine, "perturbed", copies), [label for _, label in copies], strict=True)),
        folder,
        [label for _, label in training] if labels else [],
    )


def _records(engine: Engine, prefix: str, rows: Sequence[Row]) -> list[Record]:
    """Rows as the server would have recorded them."""
    if not rows:
        return []
    texts = [text for text, _ in rows]
    manifest, encoded = engine.bundle.manifest, engine.encode(texts)
    probabilities, embedding = engine.answer(encoded)
    return make_records(
        manifest,
        engine.variant.name,
        [f"{prefix}-{index}" for index in range(len(rows))],
        texts,
        encoded,
        decide_all(probabilities.tolist(), manifest),
        time.time(),
        None if embedding is None else list(embedding),
    )
