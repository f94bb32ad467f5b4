import asyncio
from pathlib import Path

import pytest

from demos.client import MAX_COMMENT_CHARS, Client, explain
from tests.demos.gateways import House, build_house
from tidegate import errors
from tidegate.errors import InvalidInput, ModelNotFound, NotReady, Overloaded, PredictionNotFound, TidegateError

MODEL = "headline-sentiment"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return build_house(tmp_path)


def test_a_text_gets_the_gateways_answer(house: House) -> None:
    reply = asyncio.run(Client(house.gateway, MODEL).ask("profit rises on strong sales"))

    assert reply.answer.label == "positive"
    assert (reply.version, reply.variant) == (1, "fp32")
    assert reply.seconds > 0


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u2003"])
def test_a_blank_text_is_not_sent(house: House, text: str) -> None:
    with pytest.raises(InvalidInput, match="no text yet"):
        asyncio.run(Client(house.gateway, MODEL).ask(text))


@pytest.mark.parametrize("text", ["x" * 1_001, "half \ud83d", "\udfff profit rises"])
def test_a_text_that_the_api_would_refuse_is_refused(house: House, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"1,001 characters; 1,000 are the most|half a character"):
        asyncio.run(Client(house.gateway, MODEL).ask(text))


def test_a_model_that_went_away_is_not_found(house: House) -> None:
    with pytest.raises(ModelNotFound):
        asyncio.run(Client(house.gateway, "gone").ask("profit rises"))


def test_a_correction_reaches_the_relabel_queue(house: House) -> None:
    client = Client(house.gateway, MODEL)

    async def correct() -> str:
        reply = await client.ask("profit rises on strong sales")
        return await client.report(reply.id, "neutral", "  only expected  ")

    item = asyncio.run(correct())

    [row] = house.queue()
    assert (row.id, row.text, row.label, row.comment) == (
        item,
        "profit rises on strong sales",
        "neutral",
        "only expected",
    )


@pytest.mark.parametrize(
    ("prediction_id", "label", "comment", "error"),
    [
        ("nope", "neutral", "", PredictionNotFound),
        ("", "neutral", "", PredictionNotFound),
        ("nope", "", "", InvalidInput),
        ("nope", "neutral", "\ud83d", InvalidInput),
        ("nope", "neutral", "x" * (MAX_COMMENT_CHARS + 1), InvalidInput),
    ],
)
def test_a_correction_that_cannot_be_taken_is_refused(
    house: House, prediction_id: str, label: str, comment: str, error: type[TidegateError]
) -> None:
    with pytest.raises(error):
        asyncio.run(Client(house.gateway, MODEL).report(prediction_id, label, comment))

    assert house.queue() == []


def every_error(root: type[TidegateError]) -> list[type[TidegateError]]:
    return [root, *(error for child in root.__subclasses__() for error in every_error(child))]


@pytest.mark.parametrize("kind", every_error(TidegateError), ids=lambda kind: str(kind.__name__))
def test_every_error_has_words_for_visitors_and_only_faults_of_the_text_are_quoted(kind: type[TidegateError]) -> None:
    message = explain(kind("secret /srv/home TIDEGATE_X"))

    assert message[0].isupper()
    assert message.endswith(".")
    assert ("secret" in message.lower()) == issubclass(kind, errors.InvalidInput | errors.PayloadTooLarge)


def test_a_full_queue_says_when_to_come_back() -> None:
    assert "in 3 s" in explain(Overloaded("full", retry_after_seconds=2.6))


@pytest.mark.parametrize(
    ("text", "words"), [("", "no text yet"), ("profit", "single word"), ("profit " * 142 * 6, "are the most|explained")]
)
def test_a_text_whose_words_cannot_be_weighed_is_refused(house: House, text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        asyncio.run(Client(house.gateway, MODEL).weigh_words(text))

    assert house.gateway.repository.get(MODEL).compared == []


def test_a_long_text_is_explained_in_a_bounded_number_of_runs(house: House) -> None:
    explained = asyncio.run(Client(house.gateway, MODEL).weigh_words("profit rises on " * 60))

    assert explained.label == "positive"
    assert house.gateway.repository.get(MODEL).compared == [46]


@pytest.mark.parametrize("count", [0, 33])
def test_a_ranking_of_no_text_or_of_too_many_is_refused(house: House, count: int) -> None:
    with pytest.raises(InvalidInput, match="write 1 to 32"):
        asyncio.run(Client(house.gateway, MODEL).rank("profit", ["a"] * count))


def test_a_ranking_by_a_version_that_gives_labels_is_not_ready(house: House) -> None:
    with pytest.raises(NotReady):
        asyncio.run(Client(house.gateway, MODEL).rank("profit rises", ["shares fell"]))
