"""The state database opens, survives a second opener, and refuses what another version wrote."""

from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from tests import postgres
from tidegate import store
from tidegate.errors import TidegateError


def test_opening_twice_keeps_what_is_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    share = {"id": "s", "model": "m", "created_at": 1.0, "expires_at": 2.0}
    with store.open_database(url).begin() as connection:
        connection.execute(insert(store.shares).values(**share))

    with store.open_database(url).connect() as connection:
        assert connection.scalar(select(store.shares.c.id)) == "s"


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    database = store.open_database(url)
    with database.begin() as writing:
        writing.execute(text("INSERT INTO shares (id, model, created_at, expires_at) VALUES ('s', 'm', 1, 2)"))
        with store.open_database(url).connect() as reading:
            assert reading.scalar(select(store.shares.c.id)) is None


def test_a_database_of_another_schema_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    with store.open_database(url).begin() as connection:
        connection.execute(update(store.schema).values(version=99))

    with pytest.raises(TidegateError, match="schema 99"):
        store.open_database(url)


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all/state.db", "nonsense", "mysql+nodriver://x"])
def test_a_database_that_cannot_be_opened_is_one_clear_error(url: str) -> None:
    with pytest.raises(TidegateError, match="cannot open the state database"):
        store.open_database(url)


@pytest.mark.slow
def test_postgresql_holds_the_same_schema() -> None:
    with postgres.server() as url:
        database = store.open_database(url)
        with database.begin() as connection:
            connection.execute(
                insert(store.feedback).values(prediction_id="p", model="m", label="naïve \U0001f600", created_at=1.5)
            )
        again = store.open_database(url)
        with again.connect() as connection:
            row = connection.execute(select(store.feedback)).one()
        for engine in (database, again):
            engine.dispose()

    assert (row.label, row.comment, row.created_at) == ("naïve \U0001f600", "", 1.5)
