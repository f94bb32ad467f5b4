"""What every section of a demo page uses: HTML through the sanitizer, events with limits, plain words for failures.

Before: `demos.page` and its sections; after: Gradio. Every function is private to the page: no public API name.
"""

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import gradio as gr

from demos.client import explain
from demos.meter import CHARGE_KEY
from serving.disconnect import CallerLeft, WhileConnected
from tidegate.errors import InferenceFailed, TidegateError

MAX_AT_ONCE = 32  # questions in flight of a page that a run brought; the batcher behind answers them together
MAX_LONG_AT_ONCE = 4  # lists and explanations in flight per demo: each is worth many questions

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")
Update = Any  # of one output: a value, or what `gr.update` makes; Gradio takes no tuple of one
Updates = tuple[Update, ...]
Event = Callable[..., Awaitable[Update]] | Callable[..., AsyncIterator[Updates]]


def html(content: str, *, visible: bool = True, elem_classes: str | None = None) -> gr.Markdown:
    """HTML through the Markdown sanitizer; `$` is money here, not mathematics."""
    return gr.Markdown(content, visible=visible, elem_classes=elem_classes, latex_delimiters=[], padding=False)


def on(
    triggers: list[Any],
    fn: Event,
    inputs: list[Any],
    outputs: list[Any],
    progress_on: gr.Markdown,
    *,
    long: bool = False,
) -> None:
    """Connect an event. The long ones of a page wait in its queue and share one concurrency limit.

    The others are answered at once: past the queue a click costs the gateway one request, not two and a stream, and the
    page's process half. What bounds them is `Page.asking` of `demos.pages`, and the batcher behind.
    """
    gr.on(
        triggers,
        fn,
        inputs,
        outputs,
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=progress_on,
        queue=long,
        concurrency_id="long",
        concurrency_limit=MAX_LONG_AT_ONCE,
    )


def explained(error: Exception) -> str:
    """Plain words for the visitor; a failure that nobody foresaw goes to the log, without the text."""
    if isinstance(error, CallerLeft):
        return ""
    if isinstance(error, TidegateError):
        return explain(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
    _log.error("a demo event failed with %s at %s", type(error).__name__, where)
    return explain(InferenceFailed("unforeseen"))


async def while_awaited(request: gr.Request, answer: Awaitable[Answer]) -> Answer:
    """The answer of an event that is answered at once; given up when the visitor leaves.

    Raises:
        CallerLeft: nobody reads what is answered now.
    """
    if request.request is None:
        return await answer
    async with WhileConnected(request.request.receive):
        return await answer


async def charge(request: gr.Request, questions: int) -> None:
    """Count what an event asks beyond the one question that it came as, where a share visitor sent it.

    Raises:
        Overloaded: what `ShareMeter.use` says.
    """
    scope = request.request.scope if request.request is not None else {}
    if questions > 0 and CHARGE_KEY in scope:
        await scope[CHARGE_KEY](questions)
