"""The views of models: who answers, at what cost, where; also of a model that answers vectors or does not load."""

from pathlib import Path

from demos.dashboard.content import Figure, Mark, Markup, Page
from demos.dashboard.model_overview import one_model
from demos.dashboard.models import all_models
from demos.dashboard.visit import NoRuns, Visit
from tests import bundles
from tests.demos.dashboard.visits import seen
from tests.serving.apps import Running, on_gateway
from tidegate.bundle_store import BundleStore


def column(page: Page, table: str, name: str) -> list[object]:
    """A column of a table."""
    found = next(one for one in page.tables() if one.name == table)
    return [row[list(found.columns).index(name)] for row in found.rows]


def test_every_model_is_listed_with_who_answers_where_and_its_open_alerts(tmp_path: Path) -> None:
    pages: list[Page] = []

    async def ask(running: Running) -> None:
        running.monitor.found = [{"id": 1, "model": "sentiment", "state": "open"}]
        pages.append(await all_models(Visit(running.app.state.gateway, NoRuns(), {}, {})))

    on_gateway(tmp_path, ask)

    assert pages[0].lead == "2 of 2 models answer; 1 alert open."
    assert column(pages[0], "models", "state") == [Mark("ready", "good")] * 2
    assert column(pages[0], "models", "champion") == [1, 1]
    assert [getattr(cell, "word", "") for cell in column(pages[0], "models", "open alerts")] == ["1 open", "none"]


def test_versions_of_a_rollout_stand_side_by_side(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "bundles")
    for _ in range(2):
        bundles.sentiment(store, "news")
    store.set_alias("news", "canary", 2, 10)
    page = seen(tmp_path, one_model, {"model": "news"})

    assert "and version 2 answers 10 % of the callers" in page.lead
    assert next(one for one in page.tables() if one.name == "traffic").columns[1:] == [
        "champion, version 1",
        "canary, version 2",
    ]
    assert column(page, "versions", "aliases") == ["canary", "champion"]
    assert column(page, "running", "answers as") == ["champion", "canary"]


def test_one_version_alone_is_not_said_to_have_had_no_requests(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"), "news")
    page = seen(tmp_path, one_model, {"model": "news"})
    [part] = next(section.parts for section in page.sections if section.heading == "Traffic")

    assert isinstance(part, Markup)
    assert 'href="../live?model=news"' in part.html


def test_what_variants_cost_is_drawn_and_the_one_that_serves_is_filled(tmp_path: Path) -> None:
    bundles.wordpieces(BundleStore(tmp_path / "bundles"), "news", fault="lies")
    page = seen(tmp_path, one_model, {"model": "news"})
    drawn = [part for section in page.sections for part in section.parts if isinstance(part, Figure)]

    assert [figure.caption for figure in drawn] == ["Accuracy against latency", "Accuracy against size"]
    assert drawn[0].svg.count("hollow") == 1
    assert column(page, "variants", "variant") == ["fp32", "int8"]


def test_a_model_that_answers_vectors_is_judged_by_its_neighbours(tmp_path: Path) -> None:
    bundles.embedder(BundleStore(tmp_path / "bundles"))
    page = seen(tmp_path, one_model, {"model": "embedder"})
    variants = next(one for one in page.tables() if one.name == "variants")

    assert "accuracy" not in variants.columns
    assert "mean cosine" in variants.columns
    assert column(page, "versions", "accuracy") == [None]


def test_a_model_that_does_not_load_says_why_and_what_its_bundle_tells(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "bundles")
    bundles.sentiment(store, "sound")
    broken = bundles.sentiment(store, "broken")
    broken.file("model.onnx").write_bytes(b"no graph")
    page = seen(tmp_path, one_model, {"model": "broken"})

    assert page.lead.startswith("Nobody answers: it is failed, because")
    assert "model.onnx" in page.lead
    assert column(page, "variants", "variant") == ["fp32"]
    assert next(one for one in page.tables() if one.name == "running").empty == "Nowhere in this process: it is failed."


def test_a_version_that_cannot_be_read_is_counted_and_the_others_are_shown(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "bundles")
    for _ in range(2):
        bundles.sentiment(store, "news")
    (store.path("news", 2) / "bundle.json").write_text("{}")
    page = seen(tmp_path, one_model, {"model": "news"})

    versions = next(one for one in page.tables() if one.name == "versions")
    assert len(versions.rows) == 1
    assert versions.note.startswith("1 more cannot be read")
