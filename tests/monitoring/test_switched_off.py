"""A server that monitors nothing answers all the same, and its state database keeps no prediction."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests import bundles
from tests.servers import running
from tidegate import store
from tidegate.bundle_store import BundleStore
from tidegate.settings import Settings


@pytest.mark.slow
@pytest.mark.parametrize(("monitoring", "kept"), [("true", 60), ("false", 0)])
def test_predictions_are_recorded_unless_monitoring_is_off(tmp_path: Path, monitoring: str, kept: int) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    with running(["serve"], tmp_path, TIDEGATE_MONITORING=monitoring) as server, server.client() as client:
        answer = client.post("/models/sentiment/predict", json={"inputs": bundles.headlines(60, seed=1)})
        assert answer.status_code == 200
        assert client.get("/models/sentiment/drift").status_code == 200

    database = store.open_database(Settings(home=tmp_path).state_url)
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(store.records)) == kept
    database.dispose()
