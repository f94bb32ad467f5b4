"""Readings of a real registry, and what two of them say of the time between them."""

import pytest
from prometheus_client import CollectorRegistry

from demos.dashboard.readings import COLUMNS, EVERY, points, quantile, read, rows
from serving.metrics import ServingMetrics


def test_an_interval_tells_rates_quantiles_batches_and_what_waits_by_model_and_of_all() -> None:
    registry = CollectorRegistry()
    metrics = ServingMetrics(registry)
    one, other = metrics.of("one"), metrics.of("other")
    one.count(200)
    before = read(registry.collect(), 100.0)
    for _ in range(20):
        one.count(200)
        one.request_seconds.observe(0.003)
    one.count(429)
    one.observe_batch(4, 60, 80, 0.01)
    other.queued.inc(3)
    now = read(registry.collect(), 102.0)
    told = points(before, now)

    assert told.keys() == {EVERY, "one"}, "the other did nothing"
    assert told[EVERY]["requests"] == {"one": 10.5, "other": 0.0}
    assert told["one"]["statuses"] == {"200": 10.0, "429": 0.5}
    assert told["one"]["refused"] == {"429": 0.5, "503": 0.0, "504": 0.0}
    assert told["one"]["batches"] == {"rows": 4.0}
    assert told["one"]["padding"] == {"padding": 25.0}
    assert told[EVERY]["waiting"] == {"texts queued": 3.0, "requests in flight": 0.0}
    p50 = told["one"]["latency"]["p50"]
    assert p50 is not None
    assert 2.0 < p50 < 4.0
    named = {str(row[0]): dict(zip(COLUMNS, row, strict=True)) for row in rows(before, now)}
    assert list(named) == ["all", "one", "other"]
    assert named["one"]["p99 lies within, ms"] == "2 to 4"
    assert named["other"]["p99, ms"] is None


def test_a_counter_that_fell_grew_by_nothing() -> None:
    registry, again = CollectorRegistry(), CollectorRegistry()
    ServingMetrics(registry).of("m").texts.inc(5)
    ServingMetrics(again).of("m").count(200)
    told = points(read(registry.collect(), 0.0), read(again.collect(), 1.0))

    assert told[EVERY]["requests"] == {"m": 1.0}
    assert all((value or 0.0) >= 0.0 for plot in told[EVERY].values() for value in plot.values())


@pytest.mark.parametrize(
    ("below", "told"),
    [
        ([], None),
        ([(1.0, 0.0), (float("inf"), 0.0)], None),
        ([(1.0, 10.0), (float("inf"), 10.0)], (0.5, 0.0, 1.0)),
        ([(1.0, 0.0), (2.0, 10.0), (float("inf"), 10.0)], (1.5, 1.0, 2.0)),
        ([(1.0, 1.0), (float("inf"), 10.0)], (1.0, 1.0, None)),
    ],
)
def test_a_quantile_lies_in_its_bucket(
    below: list[tuple[float, float]], told: tuple[float, float, float | None] | None
) -> None:
    found = quantile(below, 0.5)

    assert (found and (found.seconds, found.low, found.high)) == told
