"""Tuning measures in real child processes; what lies, depends on its company or does not start is refused."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from exporters.batches import cut, run_tokens
from exporters.candidates import coarse, offered, place, refined
from exporters.trial import Alone
from exporters.trials import _outcome, _wait, ask, judge
from exporters.tune import tune, verify
from exporters.verification import read
from tests import bundles
from tidegate.bundle import Bundle, Variant
from tidegate.bundle_store import BundleStore
from tidegate.devices import CPU, OPENVINO, Device, choose, cores
from tidegate.errors import NotReady
from tidegate.plan import RUN_TOKENS, Plan, exported
from tidegate.preprocess import Encoded
from tidegate.tunings import Trial, Tuning

HERE = [Device("cpu", CPU, "tests")]
INTEL = [*HERE, Device("cpu", OPENVINO, "tests")]


def tuned(bundle: Bundle, said: list[str] | None = None, *, threads: int = 1, seconds: float | None = None) -> Tuning:
    """Tune on one thread, which leaves one shape to try, without a clock that a busy machine could beat."""
    say = (said if said is not None else []).append
    return tune(bundle, HERE, threads=threads, budget_seconds=seconds, say=say)


def of(tuning: Tuning, variant: str) -> list[Trial]:
    return [trial for trial in tuning.trials if trial.plan.variant == variant]


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles")


def test_an_honest_bundle_is_tuned_and_every_trial_tells_its_figures(store: BundleStore) -> None:
    said: list[str] = []
    tuning = tuned(bundles.wordpieces(store), said)

    assert tuning.hardware == place("auto", 1)
    assert tuning.against == "the source model"
    assert len(said) == len(tuning.trials) >= 2
    for trial in tuning.trials:
        assert (trial.accepted, trial.rows, trial.agreement, trial.flips) == (True, 150, 1.0, 0)
        assert trial.max_abs_error < 1e-5
        assert trial.latency_p50_seconds > 0
        assert trial.throughput_texts_per_second > 0
    assert tuning.best("latency") in tuning.trials
    assert tuning.best("throughput") in tuning.trials


def test_a_variant_that_lies_here_is_refused_with_the_reason_and_never_wins(store: BundleStore) -> None:
    said: list[str] = []
    tuning = tuned(bundles.wordpieces(store, fault="lies"), said, threads=2)

    assert tuning.trials[0].plan.variant == "int8"  # the exported choice is tried first
    assert not any(trial.accepted for trial in of(tuning, "int8"))
    assert "agrees with the source model on" in tuning.trials[0].refusal
    assert len({trial.plan.runs for trial in of(tuning, "int8")}) == 1  # a second shape would answer no better
    assert any("other threads would change nothing" in line for line in said)
    best = tuning.best("throughput")
    assert best is not None
    assert best.plan.variant == "fp32"


def test_a_variant_whose_answers_depend_on_batch_mates_is_taken_one_text_a_run(store: BundleStore) -> None:
    tuning = tuned(bundles.wordpieces(store, fault="depends on batch-mates"))

    batched = [trial for trial in of(tuning, "int8") if trial.plan.max_batch_rows > 1]
    alone = [trial for trial in of(tuning, "int8") if trial.plan.max_batch_rows == 1]
    assert batched
    assert alone
    assert not any(trial.accepted for trial in batched)
    assert batched[0].flips > 0
    assert "in a batch than alone" in batched[0].refusal
    assert all(trial.accepted for trial in alone)


def test_a_file_that_is_no_graph_is_a_refusal_and_not_the_end(store: BundleStore) -> None:
    tuning = tuned(bundles.wordpieces(store, fault="is no graph"))

    assert "cannot load" in of(tuning, "int8")[0].refusal
    assert any(trial.accepted for trial in of(tuning, "fp32"))


def test_a_provider_that_does_not_start_is_a_refusal_with_its_own_words(store: BundleStore) -> None:
    bundle = bundles.wordpieces(store)
    gpu = Plan(variant="fp32", device="cuda:0", provider="CUDAExecutionProvider")
    tuning = verify(bundle, gpu, say=print)

    [trial] = tuning.trials
    assert not trial.accepted
    assert "CUDAExecutionProvider did not start" in trial.refusal


def test_verifying_measures_one_plan_alone(store: BundleStore) -> None:
    bundle = bundles.wordpieces(store, fault="lies")
    chosen, exact = (exported(bundle.manifest, choose("cpu", ()), variant=name) for name in ("int8", "fp32"))

    assert [trial.accepted for trial in verify(bundle, chosen, say=print).trials] == [False]
    assert [trial.accepted for trial in verify(bundle, exact, say=print).trials] == [True]


def test_a_bundle_without_a_verification_set_is_held_against_its_own_fp32_and_says_so(store: BundleStore) -> None:
    said: list[str] = []
    tuning = tuned(bundles.wordpieces(store, fault="lies", verification_set=False), said)

    assert "no verification set" in said[0]
    assert tuning.against == "fp32 on the CPU of this machine"
    assert not any(trial.accepted for trial in of(tuning, "int8"))
    assert any(trial.accepted for trial in of(tuning, "fp32"))


def test_what_was_measured_when_the_budget_ends_counts(store: BundleStore) -> None:
    said: list[str] = []
    started = time.monotonic()
    tuning = tuned(bundles.wordpieces(store, fault="depends on batch-mates"), said, seconds=3.0)

    assert time.monotonic() - started < 8
    assert tuning.quick
    assert any("time is used up" in line for line in said)


def test_a_child_that_takes_too_long_is_a_refusal(store: BundleStore) -> None:
    bundle = bundles.wordpieces(store)
    plan = exported(bundle.manifest, choose("cpu", ()))
    outcome = ask(bundle, [plan], bundles.SAMPLES, seconds=1, limit=0.05, stopping=Event())
    known = read(bundle)
    assert known is not None

    [trial] = judge(outcome, [plan], known.yardstick(bundle.manifest), "fp32")
    assert not trial.accepted
    assert "was not measured within" in trial.refusal


def test_a_child_that_is_killed_is_a_refusal_by_its_signal() -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        threading.Timer(0.2, os.kill, (child.pid, signal.SIGKILL)).start()
        assert _wait(child, 20, Event()) == "its process was killed by signal 9"


def test_what_a_killed_child_wrote_before_it_died_counts(store: BundleStore) -> None:
    line = Alone(answers=[[1.0, 0.0]], mixed=None, latency_p50_seconds=0.1).model_dump_json()

    assert _outcome([line, '{"plan": {"var'], "killed").alone is not None
    assert _outcome([line[:20]], "killed").alone is None


def test_a_server_that_stops_ends_the_measurement_at_once(store: BundleStore) -> None:
    stopping = Event()
    threading.Timer(0.3, stopping.set).start()
    started = time.monotonic()
    with pytest.raises(NotReady, match="given up"):
        tune(bundles.wordpieces(store), HERE, budget_seconds=60, say=print, stopping=stopping)
    assert time.monotonic() - started < 5


def test_the_exported_choice_is_tried_first_and_every_engine_once(store: BundleStore) -> None:
    manifest = bundles.wordpieces(store, fault="lies").manifest
    engines = coarse(manifest, HERE, 2)

    shapes = [(e[0].variant, e[0].runs, e[0].threads) for e in engines]
    assert shapes[0] == ("int8", 2, 1)
    assert sorted(shapes) == [("fp32", 1, 2), ("fp32", 2, 1), ("int8", 1, 2), ("int8", 2, 1)]
    assert all(engine[-1].max_batch_rows == 1 for engine in engines)
    assert {len({(p.variant, p.provider, p.runs, p.threads) for p in engine}) for engine in engines} == {1}
    assert [(e[0].runs, e[0].threads) for e in coarse(manifest, HERE, 1)] == [(1, 1), (1, 1)]
    assert (2, 4) in [(e[0].runs, e[0].threads) for e in coarse(manifest, HERE, 8)]


def test_each_provider_is_offered_the_files_that_suit_it(store: BundleStore) -> None:
    manifest = bundles.wordpieces(store, fault="lies").manifest
    half = Variant(name="fp16", file="half.onnx", precision="fp16")
    manifest = manifest.model_copy(update={"variants": (*manifest.variants, half)})
    gpu = [Device("cuda:0", "CUDAExecutionProvider", "tests")]

    def tried(places: list[Device]) -> set[tuple[str, str]]:
        return {(e[0].provider.partition("Exec")[0], e[0].variant) for e in coarse(manifest, places, 2)}

    assert tried(INTEL) == {("CPU", "fp32"), ("CPU", "int8"), ("OpenVINO", "fp32")}
    assert tried(gpu) == {("CUDA", "fp32"), ("CUDA", "fp16")}


def test_a_winner_is_refined_by_its_batching_alone() -> None:
    best = Plan(variant="fp32", provider=OPENVINO, runs=2, max_batch_tokens=512, length_multiple=8)
    finer = refined(best)

    # The winner as well: in one process with the others, in turns, they can be told apart.
    assert {plan.max_batch_tokens for plan in finer} == {256, 512, 1024, 2048}
    assert {plan.length_multiple for plan in finer} == {1, 8}
    assert refined(best.model_copy(update={"max_batch_rows": 1})) == ()


def test_the_cpu_is_always_offered_and_keyed_with_what_the_settings_leave(store: BundleStore) -> None:
    assert Device("cpu", CPU, "always there") in offered("auto")
    assert place("cpu", 1) == f"{place('auto', 0)}, device cpu, at most 1 threads"


def row(length: int) -> Encoded:
    return Encoded({"ids": np.zeros(length)}, length=length, words=length, unknown=0, truncated=False)


def test_runs_hold_rows_of_like_length_within_the_bounds() -> None:
    rows = [row(length) for length in (5, 100, 6, 90, 7, 300)]
    runs = cut(rows, Plan(variant="v", max_batch_tokens=200, max_batch_rows=2))

    assert runs == [[5], [1, 3], [4, 2], [0]]  # a row beyond the bound goes alone
    assert sorted(index for run in runs for index in run) == list(range(6))
    assert cut(rows, Plan(variant="v", max_batch_rows=1)) == [[5], [1], [3], [4], [2], [0]]


def test_the_fixed_cost_of_a_run_is_found_from_its_timings() -> None:
    points = [(tokens, 0.003 + tokens * 0.0001) for tokens in (10, 50, 200, 1000, 1500)]

    assert run_tokens(points) == pytest.approx(30, abs=0.1)
    assert run_tokens([*points, (400, 9.0)]) == pytest.approx(30, abs=5)  # one run that something else held up
    assert run_tokens([(tokens, tokens * 0.0001) for tokens in (10, 50, 200)]) == RUN_TOKENS  # never less
    assert run_tokens([(10, 0.5), (10, 0.6)]) == RUN_TOKENS
    assert run_tokens([(10, 0.5), (20, 0.4), (30, 0.3)]) == RUN_TOKENS


def test_a_tuning_uses_no_more_cores_than_it_may(store: BundleStore) -> None:
    plans = [plan for engine in coarse(bundles.wordpieces(store).manifest, HERE, 0) for plan in engine]

    assert all(plan.runs * plan.threads <= cores() for plan in plans)
