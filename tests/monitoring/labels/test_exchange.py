"""What is exported comes back the same in every format, whatever is in the texts; bad rows are named."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.labels import exchange
from monitoring.labels.answers import Label
from monitoring.labels.items import Item, State
from tidegate.errors import UsageError

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=x", "'=x", "''-y", "\r\n=z")
texts = st.one_of(st.sampled_from(FORMULAS), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))


def item(text: str, label: str | None = None, state: State = "new", id: str = "i1", claim: str | None = None) -> Item:
    common = (id, "m", 2, "p", text, "a", 0.5, [0.5, 0.3], "drift", state, label, "why\n\u2028=", "", 1.0, None)
    return Item(*common, suggested=claim)


def fill_jsonl(content: str, label: str) -> str:
    rows = [json.loads(line) for line in content.split("\n") if line]
    return "\n".join(json.dumps(row | {"label": label}, ensure_ascii=False) for row in rows)


def fill_csv(content: str, label: str) -> str:
    """As a careful tool does: read all cells as they are, fill one in behind a guard, write all again."""
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    target = io.StringIO()
    writer = csv.DictWriter(target, exchange.FIELDS)
    writer.writeheader()
    writer.writerows([row | {"label": exchange.guard(label)} for row in rows])
    return target.getvalue()


def fill_labelstudio(content: str, label: str) -> str:
    """As Label Studio exports it: the task with its data, and annotations beside."""
    tasks = json.loads(content)
    result = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]
    annotation = {"id": 7, "completed_by": {"id": 1, "email": "ann@x"}, "was_cancelled": False, "result": result}
    return json.dumps([task | {"id": n, "annotations": [annotation]} for n, task in enumerate(tasks)])


FILLERS: dict[str, Callable[[str, str], str]] = {
    "jsonl": fill_jsonl,
    "csv": fill_csv,
    "labelstudio": fill_labelstudio,
}


@pytest.mark.parametrize("format", FILLERS)
@given(text=texts, label=texts.filter(bool))
def test_labels_come_back_for_the_items_that_went_out(format: str, text: str, label: str) -> None:
    out = exchange.WRITERS[format]([item(text), item("other", id="i2")])
    back, problems = exchange.READERS[format](FILLERS[format](out, label))

    assert problems == []
    assert [(row.item_id, row.label) for row in back] == [("i1", label), ("i2", label)]


@pytest.mark.parametrize("format", FILLERS)
def test_a_file_sent_back_untouched_labels_nothing_not_even_with_claims(format: str) -> None:
    out = exchange.WRITERS[format]([item("text", claim="claimed")])
    if format == "labelstudio":
        out = json.dumps([task | {"annotations": []} for task in json.loads(out)])

    assert "claimed" in out
    assert exchange.READERS[format](out) == ([], [])


@given(texts)
def test_no_csv_cell_starts_a_formula_and_every_text_can_be_had_back(text: str) -> None:
    (row,) = csv.DictReader(io.StringIO(exchange.to_csv([item(text)]), newline=""))

    assert not row["text"].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert exchange._unguard(row["text"]) == text


def test_a_text_longer_than_csv_takes_by_default_comes_back() -> None:
    back, problems = exchange.from_csv(fill_csv(exchange.to_csv([item("x" * 200_000)]), "a"))

    assert (problems, back[0].label) == ([], "a")


def test_jsonl_names_each_bad_line_and_takes_the_good_ones() -> None:
    lines = [
        '{"id": "i1", "label": "a", "annotator": "ann"}',
        "not json",
        "[1, 2]",
        '{"label": "a"}',
        '{"id": 5, "label": "a"}',
        '{"id": "i2", "label": ["a", "b"]}',
        '{"id": "i3", "label": null}',
        "",
        '{"id": "i4", "label": "b"}\r',
    ]
    labels, problems = exchange.from_jsonl("\n".join(lines))

    assert labels == [Label("line 1", "i1", "a", "ann"), Label("line 9", "i4", "b")]
    assert [problem.split(":")[0] for problem in problems] == ["line 2", "line 3", "line 4", "line 5", "line 6"]


@pytest.mark.parametrize("label", ["-1", "+", "=x", "@home", "'quoted'"])
def test_a_label_typed_into_a_csv_without_guard_is_taken_as_typed(label: str) -> None:
    assert exchange.from_csv(f"id,label\ni1,{label}\n") == ([Label("line 2", "i1", label)], [])


def test_csv_needs_its_two_columns_and_nothing_else() -> None:
    assert exchange.from_csv("label,id\na,i1\n,i2\nb,\n") == (
        [Label("line 2", "i1", "a")],
        ["line 4: no `id`, a string is wanted"],
    )
    with pytest.raises(UsageError, match="no column id"):
        exchange.from_csv("label,text\na,b\n")
    with pytest.raises(UsageError, match="no column id and label"):
        exchange.from_csv("")


def annotated(*annotations: dict[str, Any]) -> str:
    return json.dumps([{"data": {"tidegate_id": "i1"}, "annotations": list(annotations)}])


def annotation(*choices: str, cancelled: bool = False) -> dict[str, Any]:
    return {
        "completed_by": 3,
        "was_cancelled": cancelled,
        "result": [{"type": "choices", "value": {"choices": list(choices)}}] if choices else [],
    }


def test_label_studio_annotations_that_agree_are_one_label() -> None:
    back = exchange.from_labelstudio(
        annotated(annotation("a"), annotation("b", cancelled=True), annotation("a"), annotation())
    )

    assert back == ([Label("task 1", "i1", "a", "3")], [])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (annotated(annotation("a"), annotation("b")), "annotators disagree ('a', 'b')"),
        (annotated(annotation("a", "b")), "one string is wanted"),
        (json.dumps([{"data": {}, "annotations": [annotation("a")]}]), "KeyError"),
        (json.dumps([{"data": {"tidegate_id": "i1"}}]), "KeyError"),
        (json.dumps([7]), "TypeError"),
        (json.dumps([{"annotations": [{"result": [{"type": "choices"}]}]}]), "KeyError"),
    ],
)
def test_label_studio_tasks_that_cannot_be_taken_are_named(content: str, problem: str) -> None:
    labels, problems = exchange.from_labelstudio(content)

    assert labels == []
    assert problems[0].startswith("task 1: ")
    assert problem in problems[0]


@pytest.mark.parametrize("content", ["", "{}", "nonsense", "null"])
def test_what_is_no_label_studio_export_is_a_usage_error(content: str) -> None:
    with pytest.raises(UsageError, match="format JSON"):
        exchange.from_labelstudio(content)


def test_label_studio_gets_the_prediction_in_its_own_form() -> None:
    (task,) = json.loads(exchange.to_labelstudio([item("text")]))

    assert task["data"] == {"text": "text", "tidegate_id": "i1"}
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("m@2", 0.5)
    assert prediction["result"] == [
        {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["a"]}}
    ]
