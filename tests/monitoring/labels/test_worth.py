"""What labels tell: accuracy by the random stream and by all, weighed, of the newest version that has any."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.labels import answers, items
from monitoring.labels.answers import Label
from monitoring.labels.labelled import Check
from monitoring.labels.slots import Slots
from monitoring.labels.worth import together, worth_of
from tests.monitoring.conftest import House


def test_both_streams_together_hold_the_truth_and_are_narrower_than_one() -> None:
    rng = np.random.default_rng(0)
    covered, widths = [], []
    for _ in range(200):
        right = rng.random(4_000) < 0.8
        share = np.where(right, 0.02, 0.06)  # selection finds what is wrong
        draws = [Check(bool(each), None, 0.02) for each in right[rng.random(4_000) < 0.02]]
        taken = rng.random(4_000) < share
        chosen = [Check(bool(a), None, float(b)) for a, b in zip(right[taken], share[taken], strict=True)]
        both, alone = together(draws, chosen), together(draws, [])
        covered.append(both.low <= right.mean() <= both.high)
        widths.append((both.high - both.low) / (alone.high - alone.low))

    assert np.mean(covered) >= 0.9
    assert np.mean(widths) < 0.9


def test_either_stream_may_be_empty() -> None:
    labels = [Check(True, None, 0.5)] * 10
    assert together(labels, []).accuracy == together([], labels).accuracy == 1.0
    assert together([], []).rows == 0


def test_the_labels_of_a_model_are_counted_by_stream(house: House) -> None:
    settings = {"relabel_per_day": 400, "relabel_per_alert": 0}
    records = [replace(record, text=f"{record.text} {record.id}") for record in house.usual(120, "r")]
    house.writer(**settings).write(records)
    house.now += 3_600
    changed = house.settings.model_copy(update=settings)
    chooser = Slots(house.database, changed, lambda: house.now, np.random.default_rng(0))
    chooser.closed("sentiment")
    assert chooser.select() > 0
    with house.database.connect() as connection:
        assert worth_of(connection, "sentiment") is None
    queue = items.list_items(house.database)
    labels = [Label("line", item.id, "positive") for item in queue]
    answers.take_labels(house.database, labels, lambda _model, _version: ("negative", "positive"), house.now)
    with house.database.connect() as connection:
        worth = worth_of(connection, "sentiment")

    assert worth is not None
    assert worth["version"] == 1
    assert worth["random"]["labels"] + worth["saved"]["chosen"] == worth["weighted"]["labels"] == len(queue)
    assert worth["weighted"]["accuracy"] == pytest.approx(
        np.mean([item.predicted == "positive" for item in queue]), abs=0.35
    )
    assert "are needed" in worth["saved"]["why"]
