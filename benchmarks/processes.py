"""A server's processes, as Linux shows them under /proc: who they are, their CPU time, their memory; pause and end.

A server is its first process, that one's descendants, and whoever shares its session (a server is started in a
session of its own, and some, such as Ray, leave children to init). Limits: Linux only.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 15.0
_LEFT_SECONDS = 3.0
_ENDED = "ZX"  # zombie, dead


@dataclass(frozen=True, slots=True)
class Process:
    """One entry of /proc.

    Attributes:
        cpu_seconds: user and system time so far.
    """

    pid: int
    parent: int
    session: int
    state: str
    cpu_seconds: float


def read_stat(line: str) -> Process:
    """Parse `/proc/PID/stat`; the name in parentheses may hold spaces and parentheses itself. Source: proc(5)."""
    pid, _, rest = line.partition(" ")
    fields = rest[rest.rindex(")") + 2 :].split()  # fields[0] is field 3 of the manual page
    ticks = int(fields[11]) + int(fields[12])
    return Process(int(pid), int(fields[1]), int(fields[3]), fields[0], ticks / _TICKS_PER_SECOND)


def family(root: int) -> list[Process]:
    """The process `root`, its descendants, and its session; those that have ended but for their entry left out."""
    everyone = [process for process in _all() if process.state not in _ENDED]
    members = {root}
    size = 0
    while size != len(members):
        size = len(members)
        members |= {process.pid for process in everyone if process.parent in members or process.session == root}
    return [process for process in everyone if process.pid in members]


def cpu_seconds(root: int) -> float:
    """CPU time that a server's living processes have used so far."""
    return sum(process.cpu_seconds for process in family(root))


def memory_mib(root: int) -> float:
    """Memory of a server in MiB; pages that processes share are counted once (PSS)."""
    return sum(_proportional_kib(process.pid) for process in family(root)) / 1024


def pause(root: int) -> None:
    """Stop a server where it stands: it costs no CPU time until `resume`."""
    _send(signal.SIGSTOP, (process.pid for process in family(root)))


def resume(root: int) -> None:
    """Let a paused server go on."""
    _send(signal.SIGCONT, (process.pid for process in family(root)))


def end(process: "subprocess.Popen[bytes]", patience_seconds: float = _STOP_SECONDS) -> None:
    """Ask a server to end, wait, and end whatever of its family it leaves behind."""
    members = {member.pid for member in family(process.pid)}
    _send(signal.SIGCONT, members)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience_seconds)
    members |= {member.pid for member in family(process.pid)}
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = _living(members)
        _send(number, left)
        _wait(left, _LEFT_SECONDS)
    process.wait()


def _wait(pids: set[int], seconds: float) -> None:
    """Until none of them lives, or time is up."""
    until = time.monotonic() + seconds
    while _living(pids) and time.monotonic() < until:
        time.sleep(0.02)


def _living(pids: set[int]) -> set[int]:
    return pids & {process.pid for process in _all() if process.state not in _ENDED}


def _send(number: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _all() -> list[Process]:
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                found.append(read_stat((entry / "stat").read_text()))
    return found


def _proportional_kib(pid: int) -> int:
    with suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
