"""Records of embeddings have no label and no scores: their texts are profiled and alerted on, and that is all."""

from sqlalchemy import select

from monitoring import relabel
from monitoring.features import INPUT, VOCABULARY, margin, record_features
from tests import bundles
from tests.monitoring.conftest import House
from tidegate.store import records, windows


def test_their_features_are_those_of_the_texts(house: House) -> None:
    house.bundle = bundles.embedder(house.bundles)
    frame = record_features(house.usual(20, "a"))

    assert tuple(frame.columns) == INPUT + VOCABULARY
    assert not frame.isna().to_numpy().any()
    assert margin(()) == 0.0


def test_usual_texts_are_no_drift_and_foreign_ones_are(house: House) -> None:
    house.bundle = bundles.embedder(house.bundles)
    writer = house.writer()
    writer.write(house.usual(100, "a"))
    assert writer.write(house.novel(100, "b")) == []
    [alert] = writer.write(house.novel(100, "c"))

    with house.database.connect() as connection:
        statuses = list(connection.scalars(select(windows.c.status).order_by(windows.c.id)))
        labels = set(connection.scalars(select(records.c.label)))
        kept = list(connection.scalars(select(records.c.scores)))
    assert statuses == ["ok", "drift", "drift"]
    assert alert.model == "embedder"
    assert labels == {""}
    assert all(scores == [] for scores in kept)
    assert alert.relabel_items_queued == 0
    assert relabel.list_items(house.database) == []
