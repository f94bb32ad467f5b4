"""The frame around every view: pages that need no script, tables that are CSV files, nothing from outside as markup."""

import csv
import io
import math
import re
from pathlib import Path
from typing import Any

import pytest

from demos.dashboard.content import (
    Cell,
    Choice,
    Figure,
    Heading,
    Link,
    Mark,
    Markup,
    Number,
    Page,
    Section,
    Table,
    megabytes,
    milliseconds,
    share,
    when,
)
from demos.dashboard.forms import Field, Select, Word, form
from demos.dashboard.page import render
from demos.dashboard.sheet import to_csv
from tests.demos.dashboard.visits import HOSTILE, html, on_dashboard
from tests.serving.apps import Running

COLUMNS: list[str | Heading] = ["id", Heading("name", "?sort=name", "ascending"), HOSTILE, "value", "mark", "none"]
ROW: list[Cell] = [
    Choice("run", "a1", f"compare {HOSTILE}"),
    Link(HOSTILE, "/x?a=1&b=2"),
    HOSTILE,
    0.5,
    Mark("bad", "bad"),
    None,
]
TABLE = Table("some-rows", HOSTILE, COLUMNS, [ROW], HOSTILE)


def page(*tables: Table, **fields: Any) -> Page:
    """A page with these tables."""
    return Page(HOSTILE, HOSTILE, [Section(HOSTILE, list(tables), HOSTILE)], **fields)


def test_nothing_from_outside_is_markup() -> None:
    figure = Figure(HOSTILE, "<svg></svg>", HOSTILE)
    whole = Page(
        HOSTILE, HOSTILE, [Section(HOSTILE, [TABLE, figure], HOSTILE)], [Link(HOSTILE, f"/{HOSTILE}")], model=HOSTILE
    )
    document = render(whole, f"/dashboard/{HOSTILE}", [(HOSTILE, HOSTILE)], f"/{HOSTILE}")

    assert "<script>" not in document
    assert "style=" not in document
    assert "alert('x')" not in document


def test_links_csv_and_files_stay_below_the_root_path() -> None:
    document = render(page(TABLE), "/dashboard/runs", [("sort", "a b")], "/tide")

    leading = [one for one in re.findall(r'(?:href|src)="([^"]+)"', document) if one[0] == "/"]
    assert leading
    assert all(address.startswith("/tide/") for address in leading)
    assert 'href="/tide/dashboard/runs?sort=a+b&amp;csv=some-rows"' in document


def test_the_place_and_the_view_that_one_is_at_are_said_aloud() -> None:
    document = render(page(model="news"), "/dashboard/models/news/health")

    assert re.search(r'<a href="/dashboard" aria-current="true">Models</a>', document)
    assert re.search(r'<a href="/dashboard/models/news/health" aria-current="page">Health</a>', document)


def test_a_row_is_named_by_its_first_cell_and_a_box_to_tick_may_stand_before_it() -> None:
    document = render(page(TABLE), "/dashboard")

    assert '<td><input type="checkbox" form="choices" name="run" value="a1"' in document
    assert '<th scope="row"><a href="/x?a=1&amp;b=2">' in document
    assert '<th scope="col" aria-sort="ascending"><a href="?sort=name">name</a></th>' in document


def test_a_long_table_shows_its_beginning_and_says_where_the_rest_is() -> None:
    rows: list[list[Cell]] = [[f"row {number}", number] for number in range(30)]
    table = Table("long", "Rows", ["name", "number"], rows, first=3)
    document = render(page(table), "/dashboard")

    assert document.count('<th scope="row">') == 3
    assert "has all 30 rows; these are the first 3." in document
    assert len(to_csv(table).splitlines()) == 31


def test_an_empty_table_says_what_would_fill_it() -> None:
    document = render(page(Table("empty", "Runs", ["a"], [], empty="`tidegate up` makes one.")), "/dashboard")

    assert "`tidegate up` makes one." in document
    assert "<table" not in document


