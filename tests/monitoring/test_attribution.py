"""Attribution tells another mix of classes from other inputs, and says which classes moved."""

from collections.abc import Sequence

import pytest

from monitoring import attribution, drift
from monitoring.features import Seen
from monitoring.reference import Reference, load_reference
from monitoring.summary import Summary
from tests import bundles
from tests.monitoring.conftest import House
from tidegate.records import Record

LIMIT = 3.0


@pytest.fixture
def reference(house: House) -> Reference:
    return load_reference(house.bundle)


def shift_of(reference: Reference, records: Sequence[Record]) -> attribution.Shift:
    window = reference.summarise(records, Seen())
    found = drift.score(window, reference, LIMIT)
    return attribution.kind_of_shift(reference, window, [f.name for f in found.features if f.drifted])


def test_another_mix_of_classes_alone_is_a_prior_shift(house: House, reference: Reference) -> None:
    negative = [record for record in house.usual(3_000, "a") if record.label == "negative"][:300]
    found = shift_of(reference, negative)

    assert found.verdict == "prior"
    assert found.explained is not None
    assert found.explained > 0.8


def test_a_class_with_few_rows_in_the_reference_cannot_be_weighted_up(house: House, reference: Reference) -> None:
    positive = [record for record in house.usual(3_000, "a") if record.label == "positive"][:300]
    found = shift_of(reference, positive)

    assert (found.verdict, found.explained) == ("unclear", None)
    assert "under 20 rows" in found.why


def test_other_inputs_are_a_covariate_shift(house: House, reference: Reference) -> None:
    longer = bundles.predictions(house.bundle, [f"{text} {text} {text}" for text in bundles.headlines(300, 9)])
    found = shift_of(reference, longer)

    assert found.verdict == "covariate"
    assert found.explained is None or found.explained < 0.3


def test_inputs_that_the_model_abstains_from_are_a_covariate_shift(house: House, reference: Reference) -> None:
    found = shift_of(reference, house.novel(300, "a"))

    assert found.verdict == "covariate"
    assert "the model abstains" in found.why


def test_usual_inputs_are_no_shift(house: House, reference: Reference) -> None:
    assert shift_of(reference, house.usual(300, "a")) == attribution.Shift(
        "unclear", None, "No feature is beyond its band."
    )


def test_the_class_that_moved_furthest_stands_first(house: House, reference: Reference) -> None:
    positive = [record for record in house.usual(3_000, "a") if record.label == "positive"][:300]
    first = attribution.class_shares(reference, reference.summarise(positive, Seen()))[0]

    assert (first.name, first.now, first.moved) == ("positive", 1.0, True)
    assert 0.0 < first.before < 1.0


def test_shares_of_usual_inputs_do_not_move(house: House, reference: Reference) -> None:
    shares = attribution.class_shares(reference, reference.summarise(house.usual(300, "a"), Seen()))

    assert not any(share.moved for share in shares)
    assert sum(share.now for share in shares) == pytest.approx(1.0)


def test_distributions_are_shares_over_named_bins(house: House, reference: Reference) -> None:
    found = {
        one.name: one
        for one in attribution.distributions(reference, reference.summarise(house.usual(200, "a"), Seen()))
    }

    assert {"chars", "label", "script", "unknown_rate"} <= found.keys()
    for one in found.values():
        assert len(one.bins) == len(one.reference) == len(one.window)
        assert sum(one.window) == pytest.approx(1.0)
        assert sum(one.reference) == pytest.approx(1.0)
    assert found["label"].bins[:3] == ("negative", "neutral", "positive")
    assert found["chars"].bins[0].startswith("below ")
    assert found["chars"].bins[-1].startswith("above ")
    assert found["truncated"].bins == ("below 0", "0", "above 0")


def test_a_window_without_rows_says_nothing(reference: Reference) -> None:
    empty = Summary.empty(reference.layout.width)

    assert attribution.class_shares(reference, empty) == []
    assert attribution.distributions(Reference.blank(), Summary.empty(0)) == []
