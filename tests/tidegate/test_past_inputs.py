"""Files of past inputs are read as they are written, in the order of their times; what is wrong is named."""

from pathlib import Path

import pandas as pd
import pytest

from tidegate.cli.past_inputs import read_past
from tidegate.errors import UsageError


def write(folder: Path, name: str, content: str) -> Path:
    file = folder / name
    file.write_text(content, encoding="utf-8")
    return file


def test_texts_are_taken_as_they_are_written(tmp_path: Path) -> None:
    csv = write(tmp_path, "a.csv", 'text\nNA\n1.50\n"a, ""b"""\nnull\n')
    jsonl = write(
        tmp_path, "a.jsonl", '{"text": "NA"}\n{"text": "1.50"}\n{"text": "a, \\"b\\""}\n{"text": "2024-01-01"}\n'
    )

    assert read_past(csv, None, as_text=True).texts("text") == ["NA", "1.50", 'a, "b"', "null"]
    assert read_past(jsonl, None, as_text=True).texts("text") == ["NA", "1.50", 'a, "b"', "2024-01-01"]


@pytest.mark.parametrize(
    "times",
    [("1767225660", "1767225600"), ("2026-01-01T00:01:00Z", "2026-01-01"), ("2026-01-01 01:01:00+01:00", "2026-01-01")],
)
def test_rows_stand_in_the_order_of_their_times(tmp_path: Path, times: tuple[str, str]) -> None:
    file = write(tmp_path, "a.csv", f"at,text\n{times[0]},later\n{times[1]},first\n")
    past = read_past(file, "at", as_text=True)

    assert past.texts("text") == ["first", "later"]
    assert past.seconds is not None
    assert past.seconds.tolist() == [1_767_225_600, 1_767_225_660]


def test_columns_keep_their_kinds_where_texts_are_not_asked_for(tmp_path: Path) -> None:
    frame = read_past(write(tmp_path, "a.csv", "age,city\n31,Turku\n,\n"), None, as_text=False).frame

    assert pd.api.types.is_float_dtype(frame["age"])
    assert frame["city"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text\n", "has no rows"),
        ("a.csv", "", "cannot read"),
        ("a.jsonl", "broken", "cannot read"),
        ("a.txt", "text\n", "none of .csv, .jsonl and .parquet"),
        ("a.csv", "text\na\n", "has no column 'at'; it has: text"),
        ("a.csv", "at\n2026-01-01\nsoon\n", "row 2: at is no time: 'soon'"),
        ("a.csv", "at\n1767225600000\n", "divide milliseconds by 1,000"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        read_past(write(tmp_path, name, content), "at", as_text=True)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.csv"):
        read_past(tmp_path / "none.csv", None, as_text=True)
