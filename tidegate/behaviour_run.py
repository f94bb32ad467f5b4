"""A model's answers to behavioural tests, judged: how many cases each test failed, with examples.

Before: `behaviour_cases` expands the tests; after: the export writes the report into the bundle and its gate reads it,
commands show it. Running needs nothing of a model but a function from texts to answers. An answer counts as callers get
it: the fallback label of a model that abstains is not the label that a test expects.
Limits: intervals take cases for independent, which cases of one template are not quite.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tidegate.behaviour import EXAMPLES, Direction, Invariance, MinimumFunctionality, Move, Suite, Test
from tidegate.behaviour_cases import Case, expand, of_examples
from tidegate.behaviour_report import MOST_SHOWN, Failure, Verdict
from tidegate.errors import UsageError
from tidegate.intervals import wilson
from tidegate.tasks import Answer

Predict = Callable[[Sequence[str]], Sequence[Answer]]
Judge = Callable[[Case, Answer, Answer], str]  # the answers to text and changed text -> what is wrong; empty: nothing

_CHARS_SHOWN = 300
_ROUNDING = 1e-9  # 0.29 * 100 is less than 29


@dataclass(frozen=True, slots=True)
class Ran:
    """A test's result, with every case that failed."""

    result: Verdict
    failed: frozenset[Case]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model as the tests see it.

    Attributes:
        labels: of the probabilities' columns.
        predict: texts to answers, as many.
        sampled: texts of its own data, for tests that sample.
        fallback: label that it answers when it abstains.
    """

    labels: Sequence[str]
    predict: Predict
    sampled: Sequence[str] = ()
    fallback: str | None = None


def run_test(suite: Suite, name: str, subject: Subject, *, gate: bool, seed: int = 0) -> Ran:
    """Ask a model about every case of a test of a suite, or about its examples (`EXAMPLES`).

    Raises:
        UsageError: it names a label that the model does not have.
    """
    if name == EXAMPLES:
        return _run_examples(suite, subject, gate=gate)
    test = next(test for test in suite.tests if test.name == name)
    plain = Verdict(name=name, kind=test.kind, capability=test.capability, gate=gate, max_failure_rate=test.allowed)
    cases = expand(test, suite, subject.sampled, seed)
    if not cases:
        why = "nothing to change in the texts of the model's data" if test.sample else "nothing to change in its texts"
        return Ran(plain.model_copy(update={"skipped": why}), frozenset())
    return _judged(plain, cases, _judge(test, suite, subject), subject.predict)


def names_of(suite: Suite) -> list[str]:
    """Names of a suite's tests, its examples last."""
    return [*(test.name for test in suite.tests), *([EXAMPLES] if suite.examples else [])]


def words_of(suite: Suite, name: str) -> list[str]:
    """Labels that a test names."""
    test = next((test for test in suite.tests if test.name == name), None)
    if isinstance(test, MinimumFunctionality):
        return [test.expect or test.expect_not or ""]
    return [test.expect.label] if isinstance(test, Direction) else []


def _run_examples(suite: Suite, subject: Subject, *, gate: bool) -> Ran:
    plain = Verdict(name=EXAMPLES, kind="minimum-functionality", capability="seen to fail", gate=gate)
    for example in suite.examples:
        _known(example.label, suite, subject, EXAMPLES)
    return _judged(plain, of_examples(suite.examples), _as_expected, subject.predict)


def label_of(word: str, suite: Suite, labels: Sequence[str]) -> str | None:
    """The model's label for a suite's word; None where it has none. Letters' case does not matter."""
    if word in labels:
        return word
    known = {label.casefold(): label for label in labels}
    names = [word, *suite.labels.get(word, ())]
    return next((known[name.casefold()] for name in names if name.casefold() in known), None)


def _judged(plain: Verdict, cases: Sequence[Case], judge: Judge, predict: Predict) -> Ran:
    texts = list(dict.fromkeys(text for case in cases for text in (case.text, case.changed) if text is not None))
    answers = dict(zip(texts, predict(texts), strict=True))
    wrong = {
        case: why
        for case in cases
        if (why := judge(case, answers[case.text], answers[case.text if case.changed is None else case.changed]))
    }
    found = {
        "cases": len(cases),
        "failures": len(wrong),
        "interval": wilson(len(wrong) / max(len(cases), 1), len(cases)),
        "passed": len(wrong) <= plain.max_failure_rate * len(cases) + _ROUNDING,
        "shown": tuple(_shown(case, why) for case, why in list(wrong.items())[:MOST_SHOWN]),
    }
    return Ran(plain.model_copy(update=found), frozenset(wrong))


def _shown(case: Case, why: str) -> Failure:
    changed = None if case.changed is None else _cut(case.changed)
    return Failure(text=_cut(case.text), changed=changed, why=why)


def _cut(text: str) -> str:
    return text if len(text) <= _CHARS_SHOWN else f"{text[: _CHARS_SHOWN - 1]}…"


def _judge(test: Test, suite: Suite, subject: Subject) -> Judge:
    if isinstance(test, MinimumFunctionality):
        wanted = _known(test.expect or test.expect_not or "", suite, subject, test.name)
        return _expecting(wanted) if test.expect else _not_expecting(wanted)
    if isinstance(test, Invariance):
        return _unmoved(test.tolerance)
    label = _known(test.expect.label, suite, replace(subject, fallback=None), test.name)
    return _moved(test.expect, label, list(subject.labels).index(label))


def _known(word: str, suite: Suite, subject: Subject, name: str) -> str:
    labels = [*subject.labels, *([subject.fallback] if subject.fallback else [])]
    label = label_of(word, suite, labels)
    if label is None:
        raise UsageError(f"{suite.name}, test {name!r}: the model has no label {word!r}; it has: {', '.join(labels)}")
    return label


def _as_expected(case: Case, answer: Answer, _changed: Answer) -> str:
    return _expecting(case.expect)(case, answer, answer)


def _expecting(label: str) -> Judge:
    def judge(_case: Case, answer: Answer, _changed: Answer) -> str:
        return "" if answer.label == label else f"{_said(answer)}, not {label}"

    return judge


def _not_expecting(label: str) -> Judge:
    def judge(_case: Case, answer: Answer, _changed: Answer) -> str:
        return _said(answer) if answer.label == label else ""

    return judge


def _unmoved(tolerance: float | None) -> Judge:
    def judge(_case: Case, answer: Answer, changed: Answer) -> str:
        if answer.label != changed.label:
            return f"{_said(answer)}, then {_said(changed)}"
        place = answer.scores.index(max(answer.scores))
        moved = abs(changed.scores[place] - answer.scores[place])
        return f"{_said(answer)}, moved by {moved:.2f}" if tolerance is not None and moved > tolerance else ""

    return judge


def _moved(move: Move, label: str, place: int) -> Judge:
    sign = 1 if move.must.endswith("rise") else -1

    def judge(_case: Case, answer: Answer, changed: Answer) -> str:
        before, after = answer.scores[place], changed.scores[place]
        rise = sign * (after - before)
        wrong = rise > move.by if move.must.startswith("not") else rise < move.by or rise == 0
        return f"{label} from {before:.2f} to {after:.2f}" if wrong else ""

    return judge


def _said(answer: Answer) -> str:
    return f"{answer.label} {answer.score:.2f}"
