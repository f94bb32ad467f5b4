"""What is exported comes back the same in every format, whatever is in the texts; bad rows are named."""

import csv
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.labels.answered import Answer, Answered
from monitoring.labels.answers import Label
from monitoring.labels.exchange import FOLDERS, WRITERS, argilla, label_studio
from monitoring.labels.exchange.plain import _unguard
from monitoring.labels.exchange.rows import NONE_OF_THESE, Sheet
from monitoring.labels.items import Item, State
from tests.monitoring.labels.tools import FILLERS, annotation, read, write
from tidegate.errors import UsageError

on_disk = settings(max_examples=50, deadline=None)  # each example is a file

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=x", "'=x", "''-y", "\r\n=z")
ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
texts = st.one_of(st.sampled_from(FORMULAS), ANY)
labels = texts.filter(lambda label: bool(label) and label != NONE_OF_THESE)
answers = st.one_of(
    st.builds(Answer, texts, st.just("label"), labels, texts, st.just("page"), st.floats(0, 1e6), st.floats(1, 2e9)),
    st.builds(
        Answer, texts, st.sampled_from(["none", "skip"]), st.none(), texts, st.just("webhook"), st.none(), st.just(1.5)
    ),
)


def item(text: str, label: str | None = None, state: State = "new", id: str = "i1", claim: str | None = None) -> Item:
    common = (id, "m", 2, "p", text, "a", 0.5, [0.5, 0.3], "drift", state, label, "why\n\u2028=", "", 1.0, None)
    return Item(*common, suggested=claim)


def as_label(given: Answer) -> Label:
    skipped, at, source = given.verdict == "skip", given.created_at, given.source
    rest: dict[str, Any] = {"skipped": skipped, "at": at, "source": source}
    return Label("", "i1", given.label, given.annotator, given.comment, given.seconds, **rest)


def jsonl(folder: Path, *rows: Any) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), newline="")
    return file


@pytest.mark.parametrize("tool", FILLERS)
@on_disk
@given(text=texts, label=labels)
def test_labels_come_back_for_the_items_that_went_out(tool: str, text: str, label: str) -> None:
    kind, fill = FILLERS[tool]
    with tempfile.TemporaryDirectory() as folder:
        path = write(kind, [Answered(item(text)), Answered(item("other", id="i2"))], Path(folder))
        fill(path, label)
        back, problems = read(kind, path)

    assert problems == []
    assert [(row.item_id, row.label, row.annotator) for row in back] == [("i1", label, "ann@x"), ("i2", label, "ann@x")]


