"""A visitor of a demo page, as Gradio's JavaScript behaves: page with its configuration, then questions.

Before: `house` runs the server; after: `many` and `latency` count what visitors see. Files of the frontend are left
out: a browser fetches them once, and they are the same for every page. The client is aiohttp, whose parser is compiled:
visitors share the machine with the server that is measured, which those of a real one do not.
Source: Gradio 6.31's frontend (`run/predict` for an event past the queue).
"""

import json
import re
import time
import uuid
from typing import Any

import aiohttp

from tidegate.errors import InferenceFailed

_CONFIG = re.compile(r"window\.gradio_config = (\{.*?\});</script>", re.DOTALL)


def browsing(url: str) -> aiohttp.ClientSession:
    """A client of the server at `url`, to be entered; as patient as the slowest machine needs."""
    return aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=60.0))


class Visitor:
    """One session at one page; a reload is another visitor."""

    def __init__(self, client: aiohttp.ClientSession, model: str) -> None:
        self._client = client
        self._page = f"/demo/{model}"
        self._session = uuid.uuid4().hex[:11]
        self._event = self._trigger = 0

    async def open(self) -> None:
        """Fetch the page and find the button that asks.

        Raises:
            InferenceFailed: there is no such page.
        """
        async with self._client.get(f"{self._page}/") as answer:
            found = _CONFIG.search(await answer.text())
        if answer.status != 200 or found is None:
            raise InferenceFailed(f"{self._page}: {answer.status}, and no page of a demo")
        self._event, self._trigger = _asking(json.loads(found[1]))

    async def click(self, text: str) -> float:
        """Ask one text; seconds from the click to the answer.

        Raises:
            InferenceFailed: there was none.
        """
        started = time.perf_counter()
        question = {"data": [text], "event_data": None, "fn_index": self._event, "trigger_id": self._trigger}
        asked = question | {"session_hash": self._session}
        async with self._client.post(f"{self._page}/gradio_api/run/predict", json=asked) as answer:
            said = await answer.text()
        came = time.perf_counter()
        if answer.status != 200 or "tg-answer" not in json.loads(said)["data"][0]:
            raise InferenceFailed(f"{self._page}: {answer.status} {said[:300]}")
        return came - started


def _asking(config: dict[str, Any]) -> tuple[int, int]:
    """The event of the button that asks one text, and the number of the button."""
    [button] = (one["id"] for one in config["components"] if one["props"].get("value") == "Classify")
    [event] = (one["id"] for one in config["dependencies"] if [button, "click"] in one["targets"])
    return event, button
