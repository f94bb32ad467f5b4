"""Records of embeddings have no label and no scores: their texts are profiled and alerted on, and that is all."""

from sqlalchemy import select

from monitoring.features import INPUT, SCRIPT, VOCABULARY, Seen, derive
from monitoring.labels import items
from tests import bundles
from tests.monitoring.conftest import House
from tidegate.store import records, windows


def test_their_features_are_those_of_the_texts_and_the_vectors(house: House) -> None:
    house.bundle = bundles.embedder(house.bundles)
    rows = derive(house.usual(20, "a"), Seen())

    assert tuple(rows.numbers) == INPUT + VOCABULARY
    assert tuple(rows.classes) == (SCRIPT,)
    assert rows.scores.shape == (20, 0)


def test_usual_texts_are_no_drift_and_foreign_ones_are(house: House) -> None:
    house.bundle = bundles.embedder(house.bundles)
    writer = house.writer()
    writer.write(house.usual(100, "a"))
    [alert] = writer.write(house.novel(100, "b"))
    assert writer.write(house.novel(100, "c")) == []

    with house.database.connect() as connection:
        statuses = list(connection.scalars(select(windows.c.status).order_by(windows.c.id)))
        labels = set(connection.scalars(select(records.c.label)))
        kept = list(connection.scalars(select(records.c.scores)))
    assert statuses == ["ok", "drift", "drift"]
    assert (alert.model, alert.kind, alert.event) == ("embedder", "drift", "opened")
    assert labels == {""}
    assert all(scores == [] for scores in kept)
    assert items.list_items(house.database) == []
