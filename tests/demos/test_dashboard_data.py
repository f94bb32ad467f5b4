"""The views of data and of a feature: training, evaluation and live over each other, and what is not there is said."""

import csv
import html
import io
from pathlib import Path

import pytest

from demos.dashboard.content import Figure, Link, Page
from demos.dashboard.histogram import STEPS, beyond_of, mean_of, quantiles_of, steps_of
from demos.dashboard.page import render
from demos.dashboard.spreads import Group, groups
from monitoring.splits import FILE
from tests.demos.watched_gateway import Watched, on_watched, table
from tidegate.errors import InvalidInput, ItemNotFound, ModelNotFound

DATA = "/dashboard/models/{model}/data"
FEATURE = "/dashboard/models/{model}/features/{feature}"
SENTIMENT = {"model": "sentiment"}
HOSTILE = '<script>alert("x")</script>'


def figures(page: Page) -> list[str]:
    """Captions, in order."""
    return [part.caption for section in page.sections for part in section.parts if isinstance(part, Figure)]


def number(**parts: list[float] | None) -> dict[str, object]:
    """A feature with bins below 0, [0, 1), [1, 3), [3, 7) and above."""
    named = {"training": None, "evaluation": None, "window": None} | parts
    return {"name": "words", "edges": [0.0, 1.0, 3.0, 7.0], "centers": [0.0, 0.5, 2.0, 5.0, 7.0], **named}


def test_steps_are_of_equal_width_and_hold_what_lies_on_the_axis() -> None:
    found = steps_of(number(training=[0, 10, 20, 70, 0], window=[0, 0, 0, 50, 50]))

    assert found is not None
    assert len(found.shares["training"]) == STEPS
    for split in ("training", "window"):
        assert sum(found.shares[split]) + found.below[split] + found.above[split] == pytest.approx(1.0)
    assert found.above["window"] == pytest.approx(0.5)


def test_a_feature_without_rows_has_no_steps() -> None:
    assert steps_of(number()) is None
    assert steps_of(number(training=[0, 0, 0, 0, 0])) is None


def test_quantiles_and_means_are_of_the_bins() -> None:
    counts = [0.0, 10.0, 20.0, 70.0, 0.0]

    assert quantiles_of(number(), counts)[2] == pytest.approx(3.0 + 4.0 * 20 / 70)
    assert mean_of(number(), counts) == pytest.approx((5 + 40 + 350) / 100)
    assert beyond_of([1.0, 2.0, 3.0, 3.0, 1.0]) == pytest.approx(0.2)
    assert quantiles_of(number(), None) == [None] * 5


def test_names_of_classes_are_text_never_markup() -> None:
    assert "<script" not in groups(HOSTILE, [Group(HOSTILE, [0.5])], ["window"])


def test_before_the_first_prediction_the_page_shows_what_the_model_was_made_for(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        page = await g.view(DATA, SENTIMENT)

        assert page.lead.startswith("No live row was counted yet")
        assert {"chars", "words", "True labels", "Answers"} <= set(figures(page))
        assert {row[1] for row in table(page, "summary").rows} >= {"training", "evaluation"}
        assert table(page, "live-words").rows == []
        assert "keep_records" in table(page, "live-words").empty

    on_watched(tmp_path, scenario)


def test_the_page_begins_with_what_moved_furthest_and_every_table_is_a_csv(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        alert = g.drift()
        page = await g.view(DATA, SENTIMENT)
        by_alert = await g.view(DATA, SENTIMENT, window="alert")

        assert "features are beyond their band" in page.lead
        assert figures(page)[0].endswith("▲")
        assert f"In alert {alert} (" in by_alert.lead
        assert sorted(str(row[0]) for row in table(page, "moved-words").rows if row[0] in ("film", "unseen")) == [
            "film",
            "unseen",
        ]
        for one in page.tables():
            answer = await g.client.get(f"/dashboard/models/sentiment/data?csv={one.name}")
            lines = list(csv.reader(io.StringIO(answer.text)))
            assert len(lines) == len(one.rows) + 1, one.name
            assert {len(line) for line in lines} == {len(one.columns)}, one.name

    on_watched(tmp_path, scenario)


def test_every_feature_has_a_page_with_its_trend_its_classes_and_its_meaning(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        g.drift()
        rows = table(await g.view(DATA, SENTIMENT), "summary").rows
        names = [row[0].to for row in rows if isinstance(row[0], Link)]
        for at in dict.fromkeys(names):
            answer = await g.client.get(at)
            assert answer.status_code == 200, at
            assert "What it means" in answer.text
        words = await g.view(FEATURE, SENTIMENT | {"feature": "words"}, by="hour", windows="100")

        assert {"training, by true label", "evaluation, by true label", "Quartiles"} <= set(figures(words))
        assert len(table(words, "trend").rows) == 6
        assert words.lead.startswith("How many words a text has. Distance ")
        assert [row[0] for row in table(words, "normal").rows][:2] == [50, 100]

    on_watched(tmp_path, scenario)


def test_a_bundle_from_before_and_one_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        manifest = g.house.bundle.path / "bundle.json"
        whole = manifest.read_text()
        (g.house.bundle.path / "drift.json").write_text("{}")
        broken = [await g.view(DATA, SENTIMENT), await g.view(FEATURE, SENTIMENT | {"feature": "words"})]

        for page in broken:
            assert page.lead.startswith("Nothing can be said of version 1: ")
            assert "drift.json" in page.lead
        assert manifest.read_text() == whole

    on_watched(tmp_path, scenario)


def test_an_embedding_model_has_no_classes_and_says_so(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        page = await g.view(DATA, {"model": "embedder"})
        words = await g.view(FEATURE, {"model": "embedder", "feature": "words"})

        assert not [section for section in page.sections if section.heading == "Labels and predictions"]
        assert "The model answers vectors" in render(words, "/")
        assert FILE in g.house.bundles.load("embedder").manifest.files

    on_watched(tmp_path, scenario)


def test_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    async def scenario(g: Watched) -> None:
        with pytest.raises(ModelNotFound):
            await g.view(DATA, {"model": "nope"})
        with pytest.raises(ItemNotFound, match="no feature"):
            await g.view(FEATURE, SENTIMENT | {"feature": HOSTILE})
        for query in ({"by": "week"}, {"windows": "7"}, {"windows": "x"}):
            with pytest.raises(InvalidInput):
                await g.view(FEATURE, SENTIMENT | {"feature": "words"}, **query)
        refused = await g.client.get("/dashboard/models/sentiment/data", params={"window": HOSTILE})

        assert (refused.status_code, HOSTILE in html.unescape(refused.headers["content-type"])) == (422, False)

    on_watched(tmp_path, scenario)
