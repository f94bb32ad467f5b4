"""Planted wrong labels are found, right ones mostly left alone, and nothing is judged that cannot be."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from examples.headlines import LABELS, generate
from monitoring.labels.quality import Audit, Given, audit
from monitoring.labels.quality_annotators import chance_wrong, longest
from monitoring.labels.quality_models import features, temperature, tempered
from tidegate.errors import UsageError

_TRUSTED, _BATCH = 1_200, 300


def batch(seed: int, *, annotators: int = 5) -> tuple[list[Given], list[str]]:
    """Trusted headlines and a batch in which every label is right; and the true labels."""
    rng = Random(seed)
    rows = [
        Given(
            text,
            label,
            trusted=number < _TRUSTED,
            annotator="" if number < _TRUSTED else f"a{rng.randrange(annotators)}",
        )
        for number, (text, label) in enumerate(generate(_TRUSTED + _BATCH, seed))
    ]
    return rows, [row.label for row in rows]


def spoil(rows: list[Given], share: float, seed: int) -> list[Given]:
    """Give a share of the batch another label at random."""
    rng = Random(seed)
    chosen = set(rng.sample(range(_TRUSTED, len(rows)), round(share * _BATCH)))
    other = {label: [each for each in LABELS if each != label] for label in LABELS}
    return [replace(row, label=rng.choice(other[row.label])) if at in chosen else row for at, row in enumerate(rows)]


def figures(found: Audit, rows: list[Given], truth: list[str]) -> tuple[float, float]:
    """Recall and precision of what was flagged."""
    wrong = {at for at, row in enumerate(rows) if row.label != truth[at]}
    flagged = {suspect.row for suspect in found.suspects}
    return len(wrong & flagged) / max(len(wrong), 1), len(wrong & flagged) / max(len(flagged), 1)


@pytest.mark.slow
def test_most_planted_wrong_labels_are_caught_and_most_flags_are_right() -> None:
    rows, truth = batch(1)
    spoiled = spoil(rows, 0.15, seed=2)
    found = audit(spoiled)
    recall, precision = figures(found, spoiled, truth)

    assert recall >= 0.8
    assert precision >= 0.5
    assert all(not spoiled[suspect.row].trusted for suspect in found.suspects)
    scores = [suspect.score for suspect in found.suspects]
    assert scores == sorted(scores, reverse=True)
    right = [
        suspect.suggested == truth[suspect.row] for suspect in found.suspects if suspect.given != truth[suspect.row]
    ]
    assert np.mean(right) > 0.7, "what is suggested is mostly what was meant"


@pytest.mark.slow
def test_who_turns_one_class_into_another_stands_first_and_is_named() -> None:
    rows, truth = batch(3)
    spoiled = [
        replace(row, label="positive") if row.annotator == "a2" and row.label == "negative" else row for row in rows
    ]
    found = audit(spoiled)

    assert found.annotators[0].annotator == "a2"
    assert found.annotators[0].expected_wrong > 1.5 * found.annotators[1].expected_wrong
    assert figures(found, spoiled, truth)[0] >= 0.7
    first = next(suspect for suspect in found.suspects if spoiled[suspect.row].annotator == "a2")
    assert (first.given, first.suggested) == ("positive", "negative")
    assert "many labels of a2 are doubted" in first.why


@pytest.mark.slow
def test_clean_labels_raise_few_suspects_and_the_same_rows_give_the_same_answer() -> None:
    rows, _ = batch(5)
    steps: list[int] = []
    found = audit(rows, step=lambda: steps.append(1))
    again = audit(rows)

    assert len(found.suspects) < 0.15 * _BATCH
    assert found.suspects == again.suspects
    np.testing.assert_array_equal(found.scores, again.scores)
    assert len(steps) == 10, "five folds of all labels, five of the trusted ones"


def test_a_near_copy_that_is_labelled_otherwise_is_a_reason() -> None:
    texts = [f"{kind} number {'abcdefghij'[n]} of the day" for n in range(10) for kind in ("good good", "bad bad")]
    rows = [Given(text, text[:4].strip()) for text in texts]
    rows += [Given("Good  good number a of the day", "bad")]
    found = audit(rows)

    assert found.suspects
    assert found.suspects[0].row == 20
    assert found.suspects[0].suggested == "good"
    assert "a near copy has another label" in found.suspects[0].why


def test_what_was_served_counts_as_evidence() -> None:
    texts = [f"{kind} number {'abcdefghij'[n]}" for n in range(10) for kind in ("good good", "bad bad")]
    rows = [Given(text, text[:4].strip()) for text in texts] + [Given("quite something else", "bad")]
    doubted = audit([*rows[:-1], replace(rows[-1], served={"good": 0.99, "bad": 0.01})])
    confirmed = audit([*rows[:-1], replace(rows[-1], served={"good": 0.01, "bad": 0.99})])

    assert doubted.scores[20] > confirmed.scores[20]


def test_rare_labels_are_not_judged_and_too_little_is_refused() -> None:
    rows = [Given(f"{kind} thing {n}", kind) for n in range(12) for kind in ("good", "bad")]
    found = audit([*rows, Given("odd one", "rare")])

    assert found.unjudged == ("rare",)
    assert np.isnan(found.scores[-1])
    assert not np.isnan(found.scores[:-1]).any()
    with pytest.raises(UsageError, match="0 rows of 0 labels that occur 5 times cannot be audited; at least 20 rows"):
        audit([])


def test_rows_that_are_all_trusted_have_no_suspects() -> None:
    rows = [Given(f"{kind} thing {n}", kind, trusted=True) for n in range(12) for kind in ("good", "bad")]
    found = audit(rows)

    assert found.suspects == ()
    assert found.annotators == ()
    assert not found.scores.any()


def test_near_copies_share_a_group_and_others_do_not() -> None:
    _, groups = features(["The profit rose", "the  profit ROSE", "sales fell in May", "the dog barks"], None)

    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3


def test_an_overconfident_model_is_cooled_until_its_chances_are_true() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(0.5, 0.95, 4_000)
    labels = (rng.random(4_000) > true).astype(np.int64)
    spread = np.stack([true, 1 - true], axis=1)
    sharp = tempered(spread, 0.5)

    assert temperature(sharp, labels) == pytest.approx(2.0, rel=0.15)
    np.testing.assert_allclose(tempered(sharp, 2.0), spread, atol=1e-4)


def test_the_chances_are_true_ones_where_annotators_err_as_assumed() -> None:
    rng = np.random.default_rng(1)
    expected = rng.dirichlet([0.3, 0.3, 0.3], 3_000)  # (rows, classes)
    truth = np.array([rng.choice(3, p=row) for row in expected])
    wrong = rng.random(3_000) < 0.15
    given = np.where(wrong, (truth + rng.integers(1, 3, 3_000)) % 3, truth)
    chances, _ = chance_wrong(expected, given, rng.integers(0, 4, 3_000))

    assert chances.sum() == pytest.approx(wrong.sum(), rel=0.15)
    chosen = longest(chances, 0.6)
    assert wrong[chosen].mean() == pytest.approx(0.6, abs=0.1)


def test_no_row_is_chosen_where_none_is_likely_wrong() -> None:
    assert longest(np.full(10, 0.1), 0.6).tolist() == []
    assert longest(np.array([0.1, 0.9, 0.5]), 0.6).tolist() == [1, 2]
