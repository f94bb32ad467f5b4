"""The routes of people who label: who may, as whom, and what they take."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from monitoring.labels.desk import QueueDesk
from serving.access import ADMIN, ANNOTATE, PREDICT
from serving.keys import ApiKeys
from tests.labelling import queue
from tests.serving.apps import Running, on_gateway
from tidegate.bundle_store import BundleStore
from tidegate.settings import Settings
from tidegate.store import annotations, open_database

ITEMS = "/relabel/sentiment/items"
ANN = {"x-annotator": "Ann"}
LABEL = {"verdict": "label", "label": "positive"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    yield opened
    opened.dispose()


@pytest.fixture
def desk(tmp_path: Path, database: Engine) -> QueueDesk:
    return QueueDesk(database, BundleStore(tmp_path / "bundles"), Settings(home=tmp_path))


def answered(database: Engine) -> list[tuple[str, str, str | None, str]]:
    with database.connect() as connection:
        rows = connection.execute(select(annotations).order_by(annotations.c.created_at)).all()
    return [(row.annotator, row.verdict, row.label, row.comment) for row in rows]


def test_an_item_is_claimed_answered_taken_back_and_released(tmp_path: Path, database: Engine, desk: QueueDesk) -> None:
    queue(database, ["one", "two", "three"])

    async def scenario(g: Running) -> None:
        claimed = (await g.client.get(f"{ITEMS}?count=2", headers=ANN)).json()
        assert [item["text"] for item in claimed["items"]] == ["one", "two"]
        first = f"{ITEMS}/{claimed['items'][0]['id']}"
        sent = await g.client.post(first, json=LABEL | {"seconds": 3.5, "comment": "so so"}, headers=ANN)
        assert (sent.status_code, sent.json()["outcome"], sent.json()["state"]) == (200, "stored", "accepted")
        assert answered(database) == [("Ann", "label", "positive", "so so")]

        undone = await g.client.post("/relabel/sentiment/undo", json={}, headers=ANN)
        assert undone.json()["item"]["text"] == "one"
        assert answered(database) == []
        given_back = await g.client.post(f"{first}/release", json={}, headers=ANN)
        assert given_back.json()["waiting"] == 3
        assert (await g.client.get("/relabel/sentiment/progress", headers=ANN)).json() == given_back.json()
        again = await g.client.post("/relabel/sentiment/undo", json={}, headers=ANN)
        assert (again.status_code, again.headers["content-type"]) == (404, "application/problem+json")

    on_gateway(tmp_path, scenario, desk=desk)


def test_only_keys_that_may_annotate_open_it_and_their_names_sign_the_answers(
    tmp_path: Path, database: Engine, desk: QueueDesk
) -> None:
    (item,) = queue(database, ["one"])
    keys = ApiKeys(database)
    by_role = {role: keys.create(role.name, role)[1] for role in (PREDICT, ANNOTATE, ADMIN)}
    writes = [(f"{ITEMS}/{item}", LABEL), (f"{ITEMS}/{item}/release", {}), ("/relabel/sentiment/undo", {})]

    async def scenario(g: Running) -> None:
        for headers, status in (({}, 401), ({"authorization": f"Bearer {by_role[PREDICT]}"}, 403)):
            for path in (ITEMS, "/relabel/sentiment/progress"):
                assert (await g.client.get(path, headers=headers)).status_code == status
            for path, body in writes:
                assert (await g.client.post(path, json=body, headers=headers)).status_code == status
        assert answered(database) == []
        for role in (ANNOTATE, ADMIN):
            bearer = {"authorization": f"Bearer {by_role[role]}", "x-annotator": "somebody else"}
            assert (await g.client.post(f"{ITEMS}/{item}", json=LABEL, headers=bearer)).status_code == 200
        assert [row[0] for row in answered(database)] == ["ANNOTATE", "ADMIN"]

    on_gateway(tmp_path, scenario, keys=keys, desk=desk)


def test_the_cookie_of_who_signed_in_labels_from_our_own_page_alone(
    tmp_path: Path, database: Engine, desk: QueueDesk
) -> None:
    (item,) = queue(database, ["one"])
    keys = ApiKeys(database)
    key = keys.create("ann", ANNOTATE)[1]

    async def scenario(g: Running) -> None:
        signed = await g.client.post("/login", data={"key": key}, headers={"sec-fetch-site": "same-origin"})
        assert signed.status_code == 303
        path = f"{ITEMS}/{item}"
        for site in ("cross-site", "same-site"):
            sent = await g.client.post(path, json=LABEL, headers={"sec-fetch-site": site})
            assert sent.status_code == 401
            assert (await g.client.get(ITEMS, headers={"sec-fetch-site": site})).status_code == 403
        form = await g.client.post(path, data=LABEL, headers={"sec-fetch-site": "same-origin"})
        assert form.status_code == 415
        assert answered(database) == []
        own = await g.client.post(path, json=LABEL, headers={"sec-fetch-site": "same-origin"})
        assert own.status_code == 200
        assert answered(database) == [("ann", "label", "positive", "")]
        assert (await g.client.post("/models/sentiment/rollback", json={})).status_code == 401

    on_gateway(tmp_path, scenario, keys=keys, desk=desk)


def test_without_a_key_of_ones_own_people_say_who_they_are(tmp_path: Path, database: Engine, desk: QueueDesk) -> None:
    (item,) = queue(database, ["one"])

    async def scenario(g: Running) -> None:
        shared = {"authorization": "Bearer s3cret"}
        for sent in ("", "%20", "x" * 65, "a%0Ab", "%FF%FE", "a%E2%80%AEb", "%00"):
            refused = await g.client.get(ITEMS, headers=shared | {"x-annotator": sent})
            assert refused.status_code == 422, sent
        assert (await g.client.get(ITEMS, headers=shared)).status_code == 422
        name = shared | {"x-annotator": "Zo%C3%AB%20%E6%9D%8E"}
        assert (await g.client.post(f"{ITEMS}/{item}", json=LABEL, headers=name)).status_code == 200
        decomposed = shared | {"x-annotator": "Zoe%CC%88%20%E6%9D%8E"}
        assert (await g.client.get("/relabel/sentiment/progress", headers=decomposed)).json()["mine"] == 1

    on_gateway(tmp_path, scenario, api_key="s3cret", desk=desk)
    assert answered(database)[0][0] == "Zoë 李"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ([], 422),
        (None, 422),
        ({"verdict": "maybe"}, 422),
        ({"verdict": "label"}, 422),
        ({"verdict": "label", "label": None}, 422),
        ({"verdict": "label", "label": 3}, 422),
        ({"verdict": "label", "label": "great"}, 422),
        ({"verdict": "label", "label": "x" * 1_001}, 422),
        ({"verdict": "none", "label": "positive"}, 422),
        ({"verdict": "skip", "label": "positive"}, 422),
        (LABEL | {"seconds": -1}, 422),
        (LABEL | {"seconds": "3"}, 422),
        (LABEL | {"seconds": 1e9}, 422),
        (LABEL | {"comment": None}, 422),
        (LABEL | {"comment": "x" * 4_001}, 422),
        (LABEL | {"annotator": "somebody"}, 422),
        (LABEL | {"comment": "x" * 70_000}, 413),
        (LABEL | {"comment": "\0 \u202e \U0001d54f " * 100}, 200),
        ({"verdict": "none", "label": None, "seconds": None}, 200),
    ],
)
def test_bodies_are_checked(tmp_path: Path, database: Engine, desk: QueueDesk, body: Any, status: int) -> None:
    (item,) = queue(database, ["one"])

    async def scenario(g: Running) -> None:
        headers = ANN | {"content-type": "application/json"}
        sent = await g.client.post(f"{ITEMS}/{item}", content=json.dumps(body), headers=headers)
        assert sent.status_code == status, sent.text

    on_gateway(tmp_path, scenario, ready=False, desk=desk)
    assert len(answered(database)) == (status == 200)


def test_what_is_not_there_or_not_readable_is_said(tmp_path: Path, database: Engine, desk: QueueDesk) -> None:
    (item,) = queue(database, ["one"])

    async def scenario(g: Running) -> None:
        for path, status in (
            (ITEMS.replace("sentiment", "nobody"), 404),
            (f"{ITEMS}?count=0", 422),
            (f"{ITEMS}?count=6", 422),
            (f"{ITEMS}?count=%C2%B2", 422),
        ):
            assert (await g.client.get(path, headers=ANN)).status_code == status, path
        for name in ("x", "x" * 5_000, "%00", "%F0%9F%A6%80", "' or 1=1 --"):
            assert (await g.client.post(f"{ITEMS}/{name}", json=LABEL, headers=ANN)).status_code == 404, name
        for content, kind, status in (
            (b"{", "application/json", 400),
            (b"\xff", "application/json", 400),
            (b"{}", "text/plain", 415),
            (b"", "application/json", 400),
        ):
            headers = ANN | {"content-type": kind}
            for path in (f"{ITEMS}/{item}", f"{ITEMS}/{item}/release", "/relabel/sentiment/undo"):
                assert (await g.client.post(path, content=content, headers=headers)).status_code == status
        assert (await g.client.get("/relabel/wordpieces/items", headers=ANN)).json()["items"] == []

    on_gateway(tmp_path, scenario, desk=desk)


def test_a_server_without_a_queue_says_so(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        assert (await g.client.get(ITEMS, headers=ANN)).status_code == 503

    on_gateway(tmp_path, scenario, ready=False)
