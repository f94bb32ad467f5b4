"""API keys: shown once, kept as a hash, followed by running servers, limited in their rate."""

import asyncio
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from serving.access import ADMIN, PREDICT, Role
from serving.caller import KEY_ID
from serving.keys import ApiKey, ApiKeys, Bucket, KeyRing, digest_of
from tests.servers import running, tidegate
from tests.serving.apps import Running, on_gateway
from tidegate.errors import ItemNotFound, Overloaded, UsageError
from tidegate.store import open_database

PREDICT_PATH = "/models/sentiment/predict"
FOLLOWED_SECONDS = 5.0  # a second, and what a busy machine adds


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[ApiKeys]:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    yield ApiKeys(database)
    database.dispose()


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def until(status: int, g: Running, key: str) -> float:
    """Seconds until `/models` answers that."""
    started = time.perf_counter()
    while (await g.client.get("/models", headers=bearer(key))).status_code != status:
        assert time.perf_counter() - started < FOLLOWED_SECONDS
        await asyncio.sleep(0.05)
    return time.perf_counter() - started


def test_a_key_is_random_and_only_its_hash_is_kept(keys: ApiKeys, tmp_path: Path) -> None:
    made = [keys.create(f"n{number}", PREDICT)[1] for number in range(20)]

    assert len(set(made)) == 20
    assert all(re.fullmatch(r"tg_[A-Za-z0-9_-]{43}", key) for key in made)
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("state.db*"))
    assert all(key.encode() not in stored and key[3:].encode() not in stored for key in made)
    assert digest_of(made[0].encode()).hex().encode() in stored


def test_the_last_keys_end_does_not_open_the_server(keys: ApiKeys, tmp_path: Path) -> None:
    key_id, key = keys.create("only", ADMIN)

    async def scenario(g: Running) -> None:
        assert (await g.client.get("/models", headers=bearer(key))).status_code == 200
        keys.revoke(key_id)
        await until(401, g, key)
        assert (await g.client.get("/models")).status_code == 401

    on_gateway(tmp_path, scenario, keys=keys)


