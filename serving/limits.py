"""How many texts, how long, and of what kind: checked once for every way in (HTTP, demos, later gRPC).

Before the tokenizer, so that a refusal costs nothing; a text's tokens are the bundle's business, which truncates
at its own `max_tokens` and says so in the record.
"""

from collections.abc import Sequence

from tidegate.errors import InvalidInput, PayloadTooLarge
from tidegate.settings import Settings


def check_count(count: int, settings: Settings) -> None:
    """Refuse a request of no texts or of too many.

    Raises:
        InvalidInput: none.
        PayloadTooLarge: more than `max_inputs`, or more than the queue could ever hold.
    """
    most = min(settings.max_inputs, settings.max_queued)
    if count == 0:
        raise InvalidInput("inputs is an empty list; send at least one text", pointer="/inputs")
    if count > most:
        raise PayloadTooLarge(f"inputs holds {count} texts and {most} may come in one request; send several requests")


def check_text(text: str, settings: Settings, pointer: str) -> None:
    """Refuse a text that no model can answer.

    Args:
        text: as the caller sent it.
        settings: for `max_text_chars`.
        pointer: JSON pointer (RFC 6901) of the text in the request.

    Raises:
        InvalidInput: blank, too long, or not Unicode text (lone surrogates).
    """
    if not text or text.isspace():
        raise InvalidInput("the text is empty; send at least one word", pointer=pointer)
    if len(text) > settings.max_text_chars:
        raise InvalidInput(
            f"the text has {len(text)} characters and {settings.max_text_chars} are the most; shorten it",
            pointer=pointer,
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"character {error.start} of the text is half of a surrogate pair; send whole Unicode characters",
            pointer=pointer,
        ) from None


def check_texts(texts: Sequence[str], settings: Settings) -> None:
    """Both checks, over a list."""
    check_count(len(texts), settings)
    for index, text in enumerate(texts):
        check_text(text, settings, f"/inputs/{index}")
