"""What a visitor of a demo page does in tests: reads the page's configuration, asks as its JavaScript does."""

import re
from typing import Any

import orjson

from demos.paths import RUN, STREAM
from tests.demos.asgi import request, started
from tests.demos.gateways import House
from tests.demos.hostile import DEMO

MODEL = "headline-sentiment"
TEXT = "profit rises on strong sales"
# Numbers of the page's events, in the order in which it connects them.
READ_FILE, MANY, VERSIONS, PROGRAMS, ANSWER, SAMPLE, REPORT, WEIGH = 0, 1, 2, 3, 4, 6, 8, 10
QUEUED = (MANY, WEIGH)  # the others are answered at once
JOIN = "/gradio_api/queue/join"


def config(page: str) -> dict[str, Any]:
    """What the page was built from."""
    found = re.search(r"window\.gradio_config = (\{.*?\});</script>", page, re.DOTALL)
    assert found
    parsed: dict[str, Any] = orjson.loads(found[1])
    return parsed


def ask(house: House, fn_index: int, data: list[Any], session: str = "s1", cookie: str | None = None) -> dict[str, Any]:
    """Run an event of the page as its JavaScript does, and read the answer."""
    body = orjson.dumps({"data": data, "fn_index": fn_index, "session_hash": session, "trigger_id": None})
    page = request(f"{DEMO}/", cookie=cookie)
    asked = request(DEMO + (JOIN if fn_index in QUEUED else RUN), "POST", body=body, cookie=cookie)
    stream = request(f"{DEMO}{STREAM}?session_hash={session}", cookie=cookie)
    with started(house.app) as live:
        _, joined, *streams = live.send(page, asked, *([stream] if fn_index in QUEUED else []), to=house.guard)
    assert joined.status == 200, joined.body
    if not streams:
        return {"output": orjson.loads(joined.body), "success": True}
    events = [orjson.loads(line[6:]) for line in streams[0].body.decode().split("\n\n") if line.startswith("data: ")]
    done: dict[str, Any] = next(event for event in events if event["msg"] == "process_completed")
    return done


def said(markup: str) -> str:
    """The label that an answer gives."""
    found = re.search(r'class="tg-answer">([^<]*)', markup)
    assert found
    return found[1].strip()
