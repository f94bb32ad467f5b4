"""A tuning belongs to one bundle on one machine; the best plan is not picked by the clock's noise."""

from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Timer

import pytest

from tests import bundles
from tidegate import tunings
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.errors import NotReady
from tidegate.plan import Plan
from tidegate.tunings import Trial, Tuning


def trial(variant: str, latency: float, throughput: float, error: float = 0.0, refusal: str = "") -> Trial:
    return Trial(
        plan=Plan(variant=variant),
        accepted=not refusal,
        refusal=refusal,
        rows=100,
        max_abs_error=error,
        latency_p50_seconds=latency,
        throughput_texts_per_second=throughput,
    )


def tuning(bundle: Bundle, *trials: Trial, hardware: str = "this machine") -> Tuning:
    return Tuning(
        hardware=hardware,
        bundle=tunings.bundle_digest(bundle),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        quick=False,
        trials=trials or (trial("fp32", 0.01, 100),),
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundles.wordpieces(BundleStore(tmp_path / "bundles"))


def test_what_was_written_is_read_back_on_the_same_machine_alone(bundle: Bundle, tmp_path: Path) -> None:
    known = tuning(bundle)
    file = tunings.write(tmp_path / "tuning", bundle, known)

    assert tunings.read(tmp_path / "tuning", bundle, "this machine") == known
    assert tunings.read(tmp_path / "tuning", bundle, "another machine") is None
    assert [f.name for f in file.parent.iterdir()] == [file.name]


def test_two_machines_that_share_a_home_keep_their_own(bundle: Bundle, tmp_path: Path) -> None:
    for hardware in ("a", "b"):
        tunings.write(tmp_path, bundle, tuning(bundle, hardware=hardware))

    assert [tunings.read(tmp_path, bundle, hardware) is not None for hardware in ("a", "b")] == [True, True]


def test_a_bundle_that_changed_finds_no_tuning(bundle: Bundle, tmp_path: Path) -> None:
    tunings.write(tmp_path / "tuning", bundle, tuning(bundle))
    other = bundles.wordpieces(BundleStore(tmp_path / "elsewhere"), max_tokens=32)

    assert other.manifest.version == bundle.manifest.version
    assert tunings.read(tmp_path / "tuning", other, "this machine") is None


def test_a_file_that_this_version_cannot_read_is_measured_anew(bundle: Bundle, tmp_path: Path) -> None:
    file = tunings.write(tmp_path, bundle, tuning(bundle))
    file.write_text(file.read_text().replace('"quick"', '"hasty"'))

    assert tunings.read(tmp_path, bundle, "this machine") is None


def test_each_goal_has_its_own_winner_and_the_refused_never_win(bundle: Bundle) -> None:
    known = tuning(
        bundle,
        trial("fast", 0.001, 50),
        trial("broad", 0.010, 500),
        trial("liar", 0.0001, 5000, refusal="agrees with nobody"),
        Trial(plan=Plan(variant="dead"), accepted=False, refusal="did not start"),
    )

    winners = [known.best("latency"), known.best("throughput")]
    assert [winner and winner.plan.variant for winner in winners] == ["fast", "broad"]
    assert tuning(bundle, trial("liar", 1, 1, refusal="no")).best("latency") is None


def test_of_plans_within_five_percent_the_more_exact_one_wins(bundle: Bundle) -> None:
    exact, rough = trial("exact", 0.0104, 97, 1e-6), trial("rough", 0.010, 100, 0.02)
    slow = trial("slow", 0.0106, 94, 1e-6)

    assert tuning(bundle, rough, exact, slow).best("latency") == exact
    assert tuning(bundle, rough, exact, slow).best("throughput") == exact
    assert tuning(bundle, rough, slow).best("throughput") == rough


def test_errors_that_nobody_could_see_do_not_decide(bundle: Bundle) -> None:
    quick, level = trial("quick", 0.010, 100, 2e-7), trial("level", 0.0103, 98, 1e-7)

    assert tuning(bundle, level, quick).best("throughput") == quick


def test_the_explanation_says_what_it_beat_and_what_was_refused(bundle: Bundle) -> None:
    known = tuning(
        bundle, trial("exported", 0.01, 100), trial("better", 0.01, 180), trial("liar", 1, 1, refusal="lies")
    )
    best = known.best("throughput")
    assert best is not None

    line = tunings.explain(known, best, "throughput")
    assert "best for throughput of 3 plans by tuning, 1.80 times the exported choice (exported on CPU" in line
    assert "liar on CPU" in line
    assert line.endswith("refused: lies")


def test_one_measurement_at_a_time_and_a_server_that_stops_does_not_wait_for_it(tmp_path: Path) -> None:
    stopping = Event()
    with tunings.measuring(tmp_path / "tuning", Event()):
        Timer(0.2, stopping.set).start()
        with pytest.raises(NotReady), tunings.measuring(tmp_path / "tuning", stopping):
            pytest.fail("two measured at once")
    with tunings.measuring(tmp_path / "tuning", Event()):
        pass
