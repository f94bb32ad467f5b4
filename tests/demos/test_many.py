import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos import many, results
from demos.client import Reply
from demos.many import MOST_FILE_CHARS, MOST_ROWS, Outcome, Row, from_lines, from_sheet, read_sheet, to_csv
from tidegate.errors import InvalidInput
from tidegate.tasks import Answer

REPLY = Reply("id1", Answer("positive", 0.75, False, (0.1, 0.15, 0.75)), 3, "int8", 0.01)
CELLS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=20)


def test_each_line_that_is_not_blank_is_a_row_under_its_number() -> None:
    assert from_lines("profit rises\n\n  shares fell \n", 100) == [Row(1, "profit rises"), Row(3, "shares fell")]


@pytest.mark.parametrize(("delimiter", "mark"), [(",", ""), (";", "\ufeff"), ("\t", "")])
def test_a_file_is_read_whatever_separates_its_cells(delimiter: str, mark: str) -> None:
    sheet = read_sheet(f"{mark}id{delimiter}text\r\n1{delimiter}profit rises\r\n\r\n2{delimiter}shares fell\r\n")

    assert list(sheet.columns) == ["id", "text"]
    assert sheet.wordiest() == "text"
    assert from_sheet(sheet, "text", 100) == [Row(2, "profit rises"), Row(4, "shares fell")]


def test_bad_rows_stay_and_say_what_is_wrong_with_them() -> None:
    sheet = read_sheet('id,text\n1,\n2,"over\ntwo lines"\n3,a,b\n4,far too long to ask\n5,fine\n')

    faults = [(row.number, row.fault) for row in from_sheet(sheet, "text", 16)]

    assert faults == [
        (2, "no text"),
        (3, ""),
        (5, "3 cells where the first line has 2"),
        (6, "19 characters; 16 are the most"),
        (7, ""),
    ]


def test_columns_without_a_name_or_with_the_same_are_told_apart() -> None:
    assert read_sheet("text,,text\na,b,c").columns == ["text", "column 2", "text (column 3)"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text\n", "no row below"),
        ("", "no row below"),
        ("text\n" + "a\n" * (MOST_ROWS + 1), "1,001 rows; 1,000 are the most"),
        ("x" * (MOST_FILE_CHARS + 1), "1,000,001 characters"),
        ("text\n" + "a" * 200_000, "line 2 of the file is no CSV"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_with_what_would_do(content: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_sheet(content)


def test_a_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInput, match=r"no column 'nope'; choose one of: id, text"):
        from_sheet(read_sheet("id,text\n1,a"), "nope", 10)


@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=8))
def test_what_a_spreadsheet_saved_is_read_back(rows: list[list[str]]) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([["first", "second"], *rows])

    read = read_sheet(file.getvalue() + "end,end\n")

    assert [list(cells) for _, cells in read.rows][:-1] == [cells for cells in rows if any(map(str.strip, cells))]


@given(text=CELLS, fault=CELLS)
def test_no_cell_of_the_download_starts_a_formula(text: str, fault: str) -> None:
    written = to_csv([Outcome(Row(1, text), REPLY), Outcome(Row(2, text, fault or "x"), None)])

    header, first, second = csv.reader(io.StringIO(written, newline=""))
    assert len(header) == len(first) == len(second) == 8
    assert all(not cell.startswith(("=", "+", "-", "@", "\t")) for line in (first, second) for cell in line)
    assert first[2:7] == ["positive", "0.750000", "false", "3", "id1"]


def test_the_table_counts_shows_and_names_what_was_not_answered() -> None:
    outcomes = [Outcome(Row(n, f"text <{n}>"), REPLY) for n in range(1, results.MOST_SHOWN + 6)]
    outcomes.append(Outcome(Row(900, "", "no text"), None))

    html = results.table(outcomes)

    assert "105 answered: 105 positive" in html
    assert "row 900: no text" in html
    assert "5 more rows are in the download" in html
    assert "&lt;1&gt;" in html
    assert "\n" not in html


def test_rows_are_bounded_for_pasted_lines_too() -> None:
    with pytest.raises(InvalidInput, match="1,001 lines"):
        from_lines("a\n" * 1_001, 10)
    with pytest.raises(InvalidInput, match="there is no text yet"):
        from_lines(" \n", 10)
    assert many.MOST_ROWS == 1_000
