"""A caller is told apart in records by a digest of its key's id; an address or a name that it gives is not kept."""

from pathlib import Path

import pytest

from serving.access import PREDICT
from serving.caller import KEY_ID, Caller, caller_of
from serving.keys import ApiKeys
from tests.serving.apps import Running, on_gateway
from tidegate.store import open_database


def test_a_key_has_one_digest_whatever_name_it_gives() -> None:
    scope = {KEY_ID: "0123456789abcdef", "client": ("192.0.2.7", 4711)}
    plain, named = caller_of(scope), caller_of(scope, b"somebody")

    assert len(plain.digest) == 32
    assert plain.digest == named.digest
    assert "0123" not in plain.digest
    assert caller_of({KEY_ID: "another"}).digest not in ("", plain.digest)


@pytest.mark.parametrize("named", [b"", b"somebody"])
def test_who_has_no_key_has_no_digest(named: bytes) -> None:
    assert caller_of({"client": ("192.0.2.7", 4711)}, named).digest == ""


def test_callers_share_a_turn_by_key_and_priority_alone() -> None:
    assert Caller("a", 1, "one") == Caller("a", 1, "other")
    assert hash(Caller("a", 1, "one")) == hash(Caller("a", 1))


def test_records_carry_the_digest_of_the_key(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    keys = ApiKeys(database)
    key_id, key = keys.create("app", PREDICT)

    async def scenario(g: Running) -> None:
        headers = {"authorization": f"Bearer {key}"}
        answer = await g.client.post("/models/sentiment/predict", json={"inputs": "good film"}, headers=headers)
        assert answer.status_code == 200
        assert [record.caller for record in g.monitor.records] == [caller_of({KEY_ID: key_id}).digest]

    on_gateway(tmp_path, scenario, keys=keys)
    database.dispose()
