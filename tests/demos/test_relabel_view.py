"""The view of the relabel queue: pages as values over a real queue, their tables as CSV, and what is escaped."""

import asyncio
import csv
import io
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Engine, insert
from starlette.types import ASGIApp

from demos.dashboard.app import mount_dashboard
from demos.dashboard.content import Page, Table
from demos.dashboard.relabel import all_queues, one_queue
from demos.dashboard.visit import NoRuns, Visit
from monitoring.labels import answers
from monitoring.labels.answers import Label
from monitoring.labels.desk import QueueDesk
from tests import bundles
from tests.labelling import queue
from tests.serving.apps import Running, gateway
from tidegate.bundle_store import BundleStore
from tidegate.settings import Settings
from tidegate.store import data_sets, open_database, retrainings

MODEL = "sentiment"
HOSTILE = '"><script>alert(1)</script>'
GATE = {"rows": 450, "live": 0.83, "new": 0.85, "won": 20, "lost": 11, "difference": 0.02, "low": -0.01, "high": 0.05}


def dashboard(app: FastAPI) -> ASGIApp:
    mount_dashboard(app)
    return app


def on_queue(home: Path, scenario: Callable[[Running, Engine], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario on a gateway with a desk over a real database."""

    async def main() -> None:
        store = BundleStore(home / "bundles")
        bundles.sentiment(store, MODEL)
        bundles.embedder(store, "embedder")
        database = open_database(f"sqlite:///{home / 'state.db'}")
        desk = QueueDesk(database, store, Settings(home=home))
        async with gateway(home, desk=desk, compose=dashboard) as running:
            await scenario(running, database)
        database.dispose()

    asyncio.run(main())


def label(database: Engine, item: str, who: str, what: str | None) -> None:
    given = [Label("line", item, what, who)]
    answers.take_labels(database, given, lambda _model, _version: bundles.LABELS, time.time())


async def viewed(g: Running, model: str = MODEL) -> Page:
    return await one_queue(Visit(g.app.state.gateway, NoRuns(), {"model": model}, {}))


def table(page: Page, name: str) -> Table:
    return next(one for one in page.tables() if one.name == name)


def test_an_empty_queue_says_what_would_fill_it(tmp_path: Path) -> None:
    async def scenario(g: Running, _database: Engine) -> None:
        page = await viewed(g)
        assert page.lead.startswith("Nothing was queued yet. Items come by themselves")
        assert all(not one.rows and one.empty for one in page.tables())
        index = await all_queues(Visit(g.app.state.gateway, NoRuns(), {}, {}))
        assert [row[1] for row in table(index, "queues").rows] == [0]
        assert "nobody labels those" in (await viewed(g, "embedder")).lead
        for path in ("/dashboard/relabel", f"/dashboard/models/{MODEL}/relabel"):
            assert (await g.client.get(path)).status_code == 200
        assert (await g.client.get("/dashboard/models/nope/relabel")).status_code == 404

    on_queue(tmp_path, scenario)


def test_what_waits_who_answered_and_what_is_disputed_is_shown(tmp_path: Path) -> None:
    async def scenario(g: Running, database: Engine) -> None:
        ids = queue(database, [f"profit rises by {n}" for n in range(5)], double_share=1.0)
        label(database, ids[0], "ada", "positive")
        label(database, ids[0], "bob", "positive")
        label(database, ids[1], "ada", "positive")
        label(database, ids[1], "bob", "negative")
        page = await viewed(g)

        assert page.lead.startswith("4 items wait for people; the oldest has waited less than a minute; 4 answered")
        (row,) = table(page, "queue").rows
        assert list(row) == ["random", 3, 0, 0, 1, 1, 0, 0]
        assert [(row[0], row[1]) for row in table(page, "annotators").rows] == [("ada", 2), ("bob", 2)]
        (disputed,) = table(page, "disputed").rows
        assert disputed[3] == "ada: positive; bob: negative"
        assert "from 10 on" in page.sections[3].lead
        index = await all_queues(Visit(g.app.state.gateway, NoRuns(), {}, {}))
        assert index.lead == "4 items wait for people; 4 answers in the last seven days."

    on_queue(tmp_path, scenario)


def test_data_sets_and_gates_are_shown_with_their_numbers(tmp_path: Path) -> None:
    async def scenario(g: Running, database: Engine) -> None:
        made = {
            "model": MODEL,
            "number": 1,
            "digest": "ab" * 32,
            "rows": 900,
            "added": 40,
            "parent_run": "runs:/a/model",
        }
        steps = {"gate": {"live": 1, "evaluation": GATE, "random": {"rows": 0}}, "train": {"run_id": "0123456789"}}
        tried = {
            "model": MODEL,
            "state": "refused",
            "step": "gate",
            "data_set": 1,
            "run": "runs:/b/model",
            "version": 2,
        }
        with database.begin() as connection:
            detail = {"labels": 41, "conflicts": 1}
            connection.execute(insert(data_sets).values(**made, created_at=1.0, detail=detail))
            times = {"started_at": 2.0, "updated_at": 3.0, "detail": {"steps": steps, "why": HOSTILE}}
            connection.execute(insert(retrainings).values(**tried, **times))
        page = await viewed(g)

        assert [row[2:6] for row in table(page, "datasets").rows] == [[900, 40, 41, 1]]
        (row,) = table(page, "retrainings").rows
        assert row[7] == "83.0% to 85.0% of 450: +2.0 (-1.0 to +5.0)"
        assert row[8] is None
        shown = await g.client.get(f"/dashboard/models/{MODEL}/relabel")
        assert HOSTILE not in shown.text

    on_queue(tmp_path, scenario)


def test_hostile_texts_and_names_are_escaped_and_harmless_in_a_spreadsheet(tmp_path: Path) -> None:
    async def scenario(g: Running, database: Engine) -> None:
        (item,) = queue(database, [f"=1+1 {HOSTILE}"], double_share=1.0)
        label(database, item, HOSTILE, "positive")
        label(database, item, "=cmd", "negative")
        at = f"/dashboard/models/{MODEL}/relabel"
        shown = (await g.client.get(at)).text
        assert "<script>alert" not in shown
        rows = list(csv.reader(io.StringIO((await g.client.get(f"{at}?csv=disputed")).text)))
        assert rows[1][1].startswith("'=1+1")
        people = list(csv.reader(io.StringIO((await g.client.get(f"{at}?csv=annotators")).text)))
        assert "'=cmd" in {row[0] for row in people}

    on_queue(tmp_path, scenario)
