"""Suites as people write them: what is read, and how whatever cannot be is refused, by file, test, field and value."""

import re
from pathlib import Path

import pytest

from tidegate.behaviour import (
    Direction,
    Example,
    Invariance,
    MinimumFunctionality,
    Move,
    Suite,
    load_suite,
    read_suite,
)
from tidegate.behaviour_cases import expand
from tidegate.behaviour_change import CHANGES
from tidegate.behaviour_yaml import MAX_BYTES, read_yaml
from tidegate.errors import UsageError

TEST = """
tests:
  - name: t
    kind: minimum-functionality
    texts: [good]
    expect: positive
"""


def suite(text: str) -> bytes:
    return text.encode()


def test_each_kind_is_read_with_its_defaults() -> None:
    read = read_suite(
        suite("""
lists: {thing: [film, book]}
tests:
  - {name: a, kind: minimum-functionality, templates: ["The {thing} was great."], expect: positive}
  - {name: b, kind: invariance, sample: 5, change: [typos, thing], tolerance: 0.1, gate: false}
  - {name: c, kind: direction, texts: [x], add: [y], expect: {label: l, must: not rise}, max_failure_rate: 0.2}
examples:
  - {text: bad film, label: negative}
"""),
        "f.yaml",
    )
    a, b, c = read.tests
    assert isinstance(a, MinimumFunctionality)
    assert isinstance(b, Invariance)
    assert isinstance(c, Direction)
    assert [test.allowed for test in read.tests] == [0.1, 0.1, 0.2]
    assert [read.gates(test) for test in read.tests] == [True, False, True]
    assert read.examples[0].note == ""


def test_where_each_text_is_written_down_none_may_fail() -> None:
    [test] = read_suite(suite(TEST), "f.yaml").tests
    assert test.allowed == 0.0


@pytest.mark.parametrize("label", ["no", "1", "1.0", "2026-01-01", "null", "~", "true", "0x1f", "☂", "yes: no"])
def test_a_label_stays_what_was_written(label: str) -> None:
    written = f"'{label}'" if ":" in label else label
    [test] = read_suite(suite(TEST.replace("expect: positive", f"expect: {written}")), "f.yaml").tests
    assert isinstance(test, MinimumFunctionality)
    assert test.expect == label


@pytest.mark.parametrize("empty", ["", "# nothing yet\n", "---\n", "\ufeff", "tests: []"])
def test_a_file_without_tests_is_a_suite_without_tests(empty: str) -> None:
    assert read_suite(suite(empty), "f.yaml").tests == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("expect: positive", "expected: positive"),
            "test 't': expected: Extra inputs are not permitted, got 'positive'",
        ),
        (
            ("expect: positive", "expect: positive\n    max_failure_rate: 2"),
            "max_failure_rate: .* less than .* got '2'",
        ),
        (("kind: minimum-functionality", "kind: mft"), "test 't': .*'mft'"),
        (("kind: minimum-functionality\n", "\n"), "test 't': .*kind"),
        (("texts: [good]", "texts: [good]\n    sample: 3"), "one of texts, templates and sample"),
        (("texts: [good]", "sample: 3"), "no one label"),
        (("texts: [good]", "templates: ['{thing}']"), "test 't': templates use {thing}, and neither slots nor lists"),
        (("expect: positive", "expect: a\n    expect_not: b"), "one of expect and expect_not"),
        (("texts: [good]", "texts: [[good]]"), "test 't': texts.0: .*string"),
        (("tests:", "needs: [positive]\ntests:"), "needs 'positive', which labels does not have"),
        (("name: t", "name: examples"), "'examples': another test has that name"),
        (("expect: positive", "expect: a\n    max_cases: 100000"), "max_cases: .*1000"),
    ],
)
def test_what_does_not_fit_is_named_with_test_field_and_value(change: tuple[str, str], said: str) -> None:
    assert change[0] in TEST
    with pytest.raises(UsageError, match=rf"^f\.yaml: .*{said}"):
        read_suite(suite(TEST.replace(*change)), "f.yaml")


def test_an_unknown_change_is_refused_with_those_that_there_are() -> None:
    text = TEST.replace("minimum-functionality", "invariance").replace("expect: positive", "change: [typo]")
    with pytest.raises(UsageError, match="change 'typo' is neither built in nor a list; there is: typos, case"):
        read_suite(suite(text), "f.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: &a [x]\nb: *a", r"line 2: the alias \*a is not read"),
        (b"a: 1\na: 2", "line 2: the key 'a' stands twice"),
        (b"tests: []\ntests: []", "line 2: the key 'tests' stands twice"),
        (b"[" * 100_000, "nested deeper than 8 levels"),
        (b"{a: " * 50_000, "nested deeper than 8 levels"),
        (b"- " * 50_000 + b"x", "nested deeper than 8 levels"),
        (b"? [a]\n: b", "line 1: a key is a word"),
        (b"a: b: c", "line 1, column 5: mapping values are not allowed"),
        (b"a: [", "is not YAML: line"),
        (b"\xff\xfe", "is not UTF-8: .* at byte 0"),
        (b"a: \x00", "is not YAML"),
        (b"a: 1\n---\nb: 2", "is not YAML"),
        (b"#" * (MAX_BYTES + 1), "has 1,000,001 bytes; 1,000,000 are the most"),
        (b"just words", "a suite is a mapping with `tests` or `examples`, not a str"),
        (b"- a", "not a list"),
    ],
)
def test_yaml_that_is_no_suite_is_refused_before_anything_is_built(content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_suite(content, "f.yaml")


def test_a_billion_laughs_are_not_laughed() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(UsageError, match="alias"):
        read_suite("\n".join(lines).encode(), "f.yaml")


def test_tags_build_nothing() -> None:
    assert read_yaml(b"a: !!python/object/apply:os.getcwd []\nb: !!python/name:os.system ''", "f") == {"a": [], "b": ""}


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    line = '  - {text: "%06d bought a share at a price", label: neutral}\n'
    text = "examples:\n" + "".join(line % number for number in range(15_000))
    file = tmp_path / "m.yaml"
    file.write_text(text)
    assert 900_000 < len(text) < MAX_BYTES
    assert len(load_suite(file).examples) == 15_000


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.yaml: No such file"):
        load_suite(tmp_path / "none.yaml")


DOCS = Path(__file__).parents[2] / "docs"


def test_what_the_how_to_shows_are_suites_that_make_cases() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / "how-to" / "behavioural-tests.md").read_text(), re.DOTALL)
    suites = [read_suite(block.encode(), "how-to") for block in blocks]
    sampled = ("Anna went to Oslo.", "It was good.")
    counts = {test.name: len(expand(test, suite, sampled)) for suite in suites for test in suite.tests}
    assert counts == {
        "praise that is denied is not positive": 18,
        "who it is about does not matter": 2,
        "blame on top does not raise positive": 4,
    }
    assert [example.label for suite in suites for example in suite.examples] == ["positive"]


def test_the_reference_names_every_field_and_every_change() -> None:
    page = (DOCS / "reference" / "behaviour.md").read_text()
    models = (Suite, MinimumFunctionality, Invariance, Direction, Move, Example)
    names = {*(name for model in models for name in model.model_fields), *CHANGES}
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []
