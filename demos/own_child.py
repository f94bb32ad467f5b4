"""The process of a page that a run brought: loads its `demo.py`, and serves it on a Unix socket beside it.

Started by `demos.own_process` in an empty folder, isolated (`-I`), with an environment without the server's variables,
as a session of its own that is killed whole. Orders and answers come on stdin, questions go to stdout; both are moved
away before `demo.py` is loaded, and what it prints goes to stderr. It ends when the gateway does, however that ends.
Limits: it runs as the gateway's user, so it may do what that user may; the wall is against accidents and leaks.
"""

import contextlib
import importlib.util
import json
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import IO, Any

import gradio as gr
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from demos.frames import take_pipes
from demos.mounting import MAX_SESSIONS, MAX_WAITING, mounted
from demos.own_client import Client
from demos.wiring import MAX_AT_ONCE

ROOT, SCHEME = b"x-page-root", b"x-page-scheme"  # where the browser finds the page; nobody but the gateway sends them
SOCKET = "page.sock"
MOST_FILES = 1_024  # open at once
MOST_FILE_BYTES = 256 * 1024 * 1024  # of one that it writes: a full disk would stop the gateway, too
_NICER = 5  # a page that counts for a long time must not slow the models down
_FIRST_TO_GO = "800"  # of -1,000 to 1,000: where memory ends, the kernel ends the page and not the gateway


def main() -> None:
    """Serve the page until the gateway ends this process."""
    _limit()
    answers, questions = take_pipes()
    orders = json.loads(answers.readline())
    client = Client(questions, orders)
    threading.Thread(target=_listen, args=(client, answers), daemon=True, name="answers").start()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"../{SOCKET}")  # by this name it fits into the 107 bytes that a socket's name may have
    page = Rooted(mounted(_prepared(load(Path("../demo.py").resolve(), client)), client.model))
    listener.listen()
    questions.write(b'{"ask": "ready"}\n')
    questions.flush()
    config = uvicorn.Config(page, lifespan="on", log_config=None, proxy_headers=False, server_header=False)
    uvicorn.Server(config).run([listener])


class Rooted:
    """Tells Gradio where the browser finds the page, so that its addresses lead through the gateway."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] == "http":
            told = dict(scope["headers"])
            root = told.get(ROOT, b"").decode("latin-1")
            place = {"root_path": root, "path": root + scope["path"], "raw_path": root.encode() + scope["raw_path"]}
            scheme = told.get(SCHEME, b"http").decode("latin-1")
            # A Unix socket names no client, and pages that ask Gradio for its host expect one.
            scope = {**scope, **place, "scheme": scheme, "client": ("visitor", 0)}
        await self._app(scope, receive, send)


def load(file: Path, client: Any) -> gr.Blocks:
    """Run a `demo.py`, and return its page.

    Raises:
        SystemExit: it defines none.
        Exception: whatever it raises.
    """
    # A page that launches itself when it is loaded, as many that were written to be run do, is served all the same.
    setattr(gr.Blocks, "launch", lambda *_, **__: None)  # noqa: B010 (of a library, in this process alone)
    spec = importlib.util.spec_from_file_location("demo", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file.name} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    page = module.page(client) if callable(getattr(module, "page", None)) else getattr(module, "demo", None)
    if not isinstance(page, gr.Blocks):
        raise SystemExit("demo.py defines neither page(client), which returns gr.Blocks, nor demo, which is gr.Blocks")
    return page


def _prepared(page: gr.Blocks) -> gr.Blocks:
    page.state_session_capacity = MAX_SESSIONS
    page.queue(api_open=False, max_size=MAX_WAITING, default_concurrency_limit=MAX_AT_ONCE)
    # Pages with `gr.State` would hold a stream open by a route that demos keep closed; their state then goes by
    # number of sessions alone.
    setattr(gr.utils, "connect_heartbeat", lambda *_, **__: False)  # noqa: B010
    return page


def _listen(client: Client, answers: IO[bytes]) -> None:
    try:
        client.listen(answers)
    finally:
        os.killpg(0, signal.SIGKILL)  # the gateway is gone: this process and what it started go with it


def _limit() -> None:
    os.nice(_NICER)
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MOST_FILES),
        (resource.RLIMIT_FSIZE, MOST_FILE_BYTES),
    ):
        hard = resource.getrlimit(limit)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    with contextlib.suppress(OSError):  # not on Linux, or a sandbox that forbids it
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
