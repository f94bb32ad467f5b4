"""The page shows everything that was measured, and first of all what was lost."""

from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.report import BEGIN, END, PAGE, render, write_page
from benchmarks.results import Results, read_results, write_results
from tests.benchmarks.figures import inside, load, pair, turns
from tidegate.errors import UsageError

MIXED = Results(
    pairs={
        "rival": pair(
            "simple",
            turns(1, 1, (load(100.0, p50=0.02),) * 3, (load(200.0, p50=0.01),) * 3),
            turns(64, 1, (load(900.0, p99=0.1),) * 3, (load(300.0, p99=0.4),) * 3),
            turns(8, 32, (load(1.0),), (load(1.0, fault="12 of 40 answers were errors"),)),
        )
    }
)


def test_met_and_missed_bars_both_stand_in_the_table() -> None:
    text = render(MIXED)

    assert "| 64 x 1 vs Rival, texts/s | >= 2 x | 3.00 (3.00 to 3.00) | met |" in text
    assert "| 1 x 1 vs Rival, p50 | <= 1 x | 2.00 (2.00 to 2.00) | NOT MET |" in text
    assert "12 of 40 answers were errors" in text


def test_every_figure_in_which_a_peer_is_better_is_named() -> None:
    losses = render(MIXED).partition("## Where Tidegate loses")[2].partition("## ")[0]

    assert "1 x 1, texts/s: 0.50 (0.50 to 0.50) x that of Rival" in losses
    assert "1 x 1, p50: 2.00 (2.00 to 2.00) x that of Rival" in losses
    assert "64 x 1" not in losses


def test_every_table_has_as_many_cells_in_each_row() -> None:
    both = MIXED.model_copy(update={"engine": inside().engine, "skew": inside().skew, "overhead": inside().overhead})
    lines = render(both).splitlines()
    tables = [(above, line) for above, line in pairwise(lines) if line[:1] == above[:1] == "|"]

    assert len(tables) > 10
    assert all(above.count("|") == line.count("|") for above, line in tables)


def test_the_prose_around_the_figures_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    write_page(page, inside())

    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "98 (97 to 98) texts/s" in text.replace("97.5", "98")


def test_a_page_without_a_place_for_figures_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers")

    with pytest.raises(UsageError, match="no place for figures"):
        write_page(page, inside())

    assert page.read_text() == "no markers"


def test_the_reference_page_has_its_place() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert text.index(BEGIN) < text.index(END)


def test_results_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "results.json"

    write_results(file, MIXED)

    assert read_results(file) == MIXED
    assert read_results(tmp_path / "none.json") == Results()


def test_another_file_is_not_taken_for_results(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"pears": {}}')

    with pytest.raises(UsageError, match="choose another --out"):
        read_results(file)
