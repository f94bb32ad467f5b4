"""The view of a model's health says what the bundle counted, plainly and escaped, and what it cannot say."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest

from demos.dashboard.app import mount_dashboard
from demos.dashboard.content import Number, Page, Table
from demos.dashboard.health import model_health
from demos.dashboard.page import render
from demos.dashboard.visit import NoRuns, Visit
from tests import bundles
from tests.demos.healths import health, published
from tests.serving.apps import Running, on_gateway
from tidegate.bundle import Bundle, Postprocessing
from tidegate.bundle_store import BundleStore
from tidegate.errors import BundleNotFound, InvalidInput

HOSTILE = ('<script>alert("1")</script>', "=cmd|' /C calc'!A0", "a\u202eb&c")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sentiment`: 1 knows no health, 2 and 3 answered the same rows, 4 others; 5 has hostile labels, 6 sixty."""
    folder = tmp_path_factory.mktemp("home")
    store = BundleStore(folder / "bundles")
    plain, abstains = (
        bundles.sentiment(store),
        Postprocessing(activation="none", threshold=0.4, fallback_label="unsure"),
    )
    published(store, plain, health(post=abstains), post=abstains)
    published(store, plain, health(seed=1))
    published(store, plain, health(data=1))
    published(store, plain, health(HOSTILE, word="javascript"))
    published(store, plain, health([f"label {number}" for number in range(60)], rows=900))
    bundles.embedder(store)
    return folder


def seen(home: Path, model: str = "sentiment", **query: str) -> Page:
    """The page of a visit."""
    return visited(home, model, query)


def visited(home: Path, model: str, query: dict[str, str], live: dict[str, Any] | None = None) -> Page:
    """The page of a visit, when monitoring knows this of accuracy."""
    found: list[Page] = []

    async def scenario(g: Running) -> None:
        g.monitor.report = {"accuracy": live}
        asked = {name: [value] for name, value in query.items()}
        found.append(await model_health(Visit(g.app.state.gateway, NoRuns(), {"model": model}, asked)))

    on_gateway(home, scenario)
    return found[0]


def table(page: Page, name: str) -> Table:
    return next(each for each in page.tables() if each.name == name)


def numbers(page: Page, name: str, column: str) -> list[float]:
    found = table(page, name)
    cells = [row[list(found.columns).index(column)] for row in found.rows]
    return [cell.value if isinstance(cell, Number) else float(str(cell)) for cell in cells if cell is not None]


def markup(page: Page) -> str:
    return render(page, "/dashboard/models/sentiment/health")


def test_it_says_first_how_often_the_variant_is_right_and_where_it_is_weak(home: Path) -> None:
    page = seen(home, version="2")
    counted = health(post=Postprocessing(threshold=0.4, fallback_label="unsure")).variants["fp32"]

    assert f"Right on {counted.accuracy.value:.1%} of 240 evaluation texts" in page.lead
    assert "weakest on word: margin" in page.lead
    assert [section.heading for section in page.sections if section.heading] == [
        "Labels", "Confidence", "Threshold", "Where it is weak", "Behavioural tests"
    ]  # fmt: skip
    assert {each.name for each in page.tables()} == {
        "labels", "confused", "accuracy", "calibration", "thresholds", "slices", "behaviour"
    }  # fmt: skip
    assert sum(numbers(page, "labels", "support")) == sum(numbers(page, "labels", "answered")) == 240
    assert "unsure" in [row[0] for row in table(page, "labels").rows]
    assert sum(numbers(page, "confused", "rows")) == 240 - counted.hits


def test_what_is_known_of_accuracy_since_stands_beside_the_exports(home: Path) -> None:
    labelled = {"rows": 30, "accuracy": 0.7, "low": 0.52, "high": 0.83, "trusted": True}
    live = {"accuracy": 0.81, "low": 0.7, "high": 0.9, "labelled": labelled}
    known = table(visited(home, "sentiment", {"version": "2"}, live | {"trusted": True}), "accuracy")
    doubted = table(visited(home, "sentiment", {"version": "2"}, live | {"trusted": False}), "accuracy")

    assert [row[1] for row in known.rows] == [240, 30, None]
    assert known.rows[1][2] == Number(0.7, "70.0%")
    assert known.rows[2][2] == Number(0.81, "81.0%")
    assert doubted.rows[2][2] == "cannot tell"
    assert "once this version has predictions" in table(seen(home, version="2"), "accuracy").note


