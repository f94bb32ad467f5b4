"""The tunnel up to its seam: no server on the internet is asked; a local program that says so stands for frpc."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests import bundles
from tests.demos.hostile import CLOSED, DEMO, DISGUISED, STRAY
from tests.servers import TIDEGATE, environment, running, tidegate
from tidegate.bundle_store import BundleStore
from tidegate.cli.tunnel import public_address

pytestmark = pytest.mark.slow

MODEL = "headline-sentiment"
# What frpc says once the server has given it an address; this one gives that of the port itself.
FAKE_FRPC = """#!/bin/sh
# A local fake for tests: opens no tunnel.
while [ "$#" -gt 0 ]; do
  [ "$1" = "-l" ] && port="$2"
  [ "$1" = "--server_addr" ] && server="$2"
  shift
done
[ "$server" = "refusing.test:7000" ] && { echo "login to server failed: no"; exit 1; }
echo "start proxy success: http://127.0.0.1:$port"
exec sleep 600
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    store = BundleStore(folder / "bundles")
    bundles.sentiment(store, MODEL)
    bundles.wordpieces(store, "other")
    return folder


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[str]:
    with running(["serve"], home) as started:  # without a key: this machine is trusted, the tunnel must not be
        yield started.url


@contextmanager
def no_tunnel(port: int) -> Iterator[str]:
    """Stands for the tunnel: the port, as this machine reaches it."""
    yield f"http://127.0.0.1:{port}"


@pytest.fixture
def frpc(tmp_path: Path) -> dict[str, str]:
    """Environment in which Gradio finds the fake where it keeps its own."""
    from gradio.tunneling import BINARY_FILENAME

    program = tmp_path / "gradio" / "frpc" / BINARY_FILENAME
    program.parent.mkdir(parents=True)
    program.write_text(FAKE_FRPC)
    program.chmod(0o700)
    return {"HF_HOME": str(tmp_path)}


def test_behind_the_tunnel_is_one_demo_and_nothing_else_of_a_server_that_trusts_this_machine(
    home: Path, server: str
) -> None:
    link = tidegate("share", "create", MODEL, "--home", home).stdout.strip()
    token = link.partition("?share=")[2]
    other = tidegate("share", "create", "other", "--home", home).stdout.strip().partition("?share=")[2]

    with public_address(MODEL, server, no_tunnel) as url, httpx.Client(base_url=url, timeout=60) as browser:
        nobody = {target: _status(browser, target) for target in (*STRAY, *CLOSED, *DISGUISED, f"{DEMO}/")}
        assert {target: status for target, status in nobody.items() if status not in (400, 403)} == {}
        assert browser.get(f"{DEMO}/?share={token}").status_code == 303
        page = browser.get(f"{DEMO}/")
        assert (page.status_code, b"<gradio-app" in page.content) == (200, True)
        assert browser.get(f"{DEMO}/theme.css").status_code == 200
        visitor = {target: _status(browser, target) for target in (*STRAY, *CLOSED)}
        assert {target: status for target, status in visitor.items() if status not in (400, 403)} == {}
        assert browser.get(f"/demo/other/?share={other}").status_code == 403
        assert httpx.get(f"{url}{DEMO}/?share=forged").status_code == 401
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def _status(browser: httpx.Client, target: str) -> int:
    """The status of a target that goes over the wire as it is written."""
    request = browser.build_request("GET", "/")
    request.extensions = {**request.extensions, "target": target.encode() or b"/"}
    return browser.send(request).status_code


def test_the_command_warns_opens_the_tunnel_prints_the_link_and_closes_it_with_ctrl_c(
    home: Path, server: str, frpc: dict[str, str]
) -> None:
    arguments = ["share", "create", MODEL, "--tunnel", "--tunnel-server", "frp.test:7000", "--home", str(home)]
    with subprocess.Popen(
        [*TIDEGATE, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | frpc,
    ) as process:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        page = httpx.get(link, timeout=60)
        time.sleep(0.5)  # it says that it waits, and waits
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)

    assert link.startswith("http://127.0.0.1:")
    assert server not in link
    assert page.status_code == 303
    assert (process.returncode, rest) == (0, "")
    assert "makes one demo of this machine public" in said
    assert "passes through frp.test:7000, unencrypted" in said
    assert "which is there already" in said
    with pytest.raises(httpx.ConnectError):
        httpx.get(link)


def test_the_warning_says_that_a_program_is_downloaded_and_a_failure_makes_no_link(
    home: Path, server: str, frpc: dict[str, str], tmp_path: Path
) -> None:
    before = tidegate("share", "list", "--json", "--home", home).stdout
    arguments: list[str | Path] = ["share", "create", MODEL, "--tunnel", "--home", home, "--tunnel-server"]

    refused = tidegate(*arguments, "refusing.test:7000", check=False, **frpc)
    nonsense = tidegate(*arguments, "refusing.test", check=False, **frpc)
    nowhere = {"HF_HOME": str(tmp_path / "empty"), "HTTPS_PROXY": "http://127.0.0.1:9"}
    unreachable = tidegate(*arguments, "frp.test:7000", check=False, **nowhere)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "login to server failed" in refused.stderr
    assert (nonsense.returncode, unreachable.returncode) == (2, 1)
    assert "no HOST:PORT" in nonsense.stderr
    assert "is downloaded from cdn-media.huggingface.co" in unreachable.stderr
    assert "could not be opened" in unreachable.stderr
    assert tidegate("share", "list", "--json", "--home", home).stdout == before


def test_without_a_running_server_or_without_tunnel_the_options_are_refused(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"), MODEL)

    alone = tidegate("share", "create", MODEL, "--tunnel", "--home", tmp_path, check=False)
    half = tidegate("share", "create", MODEL, "--tunnel-server", "a:1", "--home", tmp_path, check=False)

    assert (alone.returncode, half.returncode) == (2, 2)
    assert "no server of" in alone.stderr
    assert "--tunnel-server needs --tunnel" in half.stderr
