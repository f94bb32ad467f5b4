"""Drives one server with wrk, which costs little next to the server that shares its cores.

A Lua script sends prepared bodies one after the other, so that the texts go round. A run in which a request failed
does not count: it says how fast a server refuses. Before: `server`; after: `pairs` collects runs.
Source: wrk (github.com/wg/wrk), its --latency report and SCRIPTING page. Debian package: wrk.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.catalog import Peer
from benchmarks.results import Load, Scenario
from benchmarks.server import Server
from tidegate.errors import EnvironmentMissing, TidegateError

SCENARIOS = (
    Scenario(callers=1, texts=1),
    Scenario(callers=16, texts=1),
    Scenario(callers=64, texts=1),
    Scenario(callers=8, texts=32),
)
WARM_UP_SECONDS = 2
# Longer than any peer's slowest answer at 64 callers (facts: 2 s), so that slow is slow and not an error.
_TIMEOUT_SECONDS = 60
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SCRIPT = """\
local requests = {{}}
local next_one = 0

function init()
  for body in io.lines({bodies}) do
    requests[#requests + 1] = wrk.format("POST", nil, {{["content-type"] = "application/json"}}, body)
  end
end

function request()
  next_one = next_one % #requests + 1
  return requests[next_one]
end
"""


def find_wrk() -> str:
    """The path of wrk.

    Raises:
        EnvironmentMissing: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise EnvironmentMissing("wrk drives the load and is not installed; run: apt-get install wrk")
    return found


def bodies(peer: Peer, texts: Sequence[str], size: int) -> list[bytes]:
    """Request bodies of `size` texts each that together hold every text at least once, one line each."""
    requests = -(-len(texts) // size)
    circle = list(texts) + list(texts[:size])
    return [peer.encode(circle[index * size : index * size + size]) for index in range(requests)]


def write_script(folder: Path, lines: Sequence[bytes]) -> Path:
    """The Lua script, with the bodies in a file beside it."""
    data, script = folder / "bodies.jsonl", folder / "round.lua"
    data.write_bytes(b"\n".join(lines) + b"\n")
    script.write_text(_SCRIPT.format(bodies=lua_string(str(data.absolute()))))
    return script


def lua_string(text: str) -> str:
    """A Lua literal: every byte as a decimal escape, so that none means anything to Lua."""
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'


def drive(server: Server, scenario: Scenario, texts: Sequence[str], seconds: int, folder: Path) -> Load:
    """Warm the server up with a scenario, then measure it for `seconds`.

    Raises:
        EnvironmentMissing: wrk is not installed.
        TidegateError: wrk failed.
    """
    script = write_script(folder, bodies(server.peer, texts, scenario.texts))
    _run(server.url, scenario.callers, WARM_UP_SECONDS, script)
    return parse(_run(server.url, scenario.callers, seconds, script), scenario.texts)


def _run(url: str, callers: int, seconds: int, script: Path) -> str:
    command = [find_wrk(), "-t1", f"-c{callers}", f"-d{seconds}s", f"--timeout={_TIMEOUT_SECONDS}s", "--latency"]
    done = subprocess.run([*command, "-s", str(script), url], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TidegateError(f"wrk failed on {url}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def parse(output: str, texts_per_request: int) -> Load:
    """Read what wrk printed with --latency.

    Raises:
        TidegateError: it is not such a report.
    """
    rate = _find(r"^Requests/sec:\s+([\d.]+)", output)
    requests = int(_find(r"^\s*(\d+) requests in", output))
    return Load(
        requests_per_second=float(rate),
        texts_per_second=float(rate) * texts_per_request,
        p50_seconds=_seconds(_find(r"^\s+50%\s+(\S+)", output)),
        p99_seconds=_seconds(_find(r"^\s+99%\s+(\S+)", output)),
        requests=requests,
        fault=_fault(output, requests),
    )


def _fault(output: str, requests: int) -> str:
    """Why the run does not count."""
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: (.*)", output)
    if refused:
        return f"{refused[1]} of {requests} answers were errors"
    if broken:
        return f"socket errors: {broken[1]}"
    return "" if requests else "no answer came"


def _find(pattern: str, output: str) -> str:
    found = re.search(pattern, output, re.MULTILINE)
    if found is None:
        raise TidegateError(f"wrk printed no {pattern!r}; is this wrk 4? It said:\n{output}")
    return found[1]


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()  # type: ignore[union-attr]  # _find saw a figure
    return float(number) * _UNITS[unit]
