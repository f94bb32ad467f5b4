"""Uses of share links reach the database within a second, whatever it does meanwhile."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from demos.meter import KEEP_SECONDS, ShareMeter
from demos.password import hash_password, is_password
from demos.share import ShareLinks
from tidegate.errors import UsageError
from tidegate.store import open_database, shares


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    yield made
    made.dispose()


def test_uses_are_added_while_the_server_runs_and_when_it_stops(database: Engine) -> None:
    links = ShareLinks(database, b"s" * 32)
    ids = [links.create(model, 60)[0] for model in ("a", "b")]
    seen = []

    async def serve() -> None:
        meter = ShareMeter(links)
        async with meter.keeping():
            for share_id in (ids[0], ids[0], ids[1]):
                meter.use(links.find(share_id))
            await asyncio.sleep(KEEP_SECONDS * 1.5)
            seen.append([links.find(share_id).uses for share_id in ids])
            meter.use(links.find(ids[1]))

    asyncio.run(serve())
    asyncio.run(serve())

    assert seen == [[2, 1], [4, 3]]
    assert [links.find(share_id).uses for share_id in ids] == [4, 4]


def test_what_the_database_did_not_take_is_added_later(database: Engine, caplog: pytest.LogCaptureFixture) -> None:
    links = ShareLinks(database, b"s" * 32)
    share = links.find(links.create("a", 60)[0])

    async def serve() -> None:
        meter = ShareMeter(links)
        async with meter.keeping():
            with database.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE shares RENAME TO gone")
            meter.use(share)
            await asyncio.sleep(KEEP_SECONDS * 1.5)
            with database.begin() as connection:
                connection.exec_driver_sql(f"ALTER TABLE gone RENAME TO {shares.name}")

    asyncio.run(serve())

    assert links.find(share.id).uses == 1
    assert "added later" in caplog.text


def test_a_password_is_kept_as_a_salted_hash_that_carries_its_cost() -> None:
    kept, again = hash_password("eight or more"), hash_password("eight or more")

    assert kept.startswith("scrypt$16384$8$5$")
    assert kept != again
    assert is_password("eight or more", kept)
    assert not is_password("Eight or more", kept)
    assert not is_password("", kept)


def test_two_keyboards_spell_one_password() -> None:
    assert is_password("passwo\u0308rter", hash_password("passw\u00f6rter"))


@pytest.mark.parametrize("password", ["", "seven..", "x" * 129])
def test_a_password_too_short_or_too_long_is_refused_without_repeating_it(password: str) -> None:
    with pytest.raises(UsageError, match="8 to 128 characters") as refused:
        hash_password(password)

    assert not password or password not in str(refused.value)
