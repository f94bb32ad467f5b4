"""A model's own file: examples are appended exactly once, and nothing that a person wrote is touched."""

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import bundles
from tidegate.behaviour import Example, load_suite, read_suite
from tidegate.behaviour_file import added, append, example_of, kept_file, start
from tidegate.bundle_store import BundleStore
from tidegate.errors import InvalidInput, UsageError

BAD = Example(text="a bad film", label="negative", note="said by: 'somebody' # here")

WRITTEN = [
    "",
    "# nothing but a comment",
    "tests: []\n",
    "examples: []\n",
    "examples: [] # none yet\n# the end\n",
    "examples:\n",
    "examples:\n# a comment at the end\n",
    "examples:\n- text: x\n  label: negative\n",
    "examples:\n- {text: x, label: negative}\n",
    "examples:\n    - label: negative\n      text: x # as seen\n\n\n# after the blank lines\n",
    "examples:\n  - text: x\n    label: negative\nname: mine # not the last\ntests: []\n",
    "examples:\n  - text: x\n    label: negative",
    "examples:\n  - text: |\n      x\n      y\n    label: negative\n",
    "examples:\n  - text: >-\n      ☂☂ 𝄞\n\n      y\n    label: negative\n\n\nlists:\n  a: [b]\n",
    "\ufeffname: with a mark of byte order\n",
    "examples: []\nlists: {a: [b]}\n",
    "name: windows\r\nexamples:\r\n  - text: x\r\n    label: negative\r\n",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_an_example_is_appended_and_every_line_stays(text: str) -> None:
    before = read_suite(text.encode(), "f")
    once = added(text.encode(), BAD, "f")
    twice = added(once, Example(text="y\nz", label="positive"), "f")
    after = read_suite(twice, "f")
    assert after.examples == (*before.examples, BAD, Example(text="y\nz", label="positive"))
    assert after.model_copy(update={"examples": before.examples}) == before
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert all(comment in twice.decode() for comment in comments)


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=30), st.text(max_size=40))
def test_any_text_comes_back_as_it_was(text: str, label: str, note: str) -> None:
    example = Example(text=text, label=label, note=note)
    assert read_suite(added(b"examples: []\n", example, "f"), "f").examples == (example,)


def test_the_same_text_and_label_are_there_once_and_another_label_is_refused(tmp_path: Path) -> None:
    assert append(tmp_path, "m", BAD)
    assert not append(tmp_path, "m", BAD.model_copy(update={"note": "another"}))
    with pytest.raises(InvalidInput, match=r"expect 'negative' for that text, and 'neutral' is sent; .* in m\.yaml"):
        append(tmp_path, "m", BAD.model_copy(update={"label": "neutral"}))
    assert load_suite(kept_file(tmp_path, "m")).examples == (BAD,)
    assert sorted(file.name for file in kept_file(tmp_path, "m").parent.iterdir()) == [".m.lock", "m.yaml"]


def _append_some(home: Path, first: int) -> None:
    for number in range(first, first + 12):
        append(home, "m", Example(text=f"text {number}", label="negative"))


@pytest.mark.slow
def test_several_processes_append_each_example_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_some, args=(tmp_path, first)) for first in (0, 6, 6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(240)
    texts = [example.text for example in load_suite(kept_file(tmp_path, "m")).examples]
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert sorted(texts) == sorted(f"text {number}" for number in range(18))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("examples: [{text: x, label: y}]\n", "as a list with dashes"),
        ("{tests: []}\n", "not YAML|by hand"),
        ("tests: [\n", "not YAML"),
    ],
)
def test_a_file_that_cannot_be_appended_to_stays_as_it_is(tmp_path: Path, text: str, said: str) -> None:
    file = kept_file(tmp_path, "m")
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        append(tmp_path, "m", BAD)
    assert file.read_text() == text


def test_a_file_that_grew_too_large_is_not_added_to(tmp_path: Path) -> None:
    file = kept_file(tmp_path, "m")
    file.parent.mkdir()
    file.write_text("#" * 999_990 + "\n")
    with pytest.raises(UsageError, match="are the most"):
        append(tmp_path, "m", BAD)


def test_the_first_file_can_be_read_appended_to_and_is_written_once(tmp_path: Path) -> None:
    file = start(tmp_path, "m", ("negative", "positive"))
    assert load_suite(file).tests == ()
    assert append(tmp_path, "m", BAD)
    assert "# tests:" in file.read_text()
    assert load_suite(file).examples == (BAD,)
    with pytest.raises(UsageError, match="there already"):
        start(tmp_path, "m", ())


def test_the_commented_tests_of_the_first_file_are_tests(tmp_path: Path) -> None:
    lines = start(tmp_path, "m", ("positive",)).read_text().splitlines()
    first = next(place for place, line in enumerate(lines) if line == "# tests:")
    shown = [line.removeprefix("# ").removeprefix("#") for line in lines[first:] if line.startswith("#")]
    body = "\n".join(line for line in shown if not line.startswith("Texts that"))
    assert [test.kind for test in read_suite(body.encode(), "f").tests] == [
        "minimum-functionality",
        "invariance",
        "direction",
    ]


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden"])
def test_a_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="model name"):
        append(tmp_path, name, BAD)


@pytest.mark.parametrize(
    ("text", "label", "said"),
    [
        ("x", "happy", "'happy' is no label of sentiment; it has: negative, neutral, positive, unsure"),
        (" \n", "positive", "empty"),
        ("\ud800", "positive", "half a character"),
        ("x" * 20_001, "positive", "at most 20000"),
    ],
)
def test_what_is_no_example_of_a_model_is_refused(tmp_path: Path, text: str, label: str, said: str) -> None:
    manifest = bundles.sentiment(BundleStore(tmp_path), threshold=0.6, fallback="unsure").manifest
    with pytest.raises(InvalidInput, match=said):
        example_of(manifest, text, label)
    assert example_of(manifest, "x", "unsure").label == "unsure"
