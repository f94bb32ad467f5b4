"""Pages that runs brought, in real processes: what they are told, what they may do, and what becomes of bad ones."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from demos import own_process
from demos.own_process import OwnProcess, environment
from tidegate.errors import NotReady

pytestmark = pytest.mark.slow

ORDERS = {"model": "toy", "labels": ["yes", "no"], "samples": ["one"], "most_bytes": 100_000}
PAGE = "import gradio as gr\ndef page(client):\n    {}\n    return gr.Blocks(title=str(said))\n"


async def answer(question: Mapping[str, Any]) -> Mapping[str, Any]:
    """Repeats what was asked."""
    return {"answer": [dict(question)]}


@asynccontextmanager
async def started(source: str, start_seconds: float = 60.0) -> AsyncIterator[OwnProcess]:
    """A page's process, until the block ends."""
    process = OwnProcess("toy/1", source.encode(), ORDERS, answer, start_seconds)
    running = asyncio.create_task(process.run())
    try:
        yield process
    finally:
        running.cancel()
        await asyncio.wait([running])


async def opened(process: OwnProcess) -> str:
    """The HTML of the page, as soon as it is there."""
    transport = None
    while transport is None:
        try:
            transport = await process.ready()
        except NotReady as error:
            if "is starting" not in str(error):  # which on a slow machine takes longer
                raise
    answer = await transport.handle_async_request(httpx.Request("GET", "http://page/toy/"))
    return (await answer.aread()).decode()


async def fault_of(source: str, start_seconds: float = 60.0) -> str:
    """What is said of a page that is down."""
    async with started(source, start_seconds) as process:
        while True:
            with pytest.raises(NotReady) as refused:
                await process.ready()
            if "is starting" not in str(refused.value):  # on a slow machine
                return str(refused.value)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    async with asyncio.timeout(30):
        while is_alive(pid):
            await asyncio.sleep(0.05)


def test_a_page_knows_where_programs_are_and_nothing_else_of_the_servers_environment() -> None:
    known = environment({"PATH": "/bin", "LANG": "C", "TIDEGATE_API_KEY": "x", "AWS_SECRET_ACCESS_KEY": "y"}, "/f")

    assert {name: known[name] for name in ("PATH", "LANG", "HOME", "TMPDIR")} == {
        "PATH": "/bin",
        "LANG": "C",
        "HOME": "/f",
        "TMPDIR": "/f",
    }
    assert not {"x", "y"} & set(known.values())
    assert known["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_what_a_page_finds_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_API_KEY", "the operator's key")
    look = (
        "import os, sys, resource; said = '|'.join(('environment ' + ','.join(sorted(os.environ)), "
        "'folder ' + str(os.listdir('.')), 'stdin ' + sys.stdin.read(), "
        "'core %s' % resource.getrlimit(resource.RLIMIT_CORE)[1], 'nice %s' % os.nice(0), "
        "'labels ' + ','.join(client.labels), 'alone %s' % (os.getsid(0) == os.getpid())))"
    )

    async def run() -> str:
        async with started(PAGE.format(look)) as process:
            return await opened(process)

    html = asyncio.run(run())

    assert "TIDEGATE" not in html
    assert "operator" not in html
    for found in ("folder []", "stdin |", "core 0", "nice 5", "labels yes,no", "alone True"):
        assert found in html, found


def test_a_page_asks_while_it_is_built_and_is_answered() -> None:
    async def run() -> str:
        async with started(PAGE.format("said = client.predict('ahoy')[0]['texts']")) as process:
            return await opened(process)

    assert "ahoy" in asyncio.run(run())


def test_a_logged_app_that_launches_itself_is_served_all_the_same() -> None:
    source = "import gradio as gr\nwith gr.Blocks(title='logged app') as demo:\n    gr.Markdown('x')\ndemo.launch()\n"

    async def run() -> str:
        async with started(source) as process:
            return await opened(process)

    assert "logged app" in asyncio.run(run())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ValueError('the weights are not there')", "exit code 1: ValueError: the weights are not there"),
        ("import sys; print('x' * 10_000_000); sys.exit(3)", "exit code 3"),
        ("x = 1", "defines neither page"),
        ("open('much', 'wb').truncate(10 ** 12)", "File too large"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("def page(client):\n    client._questions.write(b'nonsense\\n'); client._questions.flush()", "no page asks"),
        (
            "def page(client):\n    client._questions.write(b'1' * 1_000_000); client._questions.flush()",
            "no page asks",
        ),
    ],
)
def test_a_page_that_misbehaves_at_its_start_is_down_and_says_why(source: str, said: str) -> None:
    fault = asyncio.run(fault_of(source))

    assert said in fault
    assert "started again in" in fault
    assert "without --trust-demo" in fault


def test_a_page_that_never_starts_is_killed() -> None:
    assert "did not start within 2 s" in asyncio.run(fault_of("import time; time.sleep(3600)", start_seconds=2))


def test_a_page_that_dies_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_process, "FIRST_WAIT_SECONDS", 0.1)

    async def run() -> tuple[int, int]:
        async with started(PAGE.format("import os; said = 'pid=%d.' % os.getpid()")) as process:
            first = pid_in(await opened(process))
            os.kill(first, signal.SIGKILL)
            await gone(first)
            while True:
                try:
                    return first, pid_in(await opened(process))
                except (NotReady, httpx.TransportError):
                    await asyncio.sleep(0.05)

    first, second = asyncio.run(run())

    assert first != second


def test_what_a_page_started_ends_with_it(tmp_path: Path) -> None:
    file = str(tmp_path / "pid")
    start = "import subprocess as s, pathlib; said = s.Popen(['sleep', '3600']).pid; "
    start += f"pathlib.Path({file!r}).write_text(str(said))"

    async def run() -> int:
        async with started(PAGE.format(start)) as process:
            await opened(process)
            pid = int((tmp_path / "pid").read_text())
            assert is_alive(pid)
        await gone(pid)
        return pid

    assert not is_alive(asyncio.run(run()))


def pid_in(html: str) -> int:
    return int(html.partition("pid=")[2].partition(".")[0])
