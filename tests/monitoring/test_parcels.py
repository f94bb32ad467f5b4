"""What records become on their way to the monitor process, and back."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from monitoring import parcels
from monitoring.features import Seen, derive
from tests.monitoring.conftest import House
from tidegate.records import Record

STRANGE = ["", "naïve 🌊 日本語", "\ud800 alone \udfff", "\x00 nul", "a" * 1_000_000, "é\ud83c" * 500_000]


def sent(records: list[Record]) -> list[Record]:
    return list(pickle.loads(pickle.dumps(parcels.seal(records))))


def test_all_that_is_derived_from_a_record_is_the_same_at_the_other_end(house: House) -> None:
    records = [*house.usual(20, "u"), *house.novel(20, "n")]
    here, there = derive(records, Seen()), derive(sent(records), Seen())

    assert {name: list(column) for name, column in here.numbers.items()} == {
        name: list(column) for name, column in there.numbers.items()
    }
    assert list(here.tokens) == list(there.tokens)
    assert np.array_equal(here.embedding, there.embedding)
    assert parcels.pack(sent(records)) == parcels.pack(records)


def test_an_embedding_arrives_as_it_was_seen_by_the_model(house: House) -> None:
    batch = np.arange(12, dtype=np.float32).reshape(3, 4)
    records = [replace(each, embedding=batch[row]) for row, each in enumerate(house.usual(3, "e"))]
    arrived = [each.embedding for each in sent(records)]
    assert np.array_equal(np.array(arrived), batch)
    assert [each.embedding for each in sent(house.usual(3, "e"))] == [None, None, None]


@pytest.mark.parametrize("text", STRANGE, ids=["empty", "unicode", "surrogates", "nul", "long", "long-surrogates"])
def test_any_text_arrives_as_it_was(house: House, text: str) -> None:
    assert sent([replace(house.usual(1, "s")[0], text=text)])[0].text == text


def test_records_of_models_with_different_arrays_share_a_parcel(house: House) -> None:
    words = house.usual(3, "w")  # of TF-IDF: indices and values
    ids = np.arange(5, dtype=np.int64)
    tokens = [replace(each, row=replace(each.row, arrays={"input_ids": ids, "attention_mask": ids})) for each in words]
    bare = [replace(each, row=replace(each.row, arrays={})) for each in words]
    mixed = [words[0], tokens[0], bare[0], tokens[1], words[1]]
    arrays = [each.row.arrays for each in sent(mixed)]

    assert [set(each) for each in arrays] == [
        {"indices", "values"}, {"input_ids"}, set(), {"input_ids"}, {"indices", "values"},
    ]  # fmt: skip
    assert np.array_equal(arrays[3]["input_ids"], ids)
    assert np.array_equal(arrays[4]["values"], words[1].row.arrays["values"])
    assert arrays[4]["values"].dtype == np.float32
    assert [each.id for each in sent(mixed)] == [each.id for each in mixed]
    assert [set(each.row.arrays) for each in sent(bare)] == [set()] * 3


def test_parcels_hold_every_record_once_and_in_order_and_little_each(house: House) -> None:
    records = house.usual(200, "d")
    records[70] = replace(records[70], text="x" * 1_000_000)
    parts = [list(part) for part in parcels.divide(records)]

    assert [record for part in parts for record in part] == records
    assert max(map(len, parts)) <= parcels.MOST_ROWS
    assert all(len(part) == 1 or sum(len(each.text) for each in part) <= parcels.MOST_CHARS for part in parts)
    assert list(parcels.divide([])) == []
