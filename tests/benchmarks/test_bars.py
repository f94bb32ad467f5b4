"""Each bar of the table is held against the right figure."""

import pytest

from benchmarks.bars import Verdict, judge, ratio
from benchmarks.results import Pair, Results
from tests.benchmarks.figures import inside, load, pair, side, turns


def verdicts(*pairs: Pair) -> dict[str, Verdict]:
    results = Results(pairs={str(number): one for number, one in enumerate(pairs)})
    return {verdict.work: verdict for verdict in judge(results)}


def test_a_ratio_is_of_medians_and_shows_its_turns() -> None:
    found = ratio((10.0, 20.0, 60.0), (10.0, 10.0, 20.0))

    assert (found.middle, found.low, found.high) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize(("bar", "factor"), [("pipeline", 20.0), ("simple", 2.0), ("framework", 2.5)])
def test_the_crowd_has_to_be_served_so_many_times_faster(bar: str, factor: float) -> None:
    theirs = (load(10.0),)
    enough = verdicts(pair(bar, turns(64, 1, (load(10.0 * factor),), theirs)))
    short = verdicts(pair(bar, turns(64, 1, (load(9.9 * factor),), theirs)))

    assert enough["64 x 1 vs Rival, texts/s"].met
    assert not short["64 x 1 vs Rival, texts/s"].met


def test_half_the_p99_is_asked_of_all_but_the_pipeline() -> None:
    slow = turns(64, 1, (load(999.0, p99=0.6),), (load(1.0, p99=1.0),))

    assert not verdicts(pair("simple", slow))["64 x 1 vs Rival, p99"].met
    assert "64 x 1 vs Rival, p99" not in verdicts(pair("pipeline", slow))


def test_lists_are_held_against_frameworks_only() -> None:
    lists = turns(8, 32, (load(26.0, p99=0.4),), (load(10.0, p99=1.0),))

    assert verdicts(pair("framework", lists))["8 x 32 vs Rival, texts/s"].met
    assert "8 x 32 vs Rival, texts/s" not in verdicts(pair("simple", lists))


def test_a_lone_caller_must_not_wait_longer_than_at_any_rival() -> None:
    slower = turns(1, 1, (load(p50=0.011),), (load(p50=0.010),))

    for bar in ("pipeline", "simple", "framework"):
        assert not verdicts(pair(bar, slower))["1 x 1 vs Rival, p50"].met


def test_an_invalid_run_is_never_met() -> None:
    broken = turns(64, 1, (load(1000.0),), (load(1.0, fault="socket errors"),))

    found = verdicts(pair("simple", broken))

    assert not found["64 x 1 vs Rival"].met
    assert found["64 x 1 vs Rival"].found == "socket errors"
    assert "64 x 1 vs Rival, texts/s" not in found


def test_labels_are_judged_by_our_worst_run() -> None:
    good, bad = pair("simple", ours=side(0.999)), pair("framework", ours=side(0.994, in_crowd=1))

    assert verdicts(good)["labels that are the source model's"].met
    assert verdicts(good)["labels that depend on batch-mates"].met
    assert not verdicts(good, bad)["labels that are the source model's"].met
    assert not verdicts(good, bad)["labels that depend on batch-mates"].met


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert judge(Results()) == []


def test_the_figures_from_inside_have_bars_of_their_own() -> None:
    assert [verdict.met for verdict in judge(inside())] == [True] * 5
    assert [verdict.met for verdict in judge(inside(http_p50=0.0061, idle_cpu=0.01, padding=0.16))] == [
        True, False, False, True, False,
    ]  # fmt: skip