def test_a_page_that_waits_loads_itself_again_without_a_script() -> None:
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in render(
        page(reload_seconds=2), "/dashboard"
    )
    assert "refresh" not in render(page(), "/dashboard")


def test_the_best_number_is_marked_by_more_than_its_colour() -> None:
    table = Table("t", "T", ["metric", "a"], [["f1", Number(0.12345, "0.123", "good")]])

    assert '<td class="number"><span class="mark good">0.123</span></td>' in render(page(table), "/dashboard")
    assert to_csv(table) == "metric,a\r\nf1,0.12345\r\n"


def test_a_csv_file_has_whole_values_and_nothing_that_a_spreadsheet_runs() -> None:
    dangerous = "=HYPERLINK(1)"
    cells: list[Cell] = [
        dangerous,
        Link("+1", "/x"),
        Mark("@x"),
        Choice("run", "-1", "l"),
        Number(1 / 3, "0.33"),
        2,
        None,
        'a"\nb',
    ]
    (header, row) = list(csv.reader(io.StringIO(to_csv(Table("t", "T", [Heading("=a", "?")] * 8, [cells])))))

    assert header == ["'=a"] * 8
    assert row == [f"'{dangerous}", "'+1", "'@x", "'-1", str(1 / 3), "2", "", 'a"\nb']


def test_units_are_in_the_words_and_the_value_is_kept() -> None:
    assert share(0.5) == Number(0.5, "50.0%")
    assert milliseconds(0.00123) == Number(0.00123, "1.23 ms")
    assert megabytes(1_500_000) == Number(1_500_000, "1.5 MB")
    assert megabytes(1_500) == Number(1_500, "1.5 kB")
    assert (share(None), milliseconds(None), megabytes(None), when(None)) == (None, None, None, None)
    assert when(0) == Mark("1970-01-01 00:00 UTC")
    assert math.isclose(getattr(share(1 / 3), "value", 0), 1 / 3)


def test_a_form_asks_by_address_and_keeps_what_else_was_asked() -> None:
    fields: list[Field] = [
        Word("q", HOSTILE, HOSTILE, [HOSTILE]),
        Select("x", "X axis", {"step": "steps", HOSTILE: HOSTILE}, "step"),
        Select("other", "Other", {"a": "A"}, "gone"),
    ]
    drawn = form(fields, "Show", kept=[("run", HOSTILE)], to="compare", name="choices").html

    assert drawn.startswith('<form class="ask" method="get" action="compare" id="choices">')
    assert "<script" not in drawn
    assert '<option value="step" selected>steps</option>' in drawn
    assert '<option value="gone" selected>gone</option>' in drawn
    assert drawn.count("<label>") == 3
    assert isinstance(form([], "Show"), Markup)


def test_pages_tables_style_and_script_are_served_under_a_closed_policy(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        for path in ("/dashboard", "/dashboard/page.css", "/dashboard/page.js", "/dashboard?csv=models"):
            answer = await running.client.get(path)
            assert answer.status_code == 200
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        rows = list(csv.DictReader(io.StringIO((await running.client.get("/dashboard?csv=models")).text)))
        assert [row["model"] for row in rows] == ["sentiment", "wordpieces"]

    on_dashboard(tmp_path, scenario)


@pytest.mark.parametrize("path", ["/dashboard/models/nobody", "/dashboard/runs/zzz", "/dashboard/compare"])
def test_what_a_view_refuses_is_a_page_for_browsers_and_a_problem_for_programs(tmp_path: Path, path: str) -> None:
    async def scenario(running: Running) -> None:
        assert "<h1>" in await html(running.client, path)
        problem = await running.client.get(path)
        assert problem.headers["content-type"] == "application/problem+json"
        assert problem.status_code == (await running.client.get(path, headers={"accept": "text/html"})).status_code

    on_dashboard(tmp_path, scenario)


def test_a_table_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        answer = await running.client.get("/dashboard?csv=nothing", headers={"accept": "text/html"})
        assert answer.status_code == 404
        assert "models" in answer.json()["detail"]

    on_dashboard(tmp_path, scenario)
