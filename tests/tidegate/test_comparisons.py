"""Counts add up over processes, are overwritten in place, and never mix two rollouts; on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from tests import postgres
from tidegate import store
from tidegate.comparisons import LATENCY_BUCKETS, Accuracy, Comparison, ComparisonStore


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = store.open_database(f"sqlite:///{tmp_path / 'state.db'}")
        yield engine
        engine.dispose()
        return
    with postgres.server() as url:
        engine = store.open_database(url)
        yield engine
        engine.dispose()


def counts(requests: int, agreed: int) -> Comparison:
    made = Comparison()
    for number in range(requests):
        made.observe(0.01, failed=False)
        made.pair(agreed=number < agreed, shift=-0.1)
    return made


def test_processes_add_up_and_each_overwrites_its_own(database: Engine) -> None:
    one, other = ComparisonStore(database), ComparisonStore(database)
    one.write("m", 1.5, {2: counts(5, 5)})
    one.write("m", 1.5, {2: counts(10, 9)})
    other.write("m", 1.5, {1: counts(7, 0), 2: counts(10, 6)})
    other.write("m", 2.5, {2: counts(99, 99)})
    other.write("n", 1.5, {2: counts(99, 99)})

    found = ComparisonStore(database).read("m", 1.5)

    assert {version: (each.requests, each.agreed) for version, each in found.items()} == {1: (7, 0), 2: (20, 15)}
    document = found[2].document()
    assert (document["agreement"], document["confidence_shift"]) == (0.75, pytest.approx(-0.1))


def test_accuracy_is_that_of_predictions_with_feedback_by_version(database: Engine) -> None:
    common = {"model": "m", "variant": "v", "text": "t", "score": 1.0, "margin": 1.0, "abstained": False, "scores": {}}
    with database.begin() as connection:
        made = [(1, "a", 10.0), (1, "a", 10.0), (2, "b", 10.0), (2, "b", 1.0)]
        for number, (version, label, created) in enumerate(made):
            row = {"id": f"p{number}", "version": version, "label": label, "created_at": created}
            connection.execute(insert(store.records).values(**common, **row))
            said = {"prediction_id": f"p{number}", "model": "m", "label": "b" if number else "a", "created_at": 11.0}
            connection.execute(insert(store.feedback).values(**said))

    found = ComparisonStore(database).accuracy("m", 5.0)

    assert found == {1: Accuracy(1, 2), 2: Accuracy(1, 1)}


@given(st.lists(st.floats(0.0005, 20.0), min_size=1, max_size=200))
def test_a_quantile_is_known_to_a_quarter(seconds: list[float]) -> None:
    made = Comparison()
    for each in seconds:
        made.observe(each, failed=False)

    median = sorted(seconds)[(len(seconds) - 1) // 2]
    found = made.quantile(0.5)
    assert found is not None
    assert median <= found <= min(median * 1.26, LATENCY_BUCKETS[-1])


def test_without_requests_there_is_no_quantile_and_no_share() -> None:
    document = Comparison().document()

    assert document["latency_p50_seconds"] is None
    assert document["agreement"] is None