def test_a_running_server_follows_what_is_made_and_revoked(keys: ApiKeys, tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        assert (await g.client.get("/models")).status_code == 200  # no key yet: this machine is trusted

        key_id, key = keys.create("first", PREDICT)
        await until(401, g, "none")
        assert (await g.client.get("/models", headers=bearer(key))).status_code == 200
        keys.revoke(key_id)
        await until(401, g, key)
        refused = await g.client.get("/models", headers=bearer(key))
        assert "revoked" in refused.json()["detail"]
        assert key not in refused.text

    on_gateway(tmp_path, scenario, keys=keys)


def test_an_expired_key_opens_nothing(keys: ApiKeys, tmp_path: Path) -> None:
    _, key = keys.create("brief", PREDICT, lifetime_seconds=0.5)

    async def scenario(g: Running) -> None:
        await until(401, g, key)

    on_gateway(tmp_path, scenario, keys=keys)
    assert [found.state(time.time()) for found in keys.list()] == ["expired"]


def test_a_database_that_fails_leaves_the_keys_read_last(
    keys: ApiKeys, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, key = keys.create("one", PREDICT)

    async def scenario(g: Running) -> None:
        with sqlite3.connect(tmp_path / "state.db") as other:
            other.execute("ALTER TABLE api_keys RENAME TO gone")
        other.close()
        await asyncio.sleep(2.5)
        assert (await g.client.get("/models", headers=bearer(key))).status_code == 200
        with sqlite3.connect(tmp_path / "state.db") as other:
            other.execute("DROP TABLE gone")
        other.close()

    on_gateway(tmp_path, scenario, keys=keys)
    assert caplog.text.count("API keys cannot be read") == 1


def test_the_request_path_asks_no_database(keys: ApiKeys, tmp_path: Path) -> None:
    _, key = keys.create("one", PREDICT)
    ring = KeyRing("", keys)
    (tmp_path / "state.db").unlink()

    assert ring.find(key.encode()) is not None
    assert ring.find(b"tg_" + b"x" * 43) is None
    started = time.perf_counter()
    for _ in range(10_000):
        ring.find(key.encode())
    assert (time.perf_counter() - started) / 10_000 < 50e-6  # 1 us where nothing else runs


def test_the_rate_of_a_key_is_kept_and_the_wait_is_told(keys: ApiKeys, tmp_path: Path) -> None:
    _, slow = keys.create("slow", PREDICT, rate=3)
    _, free = keys.create("free", PREDICT)

    async def scenario(g: Running) -> None:
        answers = [await g.client.get("/models", headers=bearer(slow)) for _ in range(10)]
        statuses = [answer.status_code for answer in answers]

        assert statuses[:3] == [200, 200, 200]
        assert statuses.count(429) >= 6
        refused = answers[-1]
        assert refused.headers["retry-after"] == "1"
        assert 1 <= int(refused.headers["retry-after-ms"]) <= 334
        assert {(await g.client.get("/models", headers=bearer(free))).status_code for _ in range(10)} == {200}
        await asyncio.sleep(0.4)
        assert (await g.client.get("/models", headers=bearer(slow))).status_code == 200

    on_gateway(tmp_path, scenario, keys=keys)


def test_a_bucket_lets_through_its_rate_whatever_the_order() -> None:
    bucket = Bucket(rate=50.0, now=0.0)
    passed = sum(bucket.take(step / 1_000) == 0 for step in range(10_000))  # 10 s, 1,000 a second

    assert 50 * 10 <= passed <= 50 * 11
    slow = Bucket(rate=0.1, now=0.0)
    assert slow.take(0.0) == 0
    assert slow.take(0.0) == pytest.approx(10)
    assert slow.take(10.0) == 0


def test_the_rate_goes_on_when_the_keys_are_read_again(keys: ApiKeys) -> None:
    _, key = keys.create("slow", PREDICT, rate=1)
    ring = KeyRing("", keys, monotonic=lambda: 0.0)
    found = ring.find(key.encode())
    assert found is not None
    ring.spend(found)
    ring._hold(keys.active())

    with pytest.raises(Overloaded, match="1 requests per second"):
        ring.spend(found)


def test_a_keys_id_tells_callers_apart_and_the_settings_key_does_not(keys: ApiKeys, tmp_path: Path) -> None:
    from serving.auth import PRINCIPAL, Door
    from tidegate.settings import Settings

    key_id, key = keys.create("app", PREDICT)
    door = Door(Settings.load({"TIDEGATE_API_KEY": "s3cret"}, home=tmp_path), keys)

    def judged(sent: str) -> dict[str, object]:
        headers = [(b"authorization", f"Bearer {sent}".encode())]
        scope: dict[str, object] = {"type": "http", "method": "GET", "path": "/models", "headers": headers}
        door.judge_request(scope)
        return scope

    assert judged(key)[KEY_ID] == key_id
    assert KEY_ID not in judged("s3cret")
    principal = judged(key)[PRINCIPAL]
    assert isinstance(principal, ApiKey)
    assert (principal.name, principal.role) == ("app", PREDICT)


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb", "a\x00"])
def test_a_name_that_cannot_be_read_in_a_list_is_refused(keys: ApiKeys, name: str) -> None:
    with pytest.raises(UsageError, match="no name for a key"):
        keys.create(name, PREDICT)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_lets_nothing_through_is_refused(keys: ApiKeys, rate: float) -> None:
    with pytest.raises(UsageError, match="requests per second"):
        keys.create("a", PREDICT, rate=rate)


def test_revoking_twice_is_no_error_and_an_unknown_id_is(keys: ApiKeys) -> None:
    key_id, _ = keys.create("one", PREDICT)
    keys.revoke(key_id)
    first = keys.list()[0].revoked_at
    keys.revoke(key_id)

    assert keys.list()[0].revoked_at == first
    with pytest.raises(ItemNotFound, match="keys list"):
        keys.revoke("nope")


def test_the_command_line_makes_lists_and_revokes(tmp_path: Path) -> None:
    made = tidegate(
        "keys", "create", "app", "--role", "predict", "--rate", "50", "--expires", "90d", "--home", tmp_path
    )
    key = made.stdout.strip()
    assert re.fullmatch(r"tg_[A-Za-z0-9_-]{43}", key)
    assert key not in made.stderr

    (row,) = orjson.loads(tidegate("keys", "list", "--json", "--home", tmp_path).stdout)
    assert (row["name"], row["role"], row["state"], row["rate"]) == ("app", "predict", "active", 50)
    tidegate("keys", "revoke", row["id"], "--home", tmp_path)
    listed = tidegate("keys", "list", "--home", tmp_path).stdout
    assert "revoked" in listed
    assert key not in listed
    wrong = tidegate("keys", "create", "x", "--role", "root", "--home", tmp_path, check=False)
    assert wrong.returncode == 2
    assert "choose one of: predict, annotate, admin" in wrong.stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_every_worker_of_a_running_server_follows(tmp_path: Path, workers: int) -> None:
    from tests import bundles
    from tidegate.bundle_store import BundleStore

    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    with running(["serve", "--workers", str(workers)], tmp_path) as server:
        key = tidegate("keys", "create", "app", "--role", "predict", "--home", tmp_path).stdout.strip()
        time.sleep(2)

        def statuses(headers: dict[str, str]) -> set[int]:
            found = set()
            for _ in range(12):  # a connection each: the kernel spreads them
                with server.client() as client:
                    found.add(client.post(PREDICT_PATH, json={"inputs": "a"}, headers=headers).status_code)
            return found

        assert statuses({}) == {401}
        assert statuses(bearer(key)) == {200}
        (row,) = orjson.loads(tidegate("keys", "list", "--json", "--home", tmp_path).stdout)
        tidegate("keys", "revoke", row["id"], "--home", tmp_path)
        time.sleep(2)
        assert statuses(bearer(key)) == {401}


def test_roles_are_named_and_ordered() -> None:
    assert Role.named("annotate") < Role.named("admin")
    with pytest.raises(UsageError, match="'anyone' is no role"):
        Role.named("anyone")
