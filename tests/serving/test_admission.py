"""What cannot be answered in time is refused at once; the books balance; a greedy caller locks nobody out."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.admission import Admission, cost_of
from serving.batch import Ticket
from serving.caller import ANYONE, HIGH, LOW, Caller
from tidegate.errors import Overloaded

A, B = Caller("a"), Caller("b")
TEXT = "x" * 80  # costs 100


def ticket(caller: Caller, *texts: str) -> Ticket:
    loop = asyncio.new_event_loop()
    try:
        return Ticket(texts, 1e12, loop.create_future(), 0.0, caller)
    finally:
        loop.close()


def measured(runs: int = 1, max_queued: int = 1_000) -> Admission:
    """A queue in which a text takes 10 ms."""
    admission = Admission(runs, max_queued)
    admission.observe([TEXT] * 10, 0.1, 1.0)
    return admission


def test_the_wait_is_what_stands_in_line_at_the_measured_cost() -> None:
    admission = measured()
    admission.add(ticket(A, *[TEXT] * 50))

    assert admission.drain_seconds == pytest.approx(0.5)
    assert admission.wait_seconds(A, [TEXT]) == pytest.approx(0.51)


def test_two_runners_halve_the_wait() -> None:
    admission = measured(runs=2)
    admission.add(ticket(A, *[TEXT] * 50))

    assert admission.drain_seconds == pytest.approx(0.25)


def test_a_caller_with_nothing_in_line_waits_for_one_turn_of_the_others_not_for_their_queue() -> None:
    admission = measured()
    admission.add(ticket(A, *[TEXT] * 50))

    assert admission.wait_seconds(B, [TEXT]) == pytest.approx(0.02)
    assert admission.wait_seconds(Caller("b", HIGH), [TEXT]) < 0.012
    assert admission.wait_seconds(Caller("b", LOW), [TEXT]) == pytest.approx(0.09)


def test_what_would_come_too_late_is_refused_with_the_time_that_the_line_takes() -> None:
    admission = measured()
    admission.add(ticket(A, *[TEXT] * 50))

    admission.check(A, [TEXT], 0.6, 50)
    admission.check(B, [TEXT], 0.1, 50)
    with pytest.raises(Overloaded, match=r"would take 0.51 s and is wanted within 0.40 s") as refusal:
        admission.check(A, [TEXT], 0.4, 50)
    assert refusal.value.retry_after_seconds == pytest.approx(0.5)


def test_while_others_wait_a_batch_costs_what_passes_from_one_to_the_next() -> None:
    admission = Admission(runs=2, max_queued=100)
    admission.add(ticket(A, *[TEXT] * 50))
    admission.observe([TEXT] * 10, 0.1, 1.0)  # nobody waited before it: its run, of which two go on at once
    assert admission.drain_seconds == pytest.approx(0.25)
    for step in range(200):
        admission.observe([TEXT] * 10, 0.1, 1.2 + 0.2 * step)
    assert admission.drain_seconds == pytest.approx(1.0, rel=0.01)


def test_what_is_often_late_is_predicted_with_slack_and_what_comes_in_time_without() -> None:
    admission = measured()
    admission.add(ticket(A, *[TEXT] * 50))
    for _ in range(300):
        admission.finished(0.5, 0.8)
    with pytest.raises(Overloaded):
        admission.check(A, [TEXT], 0.75, 50)
    for _ in range(3_000):
        admission.finished(0.5, 0.4)
    admission.check(A, [TEXT], 0.75, 50)


def test_before_anything_was_measured_nothing_is_refused_for_time() -> None:
    Admission(1, 10).check(ANYONE, [TEXT], 1e-6, 0)


def test_a_full_queue_still_has_room_for_those_who_hold_little_of_it() -> None:
    admission = measured(max_queued=100)
    admission.add(ticket(A, *[TEXT] * 100))

    with pytest.raises(Overloaded, match="100 texts are waiting and 100 may"):
        admission.check(A, [TEXT], 60, 100)
    admission.check(B, [TEXT] * 25, 60, 100)
    with pytest.raises(Overloaded, match="and 125 may"):
        admission.check(B, [TEXT] * 26, 60, 100)


asked = st.lists(st.text(max_size=30), min_size=1, max_size=5)


@given(requests=st.lists(st.tuples(st.sampled_from([A, B, ANYONE]), asked, st.booleans())))
def test_the_books_are_empty_when_everybody_is_answered_or_gone(
    requests: list[tuple[Caller, list[str], bool]],
) -> None:
    admission = measured()
    for caller, texts, leaves in requests:
        made = ticket(caller, *texts)
        admission.add(made)
        for index in range(len(texts) // 2 if leaves else len(texts)):
            made.answers[index] = [1.0]
            admission.answered(made, index)
        admission.remove(made)

    assert admission.texts == 0
    assert admission.drain_seconds == 0
    assert admission.wait_seconds(A, [TEXT]) == pytest.approx(cost_of([TEXT]) * 1e-4)
