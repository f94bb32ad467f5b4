"""The alarm: two of three windows, two that forget beside them, a budget in days, contracts without confirmation."""

import json

import numpy as np
import pytest

from monitoring.alarm import DAY_SECONDS, Detector, Verdict
from monitoring.building import reference_of
from monitoring.contracts import breaches
from monitoring.features import DUPLICATE, EMPTY, SCRIPT, Rows
from monitoring.reference import Reference
from monitoring.summary import Summary
from tests.monitoring.samples import draw, reference

REFERENCE = reference(np.random.default_rng(1), evaluation=300)
HOUR = 3_600.0


def watch(shifts: list[float], rows: int = 100, seed: int = 2) -> list[Verdict]:
    """What is thought of windows that are shifted by so much each, an hour apart."""
    rng, detector, verdicts = np.random.default_rng(seed), Detector(), []
    for shift in shifts:
        summary = REFERENCE.layout.summarise(draw(rng, rows, shift))
        detector, verdict = detector.observe(summary, HOUR, REFERENCE, 30.0)
        verdicts.append(verdict)
    return verdicts


def test_usual_windows_are_quiet() -> None:
    assert not any(verdict.alarm for verdict in watch([0.0] * 40))


def test_one_odd_window_is_not_confirmed_and_two_of_three_are() -> None:
    found = watch([0.0, 2.0, 0.0, 2.0, 0.0, 0.0])

    assert [verdict.window.status for verdict in found] == ["ok", "drift", "ok", "drift", "ok", "ok"]
    assert ["window" in verdict.causes for verdict in found] == [False, False, False, True, False, False]


def test_what_is_overwhelming_needs_no_second_window() -> None:
    found = watch([0.0, 0.0, 0.0, 4.0])

    assert [verdict.alarm for verdict in found] == [False, False, False, True]
    assert {"recent"} <= set(found[-1].causes) <= {"recent", "slow"}


def test_a_small_change_that_stays_adds_up_in_the_slow_window() -> None:
    found = watch([0.25] * 40, rows=60)
    slow = [verdict for verdict in found if "slow" in verdict.causes]

    assert len(slow) > 15 > 2 * sum("window" in verdict.causes for verdict in found)
    assert {feature.name for feature in slow[0].slow.features if feature.drifted} & {"chars", "embedding"}


def test_the_budget_is_time_so_denser_windows_each_get_less_of_it() -> None:
    rates = []
    for seconds in (10.0, HOUR, 2 * DAY_SECONDS):
        detector = Detector()
        for _ in range(3):
            detector, _ = detector.observe(Summary.empty(REFERENCE.layout.width), seconds, REFERENCE, 30.0)
        rates.append(detector.rate(30.0))

    assert rates == pytest.approx([10 / (90 * DAY_SECONDS), HOUR / (90 * DAY_SECONDS), 1 / 90])


def test_the_state_survives_a_restart_to_the_last_digit() -> None:
    rng, one = np.random.default_rng(3), Detector()
    again = one
    for _ in range(8):
        summary = REFERENCE.layout.summarise(draw(rng, 80, 0.2))
        one, first = one.observe(summary, HOUR, REFERENCE, 30.0)
        again, second = again.observe(summary, HOUR, REFERENCE, 30.0)
        kept = [Summary.from_bytes(m.summary.to_bytes()) for m in (again.recent, again.slow) if m.summary is not None]
        again = Detector.load(json.loads(json.dumps(again.document())), *kept)
        assert (first.causes, first.slow.surprise) == (second.causes, second.slow.surprise)


def test_a_model_without_a_reference_is_counted_and_never_judged() -> None:
    blank = Reference.blank()
    detector, verdict = Detector().observe(Summary(500.0, np.zeros(0)), HOUR, blank, 30.0)

    assert (verdict.alarm, verdict.breaches, verdict.window.status) == (False, (), "insufficient")
    assert detector.windows == 1


def flagged(rows: int, name: str, share: float) -> Rows:
    """Usual rows of which a share has a flag set."""
    usual = draw(np.random.default_rng(4), rows)
    flags = (np.arange(rows) < share * rows).astype(np.float64)
    return Rows(
        {**usual.numbers, name: flags}, usual.classes, usual.scores, usual.tokens, usual.counts, usual.embedding
    )


@pytest.mark.parametrize("rows", [50, 200, 5_000])
@pytest.mark.parametrize("name", [EMPTY, "price missing"])
def test_what_hardly_occurs_may_occur_once_but_not_in_a_third(rows: int, name: str) -> None:
    known = reference_of(flagged(400, name, 0.01), (), {}, {})
    few, many = (known.layout.summarise(flagged(rows, name, share)) for share in (0.02, 0.33))

    assert breaches(few, known) == ()
    [breach] = breaches(many, known)
    assert breach.share == pytest.approx(0.33, abs=0.02)
    assert breach.reference == pytest.approx(0.01)
    assert "33" in breach.message or "34" in breach.message


def test_repetition_is_a_flood_only_where_most_texts_repeat() -> None:
    known = reference_of(flagged(400, DUPLICATE, 0.0), (), {}, {})

    assert breaches(known.layout.summarise(flagged(200, DUPLICATE, 0.4)), known) == ()
    assert [b.name for b in breaches(known.layout.summarise(flagged(200, DUPLICATE, 0.9)), known)] == [
        "texts sent before"
    ]


def test_another_script_and_a_category_never_seen_break_a_contract() -> None:
    def classed(script: str, city: str) -> Rows:
        usual = draw(np.random.default_rng(5), 200)
        classes = {SCRIPT: np.full(200, script, dtype=object), "city": np.full(200, city, dtype=object)}
        return Rows(usual.numbers, classes, usual.scores, usual.tokens, usual.counts, usual.embedding)

    known = reference_of(classed("latin", "Turku"), (), {}, {})
    found = breaches(known.layout.summarise(classed("cyrillic", "Pune")), known)

    assert {breach.name for breach in found} == {"texts in another script", "city never seen"}
