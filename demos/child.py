"""The demos' process itself: Gradio's pages at the other end of the gateway's pipes.

It is told requests as ASGI scopes, answers each in parts, and asks the gateway for predictions meanwhile. When the
gateway says so, or is gone, it ends, with the processes of pages that runs brought; signals that end a whole group of
processes do not reach it, since the gateway tells it when to end. It steps back for whoever answers callers of the API,
as the monitor process does. Before: `demos.link`; after: `demos.app`, around a `demos.remote.RemoteGateway`.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from contextlib import suppress
from functools import partial
from typing import IO, Any

from starlette.types import ASGIApp, Message

from demos.answers import refusal
from demos.frames import MOST_UNSENT, pack_reply, read_order, take_pipes
from demos.remote import Questions, RemoteCorrections, RemoteGateway, RemoteRepository, Say
from demos.told import Asked
from monitoring.child import step_back
from tidegate import logs
from tidegate.errors import TidegateError
from tidegate.logs import CURRENT, Current
from tidegate.settings import Settings

LAST_SECONDS = 2.0  # for an orderly end once the gateway is gone

_log = logging.getLogger(__name__)


class Exchange:
    """One request and its answer: what an ASGI app receives and sends.

    Parts that are sent in one turn of the event loop go over in one frame: each costs the gateway a turn of its own.
    """

    def __init__(self, say: Say, number: int, body: bytes) -> None:
        self._say = say
        self._number = number
        self._unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._begin: list[Any] = []  # status and headers
        self._parts: list[bytes] = []
        self._unsent = 0
        self._complete = False
        self._gathering = False
        self._left = asyncio.Event()
        self._room = asyncio.Event()

    async def receive(self) -> Message:
        """The body, whole, and then the visitor's leaving."""
        if self._unread:
            return self._unread.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Hand a part of the answer over, once the visitor has taken enough of those before."""
        if message["type"] == "http.response.start":
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
            self._begin = [message["status"], headers]
        else:
            while self._unsent > MOST_UNSENT and not self._left.is_set():
                self._room.clear()
                await self._room.wait()
            if self._left.is_set():
                return
            self._take(message.get("body", b""), complete=not message.get("more_body", False))
        if not self._gathering:
            self._gathering = True
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _take(self, content: bytes, *, complete: bool) -> None:
        self._unsent += len(content)
        self._parts.append(content)
        self._complete = complete

    def _hand_over(self) -> None:
        """Say what was gathered."""
        content, more = b"".join(self._parts), not self._complete
        if self._begin:
            self._say(["start", self._number, *self._begin, more], content)
        elif self._parts:
            self._say(["body", self._number, more], content)
        self._begin, self._parts, self._gathering = [], [], False

    def sent(self, size: int) -> None:
        """The visitor has taken so many bytes."""
        self._unsent -= size
        self._room.set()

    def leave(self) -> None:
        """The visitor has left."""
        self._left.set()
        self._room.set()

    async def run(self, app: ASGIApp, asked: Asked, questions: Questions) -> None:
        """Have it answered."""
        CURRENT.set(Current(asked.request_id))
        scope = asked.marked(partial(questions.ask, "charge", asked.visitor.id if asked.visitor else ""))
        try:
            await app(scope, self.receive, self.send)
        except TidegateError as error:
            await refusal(error, scope)(scope, self.receive, self.send)
        except Exception:
            _log.exception("a demo failed")
        finally:
            if not self._complete:
                self._hand_over()
                self._say(["over", self._number])


class Orders:
    """Carries out what the gateway says."""

    def __init__(self, app: ASGIApp, models: RemoteRepository, questions: Questions, say: Say) -> None:
        self._app = app
        self._models = models
        self._questions = questions
        self._say = say
        self._exchanges: dict[int, Exchange] = {}
        self._running: set[asyncio.Task[None]] = set()

    def take(self, order: tuple[Any, ...]) -> None:
        """Carry out one."""
        match order:
            case ("model", model, versions):
                self._models.learn(model, versions)
            case ("request", number, asked):
                self._begin(number, asked)
            case ("sent", number, size) if number in self._exchanges:
                self._exchanges[number].sent(size)
            case ("left", number) if number in self._exchanges:
                self._exchanges[number].leave()
            case ("answer", number, value, error):
                self._questions.answer(number, value, error)

    def _begin(self, number: int, asked: Asked) -> None:
        exchange = self._exchanges[number] = Exchange(self._say, number, asked.body)
        task = asyncio.create_task(exchange.run(self._app, asked, self._questions))
        self._running.add(task)

        def forget(_: object) -> None:
            self._running.discard(task)
            del self._exchanges[number]

        task.add_done_callback(forget)


async def serve(orders: IO[bytes], replies: IO[bytes], settings: Settings) -> None:
    """Be the demos' process until the gateway says that it is over, or is gone."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[tuple[Any, ...] | None] = asyncio.Queue()
    threading.Thread(target=_listen, args=(orders, loop, heard), daemon=True, name="orders").start()
    pipe, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, replies)

    def say(said: list[Any], content: bytes | memoryview = b"") -> None:
        pipe.write(pack_reply(said, content))

    from demos.app import Demos  # Gradio: seconds, in which the thread must already see when the gateway goes

    questions = Questions(say)
    models = RemoteRepository(questions)
    demos = Demos(RemoteGateway(models, RemoteCorrections(questions, loop), settings))
    requests = Orders(demos, models, questions, say)
    async with demos.open():
        say(["ready"])
        while (order := await heard.get()) is not None and order[0] != "end":
            requests.take(order)


def _listen(orders: IO[bytes], loop: asyncio.AbstractEventLoop, heard: "asyncio.Queue[tuple[Any, ...] | None]") -> None:
    """Read orders, in a thread; end the process once there are no more, whatever the event loop does."""
    order: tuple[Any, ...] | None = ("begin",)
    while order is not None:
        order = read_order(orders)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(heard.put_nowait, order)
    time.sleep(LAST_SECONDS)
    os._exit(1)


def main() -> None:
    """What `demos.process` starts."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    step_back()
    orders, replies = take_pipes()
    begin = read_order(orders)
    if begin is None:  # the gateway ended before it had begun
        return
    settings: Settings = begin[1]
    logs.to_stderr(settings.log_format, "demos")
    asyncio.run(serve(orders, replies, settings))
