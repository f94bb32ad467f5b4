"""The setting that divides the relabel queue's budget takes shares that add up to one, and says what is wrong."""

import pytest

from tidegate.errors import UsageError
from tidegate.label_slots import DEFAULT_SHARES, parse_shares
from tidegate.settings import Settings


def test_the_default_divides_the_whole_budget() -> None:
    assert sum(parse_shares(DEFAULT_SHARES).values()) == pytest.approx(1.0)


def test_a_slot_that_is_not_named_has_no_share() -> None:
    assert parse_shares(" random = 0.25, margin=0.75 ,") == {
        "random": 0.25,
        "margin": 0.75,
        "diverse": 0.0,
        "witness": 0.0,
        "reported": 0.0,
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("entropy=1", "'entropy' is no slot"),
        ("margin=0.5,margin=0.5", "named twice"),
        ("random=0.2,margin=0.7", "add up to 0.9"),
        ("margin=-1,random=2", "'-1'"),
        ("margin=nan", "'nan'"),
        ("margin", "write a number"),
        ("", "add up to 0"),
    ],
)
def test_what_is_wrong_is_named_when_settings_are_loaded(value: str, words: str) -> None:
    with pytest.raises(UsageError, match="RELABEL_SHARES") as refused:
        Settings.load({"TIDEGATE_RELABEL_SHARES": value})
    assert words in str(refused.value)
