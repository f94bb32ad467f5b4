"""What a page may ask: the shape of a question of Gradio's frontend, with this page's own events and choices.

Before: `demos.app` has read the body; after: Gradio's queue. A page that was built from another version names
components that this one has not, and is told so.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from demos.own_page import QUESTION
from serving.body import json_object
from tidegate.errors import InvalidInput

_MAX_SESSION_CHARS = 64


def check_question(document: Any, events: Mapping[int, Sequence[frozenset[str] | None]], components: Set[int]) -> None:
    """Refuse what Gradio answers with an error of its own, runs although no page of ours sends it, or logs.

    Args:
        document: what came.
        events: number of an event to its inputs: the values of one that is a choice, None for any text.
        components: the numbers that this page may name.

    Raises:
        InvalidInput: not an event of this page, or not in its shape, or of a page from before the model changed.
    """
    question = json_object(document, QUESTION)
    session = question.get("session_hash")
    if not isinstance(session, str) or not 0 < len(session) <= _MAX_SESSION_CHARS:
        raise InvalidInput("session_hash is no name of a session; open the page anew", pointer="/session_hash")
    event, trigger = question.get("fn_index"), question.get("trigger_id")
    if trigger is not None and type(trigger) is not int:
        raise InvalidInput("trigger_id is no number; open the page anew", pointer="/trigger_id")
    if trigger is not None and trigger not in components:
        raise InvalidInput("this page is older than the model that answers now; reload it", pointer="/trigger_id")
    if type(event) is not int or event not in events:
        raise InvalidInput("fn_index is no event of this page; open the page anew", pointer="/fn_index")
    data = question.get("data")
    inputs = events[event]
    if not isinstance(data, list) or len(data) != len(inputs) or not all(isinstance(x, str | None) for x in data):
        raise InvalidInput(f"data is no list of {len(inputs)} texts; open the page anew", pointer="/data")
    pairs = zip(data, inputs, strict=True)
    if any(value is not None and known is not None and value not in known for value, known in pairs):
        raise InvalidInput("data holds what is no choice of this page; open the page anew", pointer="/data")
