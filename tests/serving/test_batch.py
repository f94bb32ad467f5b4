"""A batch holds the oldest row and its like, within its bounds, whatever waits."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.batch import Entry, Ticket, cut, padded_tokens
from tidegate.preprocess import Encoded

RUN_TOKENS = 16.0


def entries(lengths: Sequence[int]) -> list[Entry]:
    """Entries of these lengths, in rank order."""
    loop = asyncio.new_event_loop()
    try:
        ticket = Ticket([], 0.0, loop.create_future(), 0.0)
    finally:
        loop.close()
    rows = [Encoded({"ids": np.zeros(length)}, length, 1, 0, False) for length in lengths]
    return [Entry(row, float(rank), rank, ticket) for rank, row in enumerate(rows)]


@given(
    lengths=st.lists(st.integers(1, 600), min_size=1, max_size=80),
    max_tokens=st.integers(1, 5_000),
    max_rows=st.integers(1, 64),
    run_tokens=st.floats(0, 200),
)
def test_every_batch_keeps_its_bounds_holds_the_first_row_and_pays(
    lengths: list[int], max_tokens: int, max_rows: int, run_tokens: float
) -> None:
    window = entries(lengths)

    batch = cut(window, max_tokens, max_rows, run_tokens)

    assert window[0] in batch
    assert len({id(entry) for entry in batch}) == len(batch) <= max_rows
    assert all(entry in window for entry in batch)
    assert len(batch) == 1 or padded_tokens(batch) <= max_tokens
    apart = sum(entry.row.length + run_tokens for entry in batch)
    assert padded_tokens(batch) + run_tokens <= apart + 1e-6  # never dearer than a run for each


@given(lengths=st.lists(st.integers(1, 600), min_size=1, max_size=80), max_rows=st.integers(1, 16))
def test_nobody_is_passed_over_for_a_row_that_is_less_alike(lengths: list[int], max_rows: int) -> None:
    window = entries(lengths)

    batch = cut(window, 10_000_000, max_rows, RUN_TOKENS)

    taken = [entry.row.length for entry in batch]
    left = [entry.row.length for entry in window if entry not in batch]
    assert not [length for length in left if min(taken) < length < max(taken)]


@pytest.mark.parametrize(
    ("lengths", "max_tokens", "max_rows", "expected"),
    [
        ([10, 100, 12, 90, 11, 95], 4_096, 3, [10, 11, 12]),
        ([100, 10, 12, 90, 11, 95], 4_096, 64, [90, 95, 100]),
        ([8, 9, 10], 20, 64, [8, 9]),
        ([500, 500], 400, 64, [500]),
        ([3, 10, 2], 4_096, 64, [2, 3, 10]),  # 15 tokens of padding are cheaper than one more run
        ([3, 15, 2], 4_096, 64, [2, 3]),
        ([3, 33], 4_096, 64, [3]),
        ([7, 7, 7], 4_096, 1, [7]),
        ([30, 21, 32], 4_096, 2, [30, 32]),  # the nearer neighbour first, on either side
        ([30, 28, 39], 4_096, 2, [28, 30]),
    ],
)
def test_which_rows_travel_together(lengths: list[int], max_tokens: int, max_rows: int, expected: list[int]) -> None:
    assert [entry.row.length for entry in cut(entries(lengths), max_tokens, max_rows, RUN_TOKENS)] == expected
