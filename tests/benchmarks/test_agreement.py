"""Labels are counted per text: right or wrong, and swayed by company or not."""

import sys
from pathlib import Path

import pytest

from benchmarks.agreement import ask, compare, measure_agreement
from benchmarks.server import running
from benchmarks.workspace import Workspace
from tests.benchmarks.toy_peer import toy
from tidegate.errors import InferenceFailed

TEXTS = [f"sales {'rose' if number % 3 else 'fell'} by {number} percent" for number in range(50)]
ROWS = [(text, "up" if "rose" in text else "down") for text in TEXTS]


def test_each_text_counts_once_however_often_its_label_changes() -> None:
    alone = ["a", "b", "c", "d"]

    counted = compare(
        source=["a", "b", "x", "d"], alone=alone, lists=[["z", *alone[1:]], ["z", "z", *alone[2:]]], crowds=[alone]
    )

    assert counted.texts == 4
    assert counted.agreement == 0.75
    assert counted.depend_on_list == 2
    assert counted.depend_on_company == 0


def test_a_steady_server_agrees_and_is_swayed_by_nobody(tmp_path: Path) -> None:
    with running(toy(), Path(sys.executable), Workspace(tmp_path)) as server:
        counted = measure_agreement(server, ROWS)

    assert (counted.texts, counted.agreement) == (50, 1.0)
    assert (counted.depend_on_list, counted.depend_on_company) == (0, 0)


def test_a_server_that_lets_list_mates_sway_it_is_found_out(tmp_path: Path) -> None:
    with running(toy("swayed"), Path(sys.executable), Workspace(tmp_path)) as server:
        counted = measure_agreement(server, ROWS)

    assert counted.agreement == 1.0
    assert counted.depend_on_list == sum(label == "up" for _, label in ROWS)
    assert counted.depend_on_company == 0


def test_many_callers_get_their_answers_in_the_order_of_the_texts(tmp_path: Path) -> None:
    with running(toy(), Path(sys.executable), Workspace(tmp_path)) as server:
        assert ask(server, TEXTS, size=3, callers=8) == [label for _, label in ROWS]


def test_a_refused_request_is_an_error_and_no_label(tmp_path: Path) -> None:
    with (
        running(toy("refusing"), Path(sys.executable), Workspace(tmp_path)) as server,
        pytest.raises(InferenceFailed, match="answered 503"),
    ):
        ask(server, TEXTS, size=1, callers=4)
