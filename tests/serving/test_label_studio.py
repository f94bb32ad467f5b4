"""Label Studio's webhook takes a key that may annotate, one request's body, and hands monitoring the event."""

from pathlib import Path

from serving.access import ANNOTATE, PREDICT
from serving.keys import ApiKeys
from tests.serving.apps import Running, on_gateway
from tidegate.store import open_database

EVENT = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "result": []}, "task": {"data": {}}}
PATH = "/relabel/sentiment/labelstudio"


def test_an_event_reaches_monitoring_and_what_became_of_it_is_answered(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        answer = await g.client.post(PATH, json=EVENT)
        assert (answer.status_code, answer.json()) == (200, {"labelled": 1, "changed": 0, "unchanged": 0})
        assert g.monitor.events == [("sentiment", EVENT)]

    on_gateway(tmp_path, scenario)


def test_what_is_no_event_of_a_model_is_refused_before_monitoring_hears_of_it(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        typed = {"content-type": "application/json"}
        assert (await g.client.post("/relabel/nobody/labelstudio", json=EVENT)).status_code == 404
        assert (await g.client.post(PATH, content=b"{", headers=typed)).status_code == 400
        assert (await g.client.post(PATH, content=b"{}", headers={"content-type": "text/plain"})).status_code == 415
        assert (await g.client.post(PATH, json={"x": "y" * 2_000})).status_code == 413
        assert g.monitor.events == []

    on_gateway(tmp_path, scenario, max_body_bytes=1_000)


def test_the_key_that_label_studio_sends_is_one_that_may_annotate(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    keys = ApiKeys(database)
    sent = {"": 401, keys.create("reader", PREDICT)[1]: 403, keys.create("label-studio", ANNOTATE)[1]: 200}

    async def scenario(g: Running) -> None:
        for key, expected in sent.items():
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            assert (await g.client.post(PATH, json=EVENT, headers=headers)).status_code == expected
        assert len(g.monitor.events) == 1

    on_gateway(tmp_path, scenario, keys=keys)
    database.dispose()
