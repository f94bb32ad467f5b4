"""From a behavioural test to its cases: templates filled, texts changed, all of it decided by a seed.

Before: `behaviour` has read the test; after: `behaviour_run` asks the model. Pure: the same test, texts and seed give
the same cases in the same order, whatever else is in the suite. Never more than the test's `max_cases`: beyond it a
part is drawn at random, never the first ones, which would all have the same first fill-in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from tidegate.behaviour import Direction, Example, Invariance, MinimumFunctionality, Suite, Test
from tidegate.behaviour_change import CHANGES, Change, exchange, fill, slots_of

T = TypeVar("T")

_MOST_COMBINATIONS = 2**62  # what a range may be long
_MOST_TRIES = 4  # a change that is drawn may find nothing to change


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to check.

    Attributes:
        text: as it was given.
        changed: the text after a change or an addition; None where there is none.
        expect: of an example: the label.
    """

    text: str
    changed: str | None = None
    expect: str = ""


def expand(test: Test, suite: Suite, sampled: Sequence[str] = (), seed: int = 0) -> list[Case]:
    """The cases of a test, each once.

    Args:
        test: of any kind.
        suite: whose lists its templates may use.
        sampled: texts that the model's own data has, for tests that sample.
        seed: of what is drawn.
    """
    rng = Random(f"{seed}/{test.name}")
    texts = _texts(test, suite, sampled, rng)
    if isinstance(test, MinimumFunctionality):
        cases = [Case(text) for text in texts]
    elif isinstance(test, Invariance):
        fillings = {**suite.lists, **test.slots}
        changes = [exchange(fillings[name]) if name in fillings else CHANGES[name] for name in test.change]
        cases = list(_changed(texts, changes, rng))
    else:
        cases = [Case(text, _added(text, phrase, test)) for text in texts for phrase in test.add]
    return _drawn(list(dict.fromkeys(cases)), test.max_cases, rng)


def of_examples(examples: Sequence[Example]) -> list[Case]:
    """A case for each example."""
    return [Case(example.text, None, example.label) for example in examples]


def _texts(test: Test, suite: Suite, sampled: Sequence[str], rng: Random) -> list[str]:
    if test.sample:
        return _drawn(list(dict.fromkeys(sampled)), test.sample, rng)
    if test.texts:
        return list(dict.fromkeys(test.texts))
    fillings = {**suite.lists, **test.slots}
    each = -(-test.max_cases // len(test.templates))
    return [text for template in test.templates for text in _filled(template, fillings, each, rng)]


def _filled(template: str, fillings: Mapping[str, Sequence[str]], most: int, rng: Random) -> Iterator[str]:
    """A template with every combination of its fill-ins, or as many of them, drawn at random, as are wanted."""
    slots = slots_of(template)
    total = 1
    for slot in slots:
        total *= len(fillings[slot])
    # numbers of combinations are drawn, for the combinations themselves may be billions
    wanted = range(total) if total <= most else sorted(rng.sample(range(min(total, _MOST_COMBINATIONS)), most))
    for number in wanted:
        values = {}
        for slot in slots:
            number, place = divmod(number, len(fillings[slot]))
            values[slot] = fillings[slot][place]
        yield fill(template, values)


def _changed(texts: Sequence[str], changes: Sequence[Change], rng: Random) -> Iterator[Case]:
    for text in texts:
        for change in changes:
            for _ in range(_MOST_TRIES):
                changed = change(text, rng)
                if changed != text and changed.strip():
                    yield Case(text, changed)
                    break


def _added(text: str, phrase: str, test: Direction) -> str:
    return f"{text} {phrase}" if test.where == "end" else f"{phrase} {text}"


def _drawn(values: list[T], most: int, rng: Random) -> list[T]:
    """At most so many of the values, in their order."""
    if len(values) <= most:
        return values
    return [values[place] for place in sorted(rng.sample(range(len(values)), most))]
