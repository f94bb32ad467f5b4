"""The domain classifier tells texts apart that differ, and says by what; texts of one source it cannot."""

import subprocess
import sys

import pytest

from monitoring.explain import LEAST_TEXTS, MOST_TEXTS, interval, separate
from tests.bundles import headlines


def test_texts_of_another_domain_are_told_apart_by_their_words() -> None:
    films = [f"{text} film actor" for text in headlines(200, seed=1)]
    found = separate(films, headlines(300, seed=2))

    assert found is not None
    assert found.auc > 0.98
    assert set(found.window_words[:2]) == {"film", "actor"}
    assert 0.0 <= found.low <= found.auc <= found.high <= 1.0


@pytest.mark.slow
def test_texts_of_one_source_are_rarely_claimed_to_differ() -> None:
    found = [separate(headlines(200, seed=seed), headlines(300, seed=seed + 500)) for seed in range(40)]

    assert sum(one is None or one.low > 0.5 for one in found) <= 3, "1 in 40 is what a 95 % interval promises"


def test_repeated_texts_count_once() -> None:
    spam = ["Buy now!!!", "buy  NOW!!!"] * 500

    assert separate(spam, headlines(300, seed=2)) is None


def test_too_few_texts_or_texts_without_words_say_nothing() -> None:
    known = headlines(300, seed=2)

    assert separate(headlines(LEAST_TEXTS - 1, seed=1), known) is None
    assert separate([], known) is None
    assert separate([chr(0x1F600 + n) for n in range(40)], [chr(0x1F300 + n) for n in range(40)]) is None


def test_many_texts_are_cut_evenly() -> None:
    found = separate([f"{text} {n}x" for n, text in enumerate(headlines(3_000, seed=1))], headlines(50, seed=2))

    assert found is not None
    assert (found.window_texts, found.reference_texts) == (MOST_TEXTS, 50)


def test_the_interval_narrows_with_the_texts() -> None:
    few, many = interval(0.8, 50, 50), interval(0.8, 1_000, 1_000)

    assert few[1] - few[0] > 3 * (many[1] - many[0])
    assert interval(1.0, 30, 30) == (1.0, 1.0)


def test_scikit_learn_is_not_imported_before_somebody_asks() -> None:
    code = "import sys, monitoring.explain; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
