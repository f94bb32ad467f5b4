from pathlib import Path

import pytest

from demos.entrance import COOKIE
from serving.caller import LOW
from tests.demos.gateways import House, build_house
from tests.demos.visits import MANY, MODEL, READ_FILE, TEXT, WEIGH, ask
from tidegate.errors import Overloaded


@pytest.fixture
def fresh(tmp_path: Path) -> House:
    return build_house(tmp_path)


def test_pasted_lines_are_answered_behind_everybody_else(fresh: House) -> None:
    shown, written, button = ask(fresh, MANY, [f"{TEXT}\n\nshares fell", "", None])["output"]["data"]

    assert "2 answered: 1 positive, 1 abstained" in shown
    assert written.splitlines()[1].startswith(f"1,{TEXT},positive,")
    assert button["visible"] is True
    assert [caller.priority for caller in fresh.gateway.repository.get(MODEL).callers] == [LOW]
    assert len(fresh.gateway.monitor.served) == 2


def test_a_file_is_read_its_column_chosen_and_its_bad_rows_named(fresh: House) -> None:
    content = f"id,headline\n1,{TEXT}\n2,\n3,=cmd\n4,a,b\n"

    lines, column, note = ask(fresh, READ_FILE, [content])["output"]["data"]
    shown, written, _ = ask(fresh, MANY, ["", content, "headline"], session="s2")["output"]["data"]
    nope = ask(fresh, MANY, ["", content, "nope"], session="s3")["output"]["data"]

    assert (lines["visible"], column["value"]) == (False, "headline")
    assert "4 rows; columns: id, headline" in note["value"]
    assert "row 3: no text" in shown
    assert "row 5: 3 cells where the first line has 2" in shown
    assert "4,'=cmd," in written
    assert "choose one of: id, headline" in nope[0]
    assert nope[2]["visible"] is False


def test_a_list_that_the_gateway_refuses_says_so_for_each_row(fresh: House) -> None:
    fresh.gateway.repository.get(MODEL).raises = Overloaded("4096 texts wait", retry_after_seconds=2)

    shown, written, _ = ask(fresh, MANY, ["a\nb", "", None])["output"]["data"]

    assert "2 without an answer" in shown
    assert "row 2: Many people are asking at once. Try again in 2 s." in shown
    assert written.count("Many people are asking") == 2


def test_a_list_through_a_link_counts_its_texts(fresh: House) -> None:
    share_id, _ = fresh.links.create(MODEL, 60, rate_per_minute=5)
    cookie = f"{COOKIE}={fresh.links.issue_pass(share_id)}"

    taken = ask(fresh, MANY, ["a\nb\nc", "", None], cookie=cookie)["output"]["data"][0]
    refused = ask(fresh, MANY, ["a\nb\nc\nd\ne", "", None], session="s2", cookie=cookie)["output"]["data"][0]
    larger = ask(fresh, MANY, ["\n".join("abcdefgh"), "", None], session="s3", cookie=cookie)["output"]["data"][0]

    assert "3 answered" in taken
    assert "takes 5 questions a minute, from all who have it together; ask again in" in refused
    assert "and this asks 8 at once; ask for less" in larger
    assert len(fresh.gateway.monitor.served) == 3


def test_a_list_of_the_operators_is_not_counted(fresh: House) -> None:
    assert "8 answered" in ask(fresh, MANY, ["\n".join("abcdefgh"), "", None])["output"]["data"][0]


def test_an_explanation_through_a_link_counts_its_words(fresh: House) -> None:
    share_id, _ = fresh.links.create(MODEL, 60, rate_per_minute=5)
    cookie = f"{COOKIE}={fresh.links.issue_pass(share_id)}"

    taken = ask(fresh, WEIGH, ["profit rises again"], cookie=cookie)["output"]["data"][0]
    refused = ask(fresh, WEIGH, ["profit rises"], session="s2", cookie=cookie)["output"]["data"][0]

    assert "For it:" in taken
    assert "takes 5 questions a minute" in refused
