"""The link: one demos' process, as the gateway that started it sees it, and the pipes between the two.

A request goes over whole, its answer comes back in parts: after `frames.MOST_UNSENT` bytes the process waits until some
are on their way to the visitor, so that a slow one fills no memory. Beside them go the process's own questions, and
what `demos.told` knows of the models, in the order in which it happened. Before: `demos.process`; after: `demos.child`.
Limits: `MOST_REQUESTS` at once, `MOST_QUESTIONS` answered at once; a process that does not begin to answer a request
within `FIRST_SECONDS` hangs, and is killed.
"""

import asyncio
import itertools
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from demos.frames import TOLD_UNSENT, pack_order, read_reply
from demos.front import wanted
from demos.gateway import Gateway
from demos.granted import Granted
from demos.meter import CHARGE_KEY
from demos.told import Asked, Teller, told_settings
from serving.auth import SHARE_KEY
from tidegate.errors import InferenceFailed, NotReady, Overloaded
from tidegate.logs import CURRENT

MOST_REQUESTS = 1_000
MOST_QUESTIONS = 128
FIRST_SECONDS = 60.0  # a page that is built on a busy machine takes seconds, one that a run brought up to 20
STRANGE = "it said what no demos say"
RESTARTING = "the demos are starting again; ask again in a moment"


class Ended(NotReady):
    """The process ended before it began to answer."""


class Link:
    """One process of demos.

    Args:
        process: with both its pipes.
        gateway: that answers its questions.
    """

    def __init__(self, process: Process, gateway: Gateway) -> None:
        self._process = process
        self._teller = Teller(gateway.repository)
        self._granted = Granted(gateway)
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Queue[list[Any] | None]] = {}  # None where the process has ended
        self._questions: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(MOST_QUESTIONS)
        self._send("start", told_settings(gateway.settings))

    async def attend(self, on_ready: Callable[[], None]) -> str:
        """Take what the process says until there is no more; says what was wrong with it, if anything was."""
        if self._process.stdout is None:
            return "it has no pipes"
        try:
            while True:
                said, content = await read_reply(self._process.stdout)
                if said == ["ready"]:
                    on_ready()
                elif not self._hear(said, content):
                    return STRANGE
        except EOFError:
            return ""
        except ValueError:
            return STRANGE

    def close(self) -> None:
        """The process has ended, or is about to: nobody waits for it any more."""
        for answer in self._answers.values():
            answer.put_nowait(None)
        for question in self._questions.values():
            question.cancel()

    def end(self) -> None:
        """Have the process end by itself."""
        self._send("end")

    async def relay(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Have a request answered; `receive` is asked for the visitor's leaving alone.

        Raises:
            Ended: the process ended before it began to.
            Overloaded: it answers as many as it may.
            InferenceFailed: it failed at this one.
        """
        if len(self._answers) >= MOST_REQUESTS:
            raise Overloaded("the demos answer as many as they can; ask again in a moment", retry_after_seconds=1.0)
        number = next(self._numbers)
        self._tell(scope)
        parts = self._answers[number] = asyncio.Queue()
        current = CURRENT.get()
        self._send("request", number, Asked.of(scope, body, current.request_id if current else ""))
        leaving = asyncio.create_task(self._attend_visitor(number, receive))
        try:
            await self._pass_on(number, parts, send)
        except BaseException:
            self._send("left", number)
            raise
        finally:
            leaving.cancel()
            del self._answers[number]

    def _hear(self, said: Any, content: bytes) -> bool:
        """Take one thing that the process says; False where it means nothing."""
        match said:
            case ["start" | "body" | "over" as kind, int(number), *rest]:
                if number in self._answers:  # else its visitor has left
                    self._answers[number].put_nowait([kind, *rest, content])
            case ["ask", int(number), str(what), [*arguments]]:
                self._take(number, what, arguments)
            case ["give up", int(number)]:
                if number in self._questions:
                    self._questions[number].cancel()
            case _:
                return False
        return True

    def _tell(self, scope: Scope) -> None:
        """Say what the request must find."""
        for model, versions in self._teller.news(wanted(scope).model):
            self._send("model", model, versions)
        if CHARGE_KEY in scope:
            self._granted.expect(scope[SHARE_KEY].id, scope[CHARGE_KEY])

    async def _attend_visitor(self, number: int, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._send("left", number)

    async def _pass_on(self, number: int, parts: "asyncio.Queue[list[Any] | None]", send: Send) -> None:
        started, unsaid = False, 0
        while True:
            part = await (parts.get() if started else self._first(parts))
            match part:
                case ["start", int(status), [*headers], bool(more), content]:
                    started = True
                    await send(_start(status, headers))
                case ["body", bool(more), content]:
                    pass
                case None if not started:
                    raise Ended(RESTARTING)
                case ["over", _] if not started:
                    raise InferenceFailed("the demo failed; the server's log has the trace")
                case _:
                    return
            if content or not more:
                await send({"type": "http.response.body", "body": content, "more_body": more})
            if not more:
                return
            unsaid += len(content)
            if unsaid >= TOLD_UNSENT:
                self._send("sent", number, unsaid)
                unsaid = 0

    async def _first(self, parts: "asyncio.Queue[list[Any] | None]") -> list[Any] | None:
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                return await parts.get()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            raise Ended(RESTARTING) from None

    def _take(self, number: int, what: str, arguments: list[Any]) -> None:
        task = self._questions[number] = asyncio.create_task(self._reply(number, what, arguments))
        task.add_done_callback(lambda _: self._questions.pop(number))

    async def _reply(self, number: int, what: str, arguments: list[Any]) -> None:
        async with self._room:
            value, error = await self._granted.answer(what, arguments)
        self._send("answer", number, value, error)

    def _send(self, *order: Any) -> None:
        """Send a frame; nothing where the process is gone."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(pack_order(order))


def _start(status: int, headers: list[Any]) -> Message:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": raw}
