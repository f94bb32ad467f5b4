"""A real export of each kind keeps counts that agree with the gate's own numbers, and no text."""

from pathlib import Path

import pytest

from exporters.pipeline import ExportRequest, export_run
from monitoring.building import build_reference
from tests.exporters.models import EVALUATION, plain_folder, tiny_bert, tiny_encoder, write_rows
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.health import FILE, read_health
from tidegate.tasks import decide_all


def export(tmp_path: Path, run: Path, **options: object) -> Bundle:
    request = ExportRequest.model_validate({"run": str(run), "name": "m", **options})
    return export_run(request, BundleStore(tmp_path / "bundles"), "", build_reference, print)


def assert_agrees_with_evidence(bundle: Bundle) -> None:
    health = read_health(bundle)
    assert health is not None
    assert health.rows == len(EVALUATION)
    accepted = {each.variant: each for each in bundle.manifest.evidence if each.accepted}
    assert set(health.variants) == set(accepted) == {variant.name for variant in bundle.manifest.variants}
    for name, evidence in accepted.items():
        variant = health.variants[name]
        assert variant.accuracy.value == pytest.approx(evidence.accuracy)
        assert variant.accuracy.low <= evidence.accuracy <= variant.accuracy.high
        assert variant.reached[0] == health.rows
        assert sum(each.support for each in health.label_scores(name)) == health.rows
    assert bundle.manifest.files[FILE].size_bytes < 100_000
    kept = bundle.file(FILE).read_text()
    assert not [text for text, _ in EVALUATION if text in kept]


def test_a_tfidf_export_keeps_its_health_with_threshold_and_fallback_applied(tmp_path: Path) -> None:
    bundle = export(tmp_path, plain_folder(tmp_path / "run", threshold=0.5), trust_pickle=True)
    assert_agrees_with_evidence(bundle)
    health = read_health(bundle)
    assert health is not None

    chosen = bundle.manifest.chosen
    engine = Engine.open(bundle, choose("cpu", ()), variant=chosen)
    answers = decide_all(engine.classify([text for text, _ in EVALUATION]).tolist(), bundle.manifest)
    matrix = health.matrix(chosen)
    for (_, label), answer in zip(EVALUATION, answers, strict=True):
        matrix[health.labels.index(label)][health.labels.index(answer.label)] -= 1
    assert not any(count for line in matrix for count in line)
    assert health.variants[chosen].at(0.5).rows == sum(not answer.abstained for answer in answers)


@pytest.mark.slow
def test_a_transformer_export_keeps_the_health_of_every_accepted_variant(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.csv", EVALUATION)
    assert_agrees_with_evidence(export(tmp_path, tiny_bert(tmp_path / "run"), data=str(data)))


@pytest.mark.slow
def test_an_embedding_export_has_none(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.csv", EVALUATION)
    bundle = export(tmp_path, tiny_encoder(tmp_path / "run"), data=str(data))
    assert (bundle.manifest.health, read_health(bundle)) == (None, None)
    assert FILE not in bundle.manifest.files
