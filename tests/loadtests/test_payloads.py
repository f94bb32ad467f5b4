"""Payloads: deterministic, and shaped as the scenarios promise."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.payloads import BUILT_IN_TEXTS, SCENARIOS, Payload, tell

SAMPLES = ("profit rises", "shares fell after the warning on monday")


def first(number: int, scenario: str, seed: int = 0, caller: int = 1) -> list[Payload]:
    return list(islice(tell(scenario, SAMPLES, seed, caller), number))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_seed_tells_the_same_story(scenario: str) -> None:
    assert first(50, scenario) == first(50, scenario)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_caller_and_every_seed_tells_another_story(scenario: str) -> None:
    stories = [first(50, scenario, seed, caller) for seed in (0, 1) for caller in (1, 2)]

    assert len({tuple(story) for story in stories}) == 4


def test_single_sends_one_sample_at_a_time() -> None:
    assert {text for payload in first(50, "single") for text in payload} == set(SAMPLES)
    assert {len(payload) for payload in first(50, "single")} == {1}


def test_batches_hold_8_to_32_texts_and_reach_both_ends() -> None:
    sizes = {len(payload) for payload in first(2000, "batches")}

    assert sizes == set(range(8, 33))


def test_mixed_lengths_are_skewed_as_promised() -> None:
    words = sorted(len(text.split()) for (text,) in first(4000, "mixed"))

    short = sum(number <= 12 for number in words) / len(words)
    long = sum(number > 300 for number in words) / len(words)
    assert 0.47 < short < 0.53
    assert 0.08 < long < 0.12
    assert words[0] >= 3
    assert words[-1] <= 400


@given(st.lists(st.text(max_size=20), max_size=5), st.sampled_from(sorted(SCENARIOS)), st.integers())
def test_whatever_the_samples_no_payload_is_blank(samples: list[str], scenario: str, seed: int) -> None:
    payloads = list(islice(tell(scenario, samples, seed), 5))

    assert all(text.strip() for payload in payloads for text in payload)


def test_a_model_without_samples_gets_the_built_in_texts() -> None:
    (payload,) = islice(tell("single", ["", " "], 0), 1)

    assert payload[0] in BUILT_IN_TEXTS
