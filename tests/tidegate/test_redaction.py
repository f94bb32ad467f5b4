"""What points at a person is blanked out, and what does not stays as it was."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import UsageError
from tidegate.redaction import Redactor, is_card, is_iban
from tidegate.settings import Settings

EVERYTHING = Redactor.of("all")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to Jane.Doe+news@mail.example.co.uk, please", "write to [email], please"),
        ("<a@b.io>", "<[email]>"),
        ("müller@straße.de", "[email]"),
        ("card 4111 1111 1111 1111 was charged", "card [card] was charged"),
        ("4111-1111-1111-1111.", "[card]."),
        ("amex 378282246310005", "amex [card]"),
        ("pay DE89 3704 0044 0532 0130 00 now", "pay [account] now"),
        ("GB82WEST12345698765432", "[account]"),
        ("fi2112345600000785", "[account]"),
        ("call +358 40 123 4567 today", "call [phone] today"),
        ("+1 (415) 555-0132", "[phone]"),
        ("(0)40 1234567? (040) 123 4567!", "(0)40 1234567? [phone]!"),
        ("040-123 4567", "[phone]"),
        ("0401234567", "[phone]"),
        ("415-555-0132", "[phone]"),
        ("both a@b.example and 4111111111111111", "both [email] and [card]"),
    ],
)
def test_what_points_at_a_person_is_blanked_out(text: str, left: str) -> None:
    assert EVERYTHING(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "Profit rose to EUR 5.2 mn from EUR 3.1 mn in 2009",
        "Net sales of 1,234,567,890 and 12.5 % of 2008-2009",
        "The order is worth USD 131 000 000 over 10 years",
        "Version 10.4.2000 of 12.05.2009 at 10:30",
        "ISIN FI0009000681, article 4111 1111 1111 1112",
        "follow us @tidegate, a@b, x @ y.example",
        "0.5 to 0.75, 007, 0 1 2 3 4",
        "",
        "IBAN GB82 WEST 1234 5698 7654 33",
    ],
)
def test_what_does_not_stays_as_it_was(text: str) -> None:
    assert EVERYTHING(text) == text


def test_only_what_is_named_is_blanked_out() -> None:
    text = "a@b.example, 4111111111111111, +358 40 123 4567"

    assert Redactor.of("email")(text) == "[email], 4111111111111111, +358 40 123 4567"
    assert Redactor.of("card, phone")(text) == "a@b.example, [card], [phone]"
    assert Redactor.of("")(text) is text


@pytest.mark.parametrize("kinds", ["emails", "all,names", "ALL"])
def test_an_unknown_kind_fails_at_start_by_name(kinds: str) -> None:
    with pytest.raises(UsageError, match="cannot be redacted; choose from email, account, card, phone, all"):
        Settings.load({"TIDEGATE_REDACT": kinds})


def check_digit(digits: str) -> str:
    return next(digits + last for last in "0123456789" if is_card(digits + last))


cards = st.text("0123456789", min_size=12, max_size=18).filter(lambda digits: digits.strip("0")).map(check_digit)


def iban(country: str, rest: str) -> str:
    return next(f"{country}{n:02d}{rest}" for n in range(2, 99) if is_iban(f"{country}{n:02d}{rest}"))


ibans = st.builds(
    iban,
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=11, max_size=30),
)
words = st.text("abc defgh.,;!?\n", max_size=40)


@given(words, st.one_of(cards, ibans), words)
def test_every_number_with_right_check_digits_is_blanked_out(before: str, number: str, after: str) -> None:
    left = EVERYTHING(f"{before} {number} {after}")

    assert number not in left
    assert "[" in left


@given(st.text(max_size=200))
def test_twice_is_once(text: str) -> None:
    once = EVERYTHING(text)

    assert EVERYTHING(once) == once


@given(st.text(st.characters(exclude_characters="@", exclude_categories=["Nd", "Nl", "No", "Cs"]), max_size=200))
def test_a_text_without_digits_and_at_signs_is_untouched(text: str) -> None:
    assert EVERYTHING(text) == text


@pytest.mark.parametrize(
    "unit", ["1", "1 ", "1-", "a", "a@", "a.", "a@a.", "+1 ", "(12)", "0 ", "DE89", "A1 ", "é", "a@a-", "-.", "01 "]
)
def test_hostile_texts_take_time_that_grows_with_their_length_alone(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    started = time.perf_counter()

    EVERYTHING(text)

    assert time.perf_counter() - started < 3


@settings(max_examples=50)
@given(st.text("0123456789 -+().@abcDE", max_size=300))
def test_what_is_left_holds_nothing_more_to_blank_out(text: str) -> None:
    left = EVERYTHING(text)

    assert Redactor.of("email")(left) == left
    assert Redactor.of("card")(left) == left
