"""The report: parses back, and its page loads nothing and runs nothing."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.conditions import Conditions
from loadtests.measured import Outcome, Point, Result, Step
from loadtests.page import render, sentence
from loadtests.report import Report, check_folder, write_report
from loadtests.slo import judge, parse_slo
from loadtests.tally import Tally
from tidegate.errors import UsageError

CONDITIONS = Conditions(
    date=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    tidegate_version="0.1.0",
    machine="a machine",
    command="tidegate loadtest http://127.0.0.1:8080 --model toy",
    url="http://127.0.0.1:8080",
    model="toy",
    model_version="3",
    scenario="single",
    users=4,
    seed=0,
)
HOSTILE = "<script src='https://evil.example/x.js'></script>\"'&<img src=//evil.example>"


class Elements(HTMLParser):
    """Every tag and attribute of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def tally(kind: str = "HTTP 503") -> Tally:
    tally = Tally(0.1)
    for number in range(1, 101):
        tally.add(number / 1000, 1, {"queue": 0.001, "infer": 0.002})
        tally.lag.add(0.001)
    tally.fail(kind)
    return tally


def closed_loop(kind: str = "HTTP 503") -> Result:
    points = tuple(
        Point(
            elapsed_seconds=n, requests_per_second=50, p50_seconds=0.05, p99_seconds=None if n == 2 else 0.1, failures=1
        )
        for n in (1, 2, 3)
    )
    return Result(measured=tally(kind).measured(2.0), points=points)


def searched(rate: float | None = 20.0) -> Result:
    slo = parse_slo("p99=100ms")
    steps: list[Step] = [judge(slo, 20.0, 5.0, 5.0, tally()), judge(slo, 40.0, 5.0, 5.0, Tally())]
    outcome = Outcome(objective=slo.text, rate=rate, confirmed=True, limited_by="server", steps=tuple(steps))
    return Result(measured=steps[0].measured if rate else None, outcome=outcome)


@pytest.mark.parametrize(
    "result", [closed_loop(), searched(), searched(rate=None), Result(measured=Tally().measured(1.0))]
)
def test_the_json_parses_back_and_the_page_stands_beside_it(tmp_path: Path, result: Result) -> None:
    report = Report(conditions=CONDITIONS, result=result)

    document, page = write_report(report, tmp_path / "new" / "folder")

    assert Report.model_validate_json(document.read_bytes()) == report
    assert document.stem == page.stem == "loadtest-toy-20260102-030405"
    assert "Load test of toy" in page.read_text()


@pytest.mark.parametrize("result", [closed_loop(HOSTILE), searched()])
def test_the_page_holds_nothing_that_could_load_or_run(result: Result) -> None:
    hostile = CONDITIONS.model_copy(update={"model": HOSTILE, "command": HOSTILE, "machine": HOSTILE, "url": HOSTILE})

    page = render(hostile, result)

    elements = Elements(page)
    assert not elements.tags & {"script", "img", "link", "iframe", "object", "embed", "image", "use", "base", "form"}
    assert not elements.attributes & {"src", "href", "xlink:href", "srcset", "data", "action", "style", "onload"}
    assert not re.search(r"url\(|@import|@font-face", page)
    assert HOSTILE in elements.text
    assert "default-src 'none'" in page


@given(st.text(), st.text())
def test_whatever_the_names_the_page_keeps_its_tags(model: str, kind: str) -> None:
    named = CONDITIONS.model_copy(update={"model": model, "command": kind})

    assert Elements(render(named, closed_loop(kind))).tags == Elements(render(CONDITIONS, closed_loop())).tags


def test_the_page_shows_what_was_measured() -> None:
    text = Elements(render(CONDITIONS, closed_loop())).text

    for shown in ("4 callers", "100.00", "server: queue", "HTTP 503", "a machine", CONDITIONS.command, "2026-01-02"):
        assert shown in text


def test_a_search_shows_its_answer_and_every_step() -> None:
    text = Elements(render(CONDITIONS.model_copy(update={"users": None}), searched())).text

    assert "p99=100ms holds up to 20.0 requests/s (confirmed over a longer window)" in text
    assert "40.0" in text
    assert "arrivals that wait for nobody" in text


@pytest.mark.parametrize(
    ("limited_by", "words"),
    [("server", "the server is late"), ("client", "this client falls"), ("search", "search ended")],
)
def test_the_sentence_says_whose_limit_it_is(limited_by: str, words: str) -> None:
    outcome = searched().outcome

    assert outcome
    assert words in sentence(outcome.model_copy(update={"limited_by": limited_by}))


def test_an_objective_that_never_held_is_said_plainly() -> None:
    outcome = searched(rate=None).outcome

    assert outcome
    assert "does not hold at any rate tried, down to 20.0 requests/s" in sentence(outcome)


def test_a_folder_that_is_a_file_is_refused_before_any_load(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="is a file; name a folder"):
        check_folder(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot write"):
        write_report(Report(conditions=CONDITIONS, result=closed_loop()), tmp_path / "file" / "below")
