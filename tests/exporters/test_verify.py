from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from exporters.measure import Measurement, load, save
from exporters.verify import Yardstick, compare, depends_on_batch, fastest, judge, run_measurement, yardstick
from tests import bundles
from tidegate.bundle import Evidence, Postprocessing, Variant
from tidegate.bundle_store import BundleStore
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.errors import TidegateError, UsageError

ROWS = [(f"text {index}", "ab"[index % 2]) for index in range(200)]
SOURCE = np.array([[0.9, 0.1] if label == "a" else [0.2, 0.8] for _, label in ROWS])
VARIANT = Variant(name="fp32", file="model.onnx", precision="fp32")
INT8 = Variant(name="int8", file="model.int8.onnx", precision="int8")


def _yard(post: Postprocessing | None = None, drop: float = 0.005) -> Yardstick:
    return yardstick(ROWS, ("a", "b"), SOURCE, post or Postprocessing(), drop)


def _measured(
    single: NDArray[np.float64], batched: NDArray[np.float64] | None = None, latency: float = 0.001
) -> Measurement:
    return Measurement(single, single if batched is None else batched, latency, 100.0)


def _flipped(count: int) -> NDArray[np.float64]:
    answers = SOURCE.copy()
    answers[:count] = answers[:count, ::-1]
    return answers


def test_equal_answers_are_accepted_with_full_marks() -> None:
    evidence = judge(VARIANT, 10, _measured(SOURCE), _yard())
    assert (evidence.accepted, evidence.agreement, evidence.accuracy, evidence.max_abs_error) == (True, 1.0, 1.0, 0.0)


def test_the_gate_stands_at_99_percent_agreement() -> None:
    lenient = _yard(drop=0.5)
    assert judge(VARIANT, 10, _measured(_flipped(2)), lenient).accepted
    refused = judge(VARIANT, 10, _measured(_flipped(3)), lenient)
    assert not refused.accepted
    assert "98.50%" in refused.refusal
    assert refused.accuracy == pytest.approx(0.985)


def test_a_drop_of_exactly_the_limit_passes_and_more_does_not() -> None:
    assert judge(VARIANT, 10, _measured(_flipped(1)), _yard(drop=0.005)).accepted
    assert "points of accuracy" in judge(VARIANT, 10, _measured(_flipped(2)), _yard(drop=0.005)).refusal


def test_answers_that_depend_on_batch_mates_count_against_a_variant() -> None:
    evidence = judge(VARIANT, 10, _measured(SOURCE, _flipped(5)), _yard())
    assert not evidence.accepted
    assert evidence.agreement == pytest.approx(0.975)
    assert evidence.max_abs_error == pytest.approx(0.8)
    assert evidence.flips == 5
    assert "answers 5 texts with another label in a batch than alone" in evidence.refusal


def test_one_label_that_its_company_flips_is_one_too_many() -> None:
    evidence = judge(VARIANT, 10, _measured(SOURCE, _flipped(1)), _yard(drop=0.5))
    assert (evidence.accepted, evidence.flips, depends_on_batch(evidence, VARIANT)) == (False, 1, True)


@pytest.mark.parametrize(("variant", "passes", "fails"), [(VARIANT, 9e-6, 1.1e-5), (INT8, 0.009, 0.011)])
def test_company_may_move_a_probability_by_the_precision_and_no_more(
    variant: Variant, passes: float, fails: float
) -> None:
    for moved, accepted in ((passes, True), (fails, False)):
        evidence = judge(variant, 10, _measured(SOURCE, SOURCE + moved), _yard())
        assert evidence.batch_difference == pytest.approx(moved)
        assert (evidence.accepted, depends_on_batch(evidence, variant)) == (accepted, not accepted)


def test_a_sample_of_the_rows_allows_one_row_by_chance_and_not_two() -> None:
    yard = _yard().first(64)
    assert len(yard.rows) == len(yard.source) == 64
    assert judge(VARIANT, 10, _measured(_flipped(1)[:64]), yard).accepted
    assert not judge(VARIANT, 10, _measured(_flipped(2)[:64]), yard).accepted
    assert _yard().first(200).min_agreement == _yard().min_agreement


def test_evidence_from_before_batch_invariance_was_measured_still_reads() -> None:
    known = judge(VARIANT, 10, _measured(SOURCE), _yard()).model_dump(exclude={"flips", "batch_difference"})
    assert Evidence.model_validate(known).flips == 0


def test_labels_are_compared_with_threshold_and_fallback_applied() -> None:
    post = Postprocessing(threshold=0.85, fallback_label="unsure")
    nudged = SOURCE.copy()
    nudged[::2] = [0.84, 0.16]  # the same class, but now below the threshold
    assert judge(VARIANT, 10, _measured(nudged), _yard()).agreement == 1.0
    assert judge(VARIANT, 10, _measured(nudged), _yard(post)).agreement == pytest.approx(0.5)


def test_evaluation_labels_that_the_model_does_not_know_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"does not know: b; it knows: x, y"):
        yardstick([("t", "b")], ("x", "y"), SOURCE[:1], Postprocessing(), 0.005)


def test_the_fastest_wins_and_a_tie_goes_to_the_more_exact() -> None:
    def evidence(name: str, latency: float) -> Evidence:
        variant = VARIANT.model_copy(update={"name": name})
        return judge(variant, 10, _measured(SOURCE, latency=latency), _yard())

    assert fastest([evidence("fp32", 0.010), evidence("int8", 0.005)]).variant == "int8"
    assert fastest([evidence("fp32", 0.0104), evidence("int8", 0.010)]).variant == "fp32"


def test_a_variant_measured_in_its_own_process_answers_as_its_engine_does(tmp_path: Path) -> None:
    bundle = bundles.sentiment(BundleStore(tmp_path / "bundles"))
    texts = [*bundles.SAMPLES * 15, "nothing known", ""]
    measured = run_measurement(bundle.path, bundle.manifest, bundle.manifest.variant(), texts, tmp_path)
    expected = Engine.open(bundle, choose("cpu", ())).classify(texts)
    np.testing.assert_allclose(measured.single, expected, atol=1e-6)
    np.testing.assert_allclose(measured.batched, expected, atol=1e-6)
    assert measured.latency_p50_seconds > 0
    assert measured.throughput_texts_per_second > 0


def test_a_measurement_that_fails_says_why(tmp_path: Path) -> None:
    bundle = bundles.sentiment(BundleStore(tmp_path / "bundles"))
    bundle.file("model.onnx").write_bytes(b"not a graph")
    with pytest.raises(TidegateError, match=r"fp32 failed.*cannot load"):
        run_measurement(bundle.path, bundle.manifest, bundle.manifest.variant(), ["text"], tmp_path)


def test_measurements_survive_the_file_between_the_processes(tmp_path: Path) -> None:
    save(_measured(SOURCE), tmp_path / "m.npz")
    back = load(tmp_path / "m.npz")
    np.testing.assert_array_equal(back.single, SOURCE)
    assert back.latency_p50_seconds == 0.001


def test_where_the_source_model_is_of_two_minds_either_label_agrees() -> None:
    source = np.array([[0.5, 0.5], [0.9, 0.1]])
    yard = Yardstick([("a", "x"), ("b", "x")], ("x", "y"), ("x", "y"), source, Postprocessing(), 1.0)
    answers = np.array([[0.499999, 0.500001], [0.9, 0.1]])

    compared = compare(answers, [source], yard, 1e-2)

    assert (compared.agreement, compared.flips, compared.refusal) == (1.0, 0, "")