def test_a_threshold_of_the_address_is_marked_and_reckoned_without_a_script(home: Path) -> None:
    page = seen(home, version="3", threshold="0.55")
    shown, known = markup(page), health(seed=1).variants["fp32"].at(0.55)

    assert f'id="coverage">{known.rows / 240:.1%}' in shown
    assert f'id="precision">{known.right / known.rows:.1%}' in shown
    assert 'value="0.55"' in shown
    assert 'name="version" value="3"' in shown
    assert 0.55 in numbers(page, "thresholds", "threshold")
    assert "has no threshold" in shown
    assert "the label &#x27;unsure&#x27; answers" in markup(seen(home, version="2"))


@pytest.mark.parametrize("threshold", ["0", "1", "0.001"])
def test_the_ends_of_the_slider_are_thresholds_too(home: Path, threshold: str) -> None:
    assert "NaN" not in markup(seen(home, version="3", threshold=threshold))


def test_versions_are_held_against_each_other_where_they_answered_the_same_rows(home: Path) -> None:
    page = seen(home, version="2", against="3")
    other = seen(home, version="3")

    assert "On the same 240 rows" in next(s.lead for s in page.sections if s.heading.startswith("Side by side"))
    there = dict(zip([row[0] for row in table(other, "labels").rows], numbers(other, "labels", "recall"), strict=True))
    rows = [row[0] for row in table(page, "differences").rows]
    assert numbers(page, "differences", "recall there") == [there[str(label)] for label in rows]
    assert markup(page).count("Confusion, version") == 3


@pytest.mark.parametrize(
    ("against", "said"), [("4", "Not comparable"), ("1", "cannot be compared"), ("1/fp32", "cannot")]
)
def test_what_cannot_be_compared_is_said(home: Path, against: str, said: str) -> None:
    assert said in markup(seen(home, version="2", against=against))


def test_bundles_from_before_and_embeddings_say_what_is_not_there(home: Path) -> None:
    assert "export it again" in seen(home, version="1").lead
    assert seen(home, version="1").tables() == []
    assert "not right or wrong" in seen(home, "embedder").lead


def test_labels_and_words_from_outside_are_text(home: Path) -> None:
    page = seen(home, version="5")
    shown = markup(page)

    assert "<script>alert" not in shown
    assert "<i>negation" not in shown
    assert "&lt;script&gt;alert" in shown
    assert {row[0] for row in table(page, "labels").rows} == set(HOSTILE)
    assert " style=" not in shown


def test_of_many_labels_the_most_confused_are_drawn_and_all_are_in_the_table(home: Path) -> None:
    page = seen(home, version="6")
    shown = markup(page)

    assert "The 20 most confused of 60 labels" in shown
    assert "The 20 of 60 labels with the lowest F1" in shown
    assert len(re.findall(r'class="cell ', shown)) == 400
    assert len(table(page, "labels").rows) == 60


def test_what_is_not_there_and_what_is_no_choice_is_refused(home: Path) -> None:
    for query in (
        {"threshold": "high"},
        {"threshold": "1.5"},
        {"threshold": "nan"},
        {"against": "x"},
        {"version": "-1"},
    ):
        with pytest.raises(InvalidInput):
            seen(home, **{"version": "2"} | query)
    for query in ({"version": "99"}, {"variant": "int8"}, {"against": "99"}, {"against": "3/int8"}):
        with pytest.raises(BundleNotFound):
            seen(home, **{"version": "2"} | query)


def test_a_bundle_whose_counts_are_broken_is_named(home: Path) -> None:
    store = BundleStore(home / "bundles")
    whole = Bundle(store.path("sentiment", 2), store.load("sentiment", 2).manifest)
    broken = published(store, whole, health(seed=3))
    broken.file("health.json").write_text("{}")
    assert "export the bundle again" in seen(home, version=str(broken.manifest.version)).lead


def test_every_table_is_a_file_and_the_page_carries_its_script(home: Path) -> None:
    async def scenario(g: Running) -> None:
        mount_dashboard(g.app)
        address = "/dashboard/models/sentiment/health?version=5"
        page = await g.client.get(address)
        assert page.status_code == 200
        assert "/dashboard/health.js" in page.text
        assert (await g.client.get("/dashboard/health.js")).headers["content-type"].startswith("text/javascript")
        for name in re.findall(r"csv=([a-z]+)", page.text):
            answer = await g.client.get(f"{address}&csv={name}")
            rows = list(csv.reader(io.StringIO(answer.text)))
            assert len({len(row) for row in rows}) == 1
            assert not [cell for row in rows for cell in row if cell.startswith("=")]

    on_gateway(home, scenario)
