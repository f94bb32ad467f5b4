"""A model's answers judged: what counts as a failure of each kind, how tests pass, which suites hold for a model."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tidegate.behaviour import Suite
from tidegate.behaviour_run import Subject, label_of, run_test
from tidegate.behaviour_suites import Chosen, built_in, choose, run_suites
from tidegate.errors import UsageError
from tidegate.tasks import Answer

LABELS = ("negative", "neutral", "positive")
GOOD = (
    "good",
    "great",
    "excellent",
    "wonderful",
    "lovely",
    "fantastic",
    "brilliant",
    "superb",
    "like",
    "love",
    "loved",
    "enjoy",
    "recommend",
)


def words(texts: Sequence[str]) -> list[Answer]:
    """Counts words of praise and of blame, as a bag of words does: negation and capitals escape it."""
    return [_answer(text.replace(".", " ").replace("!", " ").split()) for text in texts]


def _answer(tokens: list[str]) -> Answer:
    good, bad = sum(token in GOOD for token in tokens), sum(token in ("bad", "awful", "terrible") for token in tokens)
    weights = [math.exp(bad), math.exp(0.5), math.exp(good)]
    scores = tuple(weight / sum(weights) for weight in weights)
    return Answer(LABELS[scores.index(max(scores))], max(scores), False, scores)


SUBJECT = Subject(LABELS, words, ("a good film", "a BAD film", "a film"))


def failed(**test: Any) -> list[str]:
    suite = Suite.model_validate({"tests": [{"name": "t", **test}]})
    ran = run_test(suite, "t", SUBJECT, gate=True)
    assert ran.result.failures == len(ran.failed)
    return sorted(case.changed or case.text for case in ran.failed)


def test_minimum_functionality_fails_where_another_label_is_answered() -> None:
    texts = ["a good film", "not a good film", "a film"]
    assert failed(kind="minimum-functionality", texts=texts, expect="positive") == ["a film"]
    assert failed(kind="minimum-functionality", texts=texts, expect_not="positive") == texts[:2]


def test_invariance_fails_where_the_answer_or_the_score_moves() -> None:
    texts = ["a good film", "a film"]
    assert failed(kind="invariance", texts=texts, change=["case"]) == ["A GOOD FILM"]
    swap = {"kind": "invariance", "texts": ["good film"], "slots": {"w": ["film", "great"]}, "change": ["w"]}
    assert failed(**swap) == []
    assert failed(**swap, tolerance=0.05) == ["good great"]


@pytest.mark.parametrize(
    ("must", "by", "fails"),
    [
        ("rise", 0.05, ["a film awful"]),
        ("fall", 0.05, ["a film good"]),
        ("rise", 0.9, ["a film awful", "a film good"]),
        ("not rise", 0.05, ["a film good"]),
        ("not rise", 0.9, []),
        ("not fall", 0.05, ["a film awful"]),
    ],
)
def test_direction_fails_where_the_probability_moves_otherwise(must: str, by: float, fails: list[str]) -> None:
    expect = {"label": "positive", "must": must, "by": by}
    assert failed(kind="direction", texts=["a film"], add=["good", "awful"], expect=expect) == fails


def test_a_probability_that_stays_does_not_rise() -> None:
    expect = {"label": "positive", "must": "rise"}
    assert failed(kind="direction", texts=["a film"], add=["again"], expect=expect) == ["a film again"]


@pytest.mark.parametrize(("rate", "passed"), [(0.29, True), (0.28, False)])
def test_a_test_passes_with_exactly_the_share_that_it_may_fail(rate: float, passed: bool) -> None:
    texts = [f"good {number}" for number in range(71)] + [f"film {number}" for number in range(29)]
    test = {"name": "t", "kind": "minimum-functionality", "texts": texts, "expect": "positive", "max_cases": 100}
    suite = Suite.model_validate({"tests": [{**test, "max_failure_rate": rate}]})
    result = run_test(suite, "t", SUBJECT, gate=True).result
    assert (result.failures, result.cases, result.passed) == (29, 100, passed)
    assert len(result.shown) == 5
    assert result.interval[0] < 0.29 < result.interval[1]


def test_each_text_is_asked_once() -> None:
    asked: list[str] = []

    def predict(texts: Sequence[str]) -> list[Answer]:
        asked.extend(texts)
        return words(texts)

    test = {"name": "t", "kind": "direction", "texts": ["x"], "add": ["a", "b"]}
    suite = Suite.model_validate({"tests": [{**test, "expect": {"label": "positive", "must": "not rise"}}]})
    run_test(suite, "t", Subject(LABELS, predict), gate=False)
    assert asked == ["x", "x a", "x b"]


def test_words_for_labels_are_found_by_name_whatever_their_case() -> None:
    suite = Suite.model_validate({"labels": {"positive": ["pos", "LABEL_2"]}})
    assert [label_of("positive", suite, [label]) for label in ("Positive", "POS", "label_2", "pro")] == [
        "Positive",
        "POS",
        "label_2",
        None,
    ]


def test_every_built_in_suite_is_sound_and_makes_cases() -> None:
    texts = ["It isn't what Anna of Nokia in Paris said.", "Sales were 12 % up."]
    outcome = run_suites([Chosen(suite, "built-in") for suite in built_in()], Subject(LABELS, words, texts), "fp32")
    assert [suite.suite for suite in outcome.report.suites] == ["financial-sentiment", "general", "sentiment"]
    for suite in outcome.report.suites:
        assert not suite.skipped
        assert suite.tests
        for test in suite.tests:
            assert test.cases > 0, (suite.suite, test.name)
            assert test.capability


def test_a_bag_of_words_knows_praise_and_not_negation() -> None:
    outcome = run_suites(choose(), SUBJECT, "fp32")
    passed = {test.name: test.passed for suite, test in outcome.report.results() if suite.suite == "sentiment"}
    assert passed["words of praise are positive"]
    assert not passed["praise that is denied is not positive"]


def test_a_suite_whose_labels_a_model_lacks_is_left_out_with_the_reason() -> None:
    def spam(texts: Sequence[str]) -> list[Answer]:
        return [Answer("ham", 0.9, False, (0.9, 0.1)) for _ in texts]

    report = run_suites(choose(), Subject(("ham", "spam"), spam, ("free money",)), "fp32").report
    skipped = {suite.suite: suite.skipped for suite in report.suites}
    assert skipped["general"] == ""
    assert skipped["sentiment"] == "the model has no label for positive, negative; it has: ham, spam"


def test_a_model_without_a_neutral_label_is_spared_the_tests_of_it() -> None:
    def two(texts: Sequence[str]) -> list[Answer]:
        return [Answer("POSITIVE", 0.9, False, (0.1, 0.9)) for _ in texts]

    report = run_suites(choose(), Subject(("NEGATIVE", "POSITIVE"), two, ()), "fp32").report
    [sentiment] = [suite for suite in report.suites if suite.suite == "sentiment"]
    skipped = {test.name: test.skipped for test in sentiment.tests if test.skipped}
    assert skipped == {"facts are neutral": "the model has no label for neutral"}


def test_built_in_suites_inform_until_the_models_own_file_includes_them(tmp_path: Path) -> None:
    informing = run_suites(choose(), SUBJECT, "fp32")
    (tmp_path / "m.yaml").write_text("include: [sentiment]\n")
    gating = run_suites(choose(tmp_path / "m.yaml"), SUBJECT, "fp32")
    assert informing.refused() == []
    assert "praise that is denied is not positive" in {ran.result.name for _, ran in gating.refused()}
    (tmp_path / "m.yaml").write_text("include: [sentimental]\n")
    with pytest.raises(UsageError, match="no built-in suite 'sentimental' to include; there is: financial-sentiment"):
        choose(tmp_path / "m.yaml")


def test_a_label_that_the_model_does_not_have_is_an_error_in_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("examples: [{text: x, label: happy}]\n")
    with pytest.raises(UsageError, match="test 'examples': the model has no label 'happy'; it has: negative"):
        run_suites(choose(tmp_path / "m.yaml"), SUBJECT, "fp32")


def test_what_abstains_does_not_answer_the_label_that_is_expected(tmp_path: Path) -> None:
    def unsure(texts: Sequence[str]) -> list[Answer]:
        return [Answer("unsure", 0.4, True, (0.3, 0.3, 0.4)) for _ in texts]

    (tmp_path / "m.yaml").write_text("examples: [{text: x, label: positive}, {text: y, label: unsure}]\n")
    outcome = run_suites(choose(tmp_path / "m.yaml"), Subject(LABELS, unsure, (), "unsure"), "fp32")
    [(_, ran)] = outcome.refused()
    assert [case.text for case in ran.failed] == ["x"]
