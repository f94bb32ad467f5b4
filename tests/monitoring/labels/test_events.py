"""Label Studio's events leave the same answers in any order and however often they come."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select, update

from monitoring.labels import answers
from monitoring.labels.answers import Label
from monitoring.labels.events import take_event
from tests.monitoring.labels.queues import DATABASES, LABELS, MODEL, allowed, database_url, fill, turn
from tests.monitoring.labels.tools import annotation
from tidegate import store
from tidegate.errors import InvalidInput
from tidegate.store import annotations, relabel_items, webhook_answers

AT = 2e9


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with database_url(request.param, tmp_path) as url:
        opened = store.open_database(url)
        yield opened
        opened.dispose()


def made(number: int, item_id: str, *choices: str, minute: int = 0, action: str = "CREATED", **more: Any) -> Any:
    told_at = f"2026-01-01T00:{minute:02d}:00Z"
    task = {"id": 1, "data": {"text": "x", "tidegate_id": item_id}}
    said = {"id": number, "updated_at": told_at, **annotation(*choices, **({"who": 7} | more))}
    return {"action": f"ANNOTATION_{action}", "annotation": said, "task": task, "project": {"id": 1}}


def gone(*numbers: int) -> dict[str, Any]:
    return {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": n} for n in numbers], "project": {"id": 1}}


def hear(database: Engine, event: Any) -> dict[str, int]:
    return take_event(database, MODEL, event, allowed, AT)


def given_answers(database: Engine) -> list[tuple[str, str, str | None, str]]:
    with database.connect() as connection:
        rows = connection.execute(select(annotations).order_by(annotations.c.item_id, annotations.c.annotator))
        return [(row.annotator, row.verdict, row.label, row.source) for row in rows]


def test_an_annotation_is_an_answer_and_the_same_event_again_changes_nothing(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    event = made(1, item_id, "up", lead_time=3.5)

    assert hear(database, event) == {"labelled": 1, "changed": 0, "unchanged": 0}
    assert hear(database, event) == {"labelled": 0, "changed": 0, "unchanged": 1}
    assert given_answers(database) == [("7", "label", "up", "webhook")]
    with database.connect() as connection:
        assert connection.execute(select(annotations.c.seconds)).scalar_one() == 3.5


def test_an_update_changes_and_an_older_event_that_comes_late_does_not(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    hear(database, made(1, item_id, "up", minute=1))
    newer = hear(database, made(1, item_id, "down", minute=3, action="UPDATED"))
    late = hear(database, made(1, item_id, "flat", minute=2, action="UPDATED"))

    assert (newer["changed"], late["unchanged"]) == (1, 1)
    assert given_answers(database) == [("7", "label", "down", "webhook")]


def test_a_deletion_takes_the_answer_back_and_the_older_annotation_counts_again(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    for event in (made(1, item_id, "up", minute=1), made(2, item_id, "down", minute=2), gone(2)):
        hear(database, event)
    before = given_answers(database)

    assert hear(database, gone(1, 1)) == {"labelled": 0, "changed": 1, "unchanged": 1}
    assert before == [("7", "label", "up", "webhook")]
    assert given_answers(database) == []


def test_a_deletion_that_comes_first_holds(database: Engine) -> None:
    (item_id,) = fill(database, 1)

    assert hear(database, gone(1))["unchanged"] == 1
    assert hear(database, made(1, item_id, "up"))["unchanged"] == 1
    assert given_answers(database) == []


def test_what_the_person_said_elsewhere_since_stands(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    hear(database, made(1, item_id, "up"))
    answers.take_labels(database, [Label("", item_id, "down", "7")], allowed, AT + 1)
    for event in (made(1, item_id, "flat", minute=9, action="UPDATED"), gone(1)):
        hear(database, event)

    assert given_answers(database) == [("7", "label", "down", "import")]


story = st.lists(
    st.tuples(
        st.integers(1, 4),  # annotation
        st.sampled_from(["up", "down", "flat", None]),  # None: cancelled
        st.booleans(),  # deleted in the end
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=story, seed=st.integers(0, 2**20))
def test_in_any_order_and_twice_the_same_events_leave_the_same_answers(
    story: Sequence[tuple[int, str | None, bool]], seed: int, database: Engine
) -> None:
    with turn(database) as connection:
        for table in (annotations, webhook_answers, relabel_items):
            connection.execute(delete(table))
    (item_id,) = fill(database, 1)
    events = [
        made(number, item_id, *filter(None, [label]), minute=minute, cancelled=label is None, who=number % 2)
        for minute, (number, label, _) in enumerate(story)
    ]
    events += [gone(number) for number, _, deleted in story if deleted]
    found = []
    for order in (events, random.Random(seed).sample(events * 2, 2 * len(events))):
        with turn(database) as connection:
            for table in (annotations, webhook_answers):
                connection.execute(delete(table))
            connection.execute(update(relabel_items).values(state="new", label=None))
        for event in order:
            hear(database, event)
        found.append(given_answers(database))

    assert found[0] == found[1]


def test_of_several_annotations_those_that_can_be_taken_are(database: Engine) -> None:
    ids = fill(database, 2)
    parts = [made(1, ids[0], "up"), made(2, "nowhere", "up"), made(3, ids[1], "sideways"), made(4, ids[1], "up", who=8)]
    event = {"action": "ANNOTATIONS_CREATED"} | {
        name: [part[name] for part in parts] for name in ("annotation", "task")
    }
    with pytest.raises(InvalidInput) as refused:
        hear(database, event)

    assert "no item 'nowhere' on the queue of topics" in str(refused.value)
    assert "'sideways' is no label of topics" in str(refused.value)
    assert {row[:3] for row in given_answers(database)} == {("7", "label", "up"), ("8", "label", "up")}
    assert hear(database, made(3, ids[1], *LABELS[:1], minute=5, action="UPDATED"))["labelled"] == 1


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        {},
        {"action": 7},
        {"action": "ANNOTATION_CREATED"},
        {"action": "ANNOTATION_CREATED", "annotation": {}, "task": {}},
        {"action": "ANNOTATIONS_CREATED", "annotation": [{}], "task": []},
        {"action": "ANNOTATIONS_DELETED"},
        {"action": "ANNOTATIONS_DELETED", "annotations": [7]},
        {"action": "ANNOTATION_UPDATED", "annotation": {"id": 1, "result": 7}, "task": {"data": {"tidegate_id": "x"}}},
    ],
)
def test_what_is_no_event_is_refused(event: Any, database: Engine) -> None:
    with pytest.raises(InvalidInput):
        hear(database, event)


def test_events_of_anything_else_change_nothing(database: Engine) -> None:
    assert hear(database, {"action": "PROJECT_UPDATED", "project": {}}) == {"labelled": 0, "changed": 0, "unchanged": 0}


def test_an_item_of_another_model_takes_nothing(database: Engine) -> None:
    (item_id,) = fill(database, 1)
    with pytest.raises(InvalidInput, match="on the queue of others"):
        take_event(database, "others", made(1, item_id, "up"), allowed, AT)