@pytest.mark.parametrize("format", WRITERS)
@on_disk
@given(
    given=st.lists(answers, max_size=3, unique_by=lambda answer: answer.annotator),
    state=st.sampled_from(["new", "accepted"]),
)
def test_what_people_said_travels_along_and_an_untouched_file_says_nothing_else(
    format: str, given: list[Answer], state: State
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(format, [Answered(item("x", "agreed", state, claim="claimed"), given)], Path(folder))
        if format == "labelstudio":
            path.write_text(json.dumps([task | {"annotations": []} for task in json.loads(path.read_text("utf-8"))]))
        back, problems = read(format, path)

    assert problems == []
    assert [replace(label, place="") for label in back] == [as_label(each) for each in given]


@pytest.mark.parametrize("format", WRITERS)
@on_disk
@given(text=texts)
def test_the_text_stands_in_the_file_as_it_is(format: str, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(format, [Answered(item(text))], Path(folder))
        content = (path / FOLDERS[format] if format in FOLDERS else path).read_bytes().decode()
    if format == "csv":
        (row,) = csv.DictReader(io.StringIO(content, newline=""))
        found = _unguard(row["text"])
    else:
        document = json.loads(content)
        row = document[0] if isinstance(document, list) else document
        found = (row.get("data") or row.get("fields") or row)["text"]

    assert found == text


@on_disk
@given(texts, texts, texts)
def test_no_csv_cell_starts_a_formula_and_every_text_can_be_had_back(text: str, claim: str, comment: str) -> None:
    row = replace(item(text, claim=claim), comment=comment)
    with tempfile.TemporaryDirectory() as folder:
        path = write("csv", [Answered(row, [Answer(text, "skip", None, comment, "page", None, 1.0)])], Path(folder))
        with path.open(encoding="utf-8", newline="") as source:
            (cells,) = csv.DictReader(source)

    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in cells.values())
    assert [_unguard(cells[name]) for name in ("text", "suggested", "comment")] == [text, claim, comment]


@pytest.mark.parametrize("tool", FILLERS)
def test_a_text_longer_than_csv_takes_by_default_comes_back(tool: str, tmp_path: Path) -> None:
    kind, fill = FILLERS[tool]
    path = write(kind, [Answered(item("x" * 200_000))], tmp_path)
    fill(path, "a")

    assert [label.label for label in read(kind, path)[0]] == ["a"]


def test_jsonl_names_each_bad_line_and_takes_the_good_ones(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path,
        {"id": "i1", "label": "a", "annotator": "ann"},
        "not json",
        [1, 2],
        {"label": "a"},
        {"id": 5, "label": "a"},
        {"id": "i2", "label": ["a", "b"]},
        {"id": "i3", "label": None},
        "",
        '{"id": "i4", "label": "b"}\r',
        {"id": "i5", "annotations": "["},
        {"id": "i5", "annotations": [7]},
        {"id": "i5", "annotations": [{"annotator": "a", "verdict": "label", "label": None}]},
        {"id": "i5", "annotations": [{"annotator": "a", "verdict": "none", "created_at": "now"}]},
        {"id": "i5", "verdict": "maybe"},
        {"id": "i5", "label": "a", "verdict": "none"},
        {"id": "i5", "label": "a", "annotator": 7},
    )
    found, problems = read("jsonl", file)

    assert found == [Label("line 1", "i1", "a", "ann"), Label("line 9", "i4", "b")]
    assert [int(problem.split()[1].strip(":,")) for problem in problems] == [2, 3, 4, 5, 6, *range(10, 17)]


@on_disk
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "label", "annotations", "data", "tidegate_id", "result", "responses", "status", "meta"]
                ),
                x,
            )
        ),
    )
)
def test_no_json_whatever_stops_a_reader(document: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "f"
        for kind in ("jsonl", "labelstudio", "argilla"):
            file.write_text(json.dumps([document] if kind == "labelstudio" else document))
            try:
                read(kind, file)
            except UsageError:
                assert kind == "argilla", "a document that is no list of records"


def test_a_verdict_takes_the_place_of_a_label(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path,
        {"id": "i1", "label": "", "verdict": "none", "annotator": "ann"},
        {"id": "i2", "label": None, "verdict": "skip"},
        {"id": "i3", "label": "a", "agreed": "a", "verdict": "none"},
        {"id": "i4", "label": "a", "agreed": "a"},
        {"id": "i5", "label": "a", "agreed": "a", "annotator": "ann"},
    )

    assert read("jsonl", file) == (
        [
            Label("line 1", "i1", None, "ann"),
            Label("line 2", "i2", None, skipped=True),
            Label("line 3", "i3", None),
            Label("line 5", "i5", "a", "ann"),
        ],
        [],
    )


@pytest.mark.parametrize("label", ["-1", "+", "=x", "@home", "'quoted'"])
def test_a_label_typed_into_a_csv_without_guard_is_taken_as_typed(label: str, tmp_path: Path) -> None:
    file = tmp_path / "typed.csv"
    file.write_text(f"id,label\ni1,{label}\n")

    assert read("csv", file) == ([Label("line 2", "i1", label)], [])


def test_csv_needs_its_two_columns_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "typed.csv"
    file.write_text("label,id\na,i1\n,i2\nb,\n")

    assert read("csv", file) == ([Label("line 2", "i1", "a")], ["line 4: no `id`, a string is wanted"])
    for content, missing in (("label,text\na,b\n", "no column id"), ("", "no column id and label")):
        file.write_text(content)
        with pytest.raises(UsageError, match=missing):
            read("csv", file)


def exported(folder: Path, *annotations: dict[str, Any], **more: Any) -> Path:
    file = folder / "export.json"
    file.write_text(json.dumps([{"data": {"tidegate_id": "i1"}, "annotations": list(annotations), **more}]))
    return file


def test_label_studio_annotators_who_disagree_are_two_answers(tmp_path: Path) -> None:
    file = exported(tmp_path, annotation("a", who={"id": 3}), annotation("b", who=4), annotation())

    assert read("labelstudio", file) == ([Label("task 1", "i1", "a", "3"), Label("task 1", "i1", "b", "4")], [])


def test_of_a_label_studio_annotators_annotations_the_newest_counts(tmp_path: Path) -> None:
    late = annotation("a", updated_at="2026-01-02T00:00:00.5Z", lead_time=2.5, ground_truth=True)
    early = annotation("b", updated_at="2026-01-01T02:00:00+01:00")
    (found,), problems = read("labelstudio", exported(tmp_path, late, early))

    assert problems == []
    assert (found.label, found.at, found.seconds, found.gold) == ("a", 1767312000.5, 2.5, True)


def test_label_studio_tells_skips_none_of_them_and_comments(tmp_path: Path) -> None:
    said = {"from_name": "comment", "to_name": "text", "type": "textarea", "value": {"text": ["odd", "very"]}}
    none = annotation(NONE_OF_THESE)
    none["result"].append(said)
    found, problems = read("labelstudio", exported(tmp_path, none, annotation("a", cancelled=True, who="bob@x")))

    assert problems == []
    assert found == [
        Label("task 1", "i1", None, "ann@x", "odd\nvery"),
        Label("task 1", "i1", None, "bob@x", skipped=True),
    ]


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ({"data": {"tidegate_id": "i1"}, "annotations": [annotation("a", "b")]}, "one string is wanted"),
        ({"data": {}, "annotations": [annotation("a")]}, "KeyError"),
        ({"data": {"tidegate_id": "i1"}}, "KeyError"),
        (7, "TypeError"),
        ({"data": {"tidegate_id": "i1"}, "annotations": [{"result": [{"type": "choices"}]}]}, "KeyError"),
        ({"data": {"tidegate_id": "i1"}, "annotations": [annotation("a", updated_at="soon")]}, "ValueError"),
        ({"data": {"tidegate_id": "i1"}, "annotations": [annotation("a", lead_time="long")]}, "ValueError"),
    ],
)
def test_label_studio_tasks_that_cannot_be_taken_are_named(task: Any, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text(json.dumps([task]))
    found, problems = read("labelstudio", file)

    assert found == []
    assert problems[0].startswith("task 1: ")
    assert problem in problems[0]


@pytest.mark.parametrize("content", ["", "{}", "nonsense", "null"])
def test_what_is_no_label_studio_export_is_a_usage_error(content: str, tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text(content)
    with pytest.raises(UsageError, match="format JSON"):
        read("labelstudio", file)


def test_label_studio_gets_the_prediction_in_its_own_form(tmp_path: Path) -> None:
    (task,) = json.loads(write("labelstudio", [Answered(item("text"))], tmp_path).read_text())

    assert task["data"] == {"text": "text", "tidegate_id": "i1"}
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("m@2", 0.5)
    assert prediction["result"] == [
        {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["a"]}}
    ]


def test_the_labelling_interface_offers_each_label_and_none_of_them() -> None:
    shown = label_studio.config(['say "no" & go', "<b>"])

    assert "<Choice value='say \"no\" &amp; go'/>" in shown
    assert '<Choice value="&lt;b&gt;"/>' in shown
    assert f'<Choice value="{NONE_OF_THESE}"/>' in shown
    for companion in (
        lambda: label_studio.config([NONE_OF_THESE]),
        lambda: argilla.settings(Sheet("m", [NONE_OF_THESE])),
    ):
        with pytest.raises(UsageError, match="use JSONL"):
            companion()


def test_argilla_gets_vector_and_suggestion_where_they_fit_its_settings(tmp_path: Path) -> None:
    rows = [Answered(replace(item("x"), predicted="negative"), vector=[0.5, 1.0]), Answered(item("y"), vector=[1.0])]
    folder = write("argilla", rows, tmp_path)
    fits, not_so = json.loads((folder / "records.json").read_text())

    assert fits["vectors"] == {"embedding": [0.5, 1.0]}
    assert fits["suggestions"] == {"label": {"value": "negative", "score": 0.5, "agent": "m@2"}}
    assert (not_so["vectors"], not_so["suggestions"]) == ({}, {})


def test_argilla_responses_count_once_they_are_submitted_and_discarded_ones_are_skips(tmp_path: Path) -> None:
    users = ["u1", "u2", "u3"]
    flat = {
        "id": "i1",
        "text": "x",
        "status": "pending",
        "label.responses": ["a", "b", NONE_OF_THESE],
        "label.responses.users": users,
        "label.responses.status": ["draft", "discarded", "submitted"],
        "comment.responses": ["why"],
        "comment.responses.users": ["u3"],
        "comment.responses.status": ["submitted"],
    }
    unsure = {"id": "i2", "fields": {}, "status": "pending", "responses": {"label": [{"value": "a", "user_id": "u"}]}}
    file = tmp_path / "records.json"
    file.write_text(json.dumps([flat, unsure]))

    assert read("argilla", tmp_path) == (
        [Label("record 1", "i1", None, "u2", skipped=True), Label("record 1", "i1", None, "u3", "why")],
        ["record 2: nothing says that u submitted the response; export with `to_list(flatten=True)`"],
    )


@pytest.mark.parametrize("content", ["", "7", "nonsense"])
def test_what_holds_no_records_of_argilla_is_a_usage_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "records.json").write_text(content)
    with pytest.raises(UsageError, match="no records of Argilla"):
        read("argilla", tmp_path)


def test_a_data_set_may_come_back_in_shards_and_without_any_it_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.jsonl file"):
        read("datasets", tmp_path)
    for shard in ("a", "b"):
        (tmp_path / f"{shard}.jsonl").write_text(json.dumps({"id": shard, "label": "x"}) + "\nbroken\n")
    found, problems = read("datasets", tmp_path)

    assert [(label.place, label.item_id) for label in found] == [("a.jsonl, line 1", "a"), ("b.jsonl, line 1", "b")]
    assert [problem.partition(": ")[0] for problem in problems] == ["a.jsonl, line 2", "b.jsonl, line 2"]
