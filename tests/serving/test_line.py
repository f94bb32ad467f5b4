"""Turns are shared among callers, and a caller's turns among its requests; every row is served once."""

import asyncio
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.batch import Entry, Ticket
from serving.caller import HIGH, LOW, NORMAL, Caller
from serving.line import Line
from tidegate.preprocess import Encoded


def ticket(caller: str, lengths: Sequence[int], priority: int = NORMAL) -> Ticket:
    """A request of rows of these lengths."""
    loop = asyncio.new_event_loop()
    try:
        made = Ticket([""] * len(lengths), 1e12, loop.create_future(), 0.0, Caller(caller, priority))
    finally:
        loop.close()
    made.rows = [Encoded({"ids": np.zeros(1)}, length, 1, 0, False) for length in lengths]
    return made


def queued(*tickets: Ticket) -> Line:
    line = Line()
    for each in tickets:
        line.add(each, 0, len(each.rows))
    return line


def anyone(_ticket: Ticket) -> bool:
    return True


def serve(line: Line, rows: int, batch: int = 1) -> list[Entry]:
    """Take rows from the front, a batch at a time."""
    served: list[Entry] = []
    while len(served) < rows and (front := line.front(64, anyone)):
        taken = front[:batch]
        line.take(taken, sum(entry.row.length for entry in taken))
        served += taken
    return served


def names(served: Sequence[Entry]) -> str:
    return "".join(entry.ticket.caller.key for entry in served)


def test_a_caller_with_many_requests_gets_no_more_turns_than_one_with_few() -> None:
    line = queued(*(ticket("a", [10]) for _ in range(50)), ticket("b", [10]), ticket("b", [10]))

    assert names(serve(line, 6)).count("b") == 2


def test_the_next_request_of_a_caller_does_not_wait_for_the_end_of_its_list() -> None:
    long, short = ticket("a", [10] * 100), ticket("a", [10])

    served = serve(queued(long, short), 4)

    assert short in [entry.ticket for entry in served]


def test_a_caller_who_comes_late_does_not_get_the_turns_that_it_did_not_ask_for() -> None:
    line = queued(*(ticket("a", [10]) for _ in range(100)))
    serve(line, 50)
    for _ in range(50):
        line.add(ticket("b", [10]), 0, 1)

    assert 9 <= names(serve(line, 20)).count("b") <= 11


def test_who_was_just_served_does_not_jump_the_line_by_coming_back() -> None:
    line = queued(ticket("a", [100]), *(ticket("b", [10]) for _ in range(30)))
    serve(line, 1)  # the long row of a
    line.add(ticket("a", [10]), 0, 1)

    assert "a" not in names(serve(line, 9))
    assert "a" in names(serve(line, 3))


def test_high_priority_gets_eight_turns_for_one_and_nobody_starves() -> None:
    line = queued(
        *(ticket("n", [10]) for _ in range(99)),
        *(ticket("h", [10], HIGH) for _ in range(99)),
        *(ticket("l", [10], LOW) for _ in range(99)),
    )

    first = names(serve(line, 73))

    assert (first.count("h"), first.count("n"), first.count("l")) == (64, 8, 1)


def test_rows_that_nobody_wants_are_dropped_and_counted_out() -> None:
    gone, stays = ticket("a", [10] * 5), ticket("a", [10])
    line = queued(gone, stays)

    front = line.front(10, lambda each: each is not gone)

    assert [entry.ticket for entry in front] == [stays]
    assert len(line) == 1


lists = st.lists(st.integers(1, 50), min_size=1, max_size=8)
asked = st.tuples(st.sampled_from("abc"), st.sampled_from([HIGH, NORMAL, LOW]), lists)


@given(requests=st.lists(asked, min_size=1, max_size=20), batch=st.integers(1, 8))
def test_every_row_is_served_once_and_a_request_in_order(
    requests: list[tuple[str, int, list[int]]], batch: int
) -> None:
    tickets = [ticket(caller, lengths, priority) for caller, priority, lengths in requests]
    line = queued(*tickets)

    served = serve(line, 10_000, batch)

    assert len(line) == 0
    for each in tickets:
        assert [entry.index for entry in served if entry.ticket is each] == list(range(len(each.rows)))
        assert each.waiting == 0


@given(
    lengths=st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=40), min_size=2, max_size=6),
)
def test_callers_who_all_wait_never_differ_by_more_than_two_rows_of_the_longest(lengths: list[list[int]]) -> None:
    line = queued(*(ticket(chr(97 + n), each) for n, each in enumerate(lengths)))
    tokens = dict.fromkeys(range(len(lengths)), 0)
    left = [len(each) for each in lengths]
    while all(left):
        [entry] = serve(line, 1)
        number = ord(entry.ticket.caller.key) - 97
        tokens[number] += entry.row.length
        left[number] -= 1
        if all(left):
            assert max(tokens.values()) - min(tokens.values()) <= 2 * 50
