"""The overview of a queue: counts by slot and day, who labels and how well, what nobody settles, kept figures."""

import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from monitoring.labels import answers, budget, claims
from monitoring.labels.answers import Label
from monitoring.labels.decisions import set_gold
from monitoring.labels.overview import KEEP_SECONDS, Overviews
from tests.monitoring.labels.queues import DATABASES, MODEL, allowed, database_url, fill, turn
from tidegate import store
from tidegate.store import relabel_items

NOW = time.time()


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    with database_url(request.param, tmp_path) as url:
        opened = store.open_database(url)
        yield opened
        opened.dispose()


def label(database: Engine, item: str, who: str, what: str | None, at: float = NOW) -> None:
    answers.take_labels(database, [Label("line", item, what, annotator=who)], allowed, at)


def test_an_empty_queue_has_an_overview(database: Engine) -> None:
    told = Overviews(database).of(MODEL, NOW)

    assert (told["items"], told["oldest_at"], told["annotators"], told["disputed"]) == ([], None, [], [])
    assert told["worth"] is None
    assert told["agreement"]["value"] is None
    assert [day["labelled"] for day in told["days"]] == [0] * 30
    assert Overviews(database).queues(NOW) == []


def test_items_days_people_leases_and_disputes_are_told(database: Engine) -> None:
    ids = fill(database, 6, double_share=1.0, at=NOW - 1_000)
    for item in ids[:2]:
        label(database, item, "ada", "up")
        label(database, item, "bob", "up")
    label(database, ids[2], "ada", "up")
    label(database, ids[2], "bob", "down")
    with turn(database) as connection:
        claims.claim(connection, MODEL, "cyd", NOW, most=2)
    told = Overviews(database).of(MODEL, NOW)

    assert {(row["slot"], row["state"]): row["items"] for row in told["items"]} == {
        ("margin", "accepted"): 2,
        ("margin", "claimed"): 2,
        ("margin", "new"): 2,
    }
    assert told["days"][-1] == {"day": time.strftime("%Y-%m-%d", time.localtime(NOW)), "labelled": 6, "queued": 6}
    assert [(one["annotator"], one["answers"], one["gold"]) for one in told["annotators"]] == [
        ("ada", 3, None),
        ("bob", 3, None),
    ]
    assert told["leases"] == [{"annotator": "cyd", "items": 2, "until": pytest.approx(NOW + claims.LEASE_SECONDS)}]
    assert told["agreement"]["items"] == 3
    assert [(pair["one"], pair["other"], pair["items"]) for pair in told["pairs"]] == [("ada", "bob", 3)]
    with database.connect() as connection:
        assert budget.depths(connection) == {(MODEL, "margin"): 4}


def test_disputed_items_show_who_said_what(database: Engine) -> None:
    (item,) = fill(database, 1, double_share=1.0)
    label(database, item, "ada", "up")
    label(database, item, "bob", None)
    (disputed,) = Overviews(database).of(MODEL, NOW)["disputed"]

    assert (disputed["id"], disputed["predicted"]) == (item, "up")
    assert disputed["answers"] == {"ada": "up", "bob": "none"}


def test_gold_items_tell_how_right_people_are_and_wait_for_nobody(database: Engine) -> None:
    ids = fill(database, 3)
    set_gold(database, ids[0], "up", allowed)
    label(database, ids[0], "ada", "up")
    label(database, ids[0], "bob", "down")
    overviews = Overviews(database)

    told = {one["annotator"]: one["gold"] for one in overviews.of(MODEL, NOW)["annotators"]}
    assert (told["ada"]["accuracy"], told["bob"]["accuracy"]) == (1.0, 0.0)
    assert told["ada"]["low"] < 1.0
    (queue,) = overviews.queues(NOW)
    assert (queue["waiting"], queue["labelled_this_week"], queue["oldest_at"]) == (2, 2, 1.0)


def test_agreement_is_reckoned_anew_when_answers_came_and_some_minutes_went_by(database: Engine) -> None:
    ids = fill(database, 12, double_share=1.0)
    overviews = Overviews(database)
    assert overviews.of(MODEL, NOW)["agreement"]["items"] == 0
    for place, item in enumerate(ids):
        for who in ("ada", "bob"):
            label(database, item, who, "up" if place % 2 else "down")

    assert overviews.of(MODEL, NOW + 1)["agreement"]["items"] == 0
    told = overviews.of(MODEL, NOW + KEEP_SECONDS)["agreement"]
    assert (told["items"], told["value"], told["low"], told["high"]) == (12, 1.0, 1.0, 1.0)


def test_an_answer_that_is_taken_back_changes_the_kept_figures(database: Engine) -> None:
    (item,) = fill(database, 1, double_share=1.0)
    label(database, item, "ada", "up")
    label(database, item, "bob", "up")
    overviews = Overviews(database)
    assert overviews.of(MODEL, NOW)["agreement"]["items"] == 1
    with turn(database) as connection:
        answers.undo(connection, item, "bob")

    assert overviews.of(MODEL, NOW + KEEP_SECONDS)["agreement"]["items"] == 0
    with database.begin() as connection:
        connection.execute(update(relabel_items).values(model="another"))
    assert overviews.of(MODEL, NOW + KEEP_SECONDS)["items"] == []
