"""Who listens where, whether the server of this home answers, and who may reach it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tidegate import home
from tidegate.cli.doctor.finding import Check, Finding, fault, note, ok
from tidegate.errors import UsageError
from tidegate.settings import Settings

_PATIENCE_SECONDS = 3.0
_LISTENING = "0A"  # state in /proc/net/tcp: TCP_LISTEN of the kernel's tcp_states.h


def server(settings: Settings) -> Iterator[Finding]:
    """Whether the server that said it runs answers, and is ready."""
    url = home.read_address(settings.home)
    if not url:
        yield note("server", "none runs on this home", "`tidegate serve` starts one")
        return
    try:
        answer = httpx.get(f"{url}/readyz", timeout=_PATIENCE_SECONDS, verify=False)  # noqa: S501  # alive, no secrets
    except httpx.HTTPError as error:
        advice = "its log says why; when it was killed, `tidegate serve` starts another"
        yield fault("server", f"{url} does not answer: {type(error).__name__}", advice)
        return
    if answer.status_code == 200:
        yield ok("server", f"{url} answers, every model is ready")
    else:
        yield fault(
            "server", f"{url} is not ready: {_unready(answer)}", "its log has the cause; /readyz has the models"
        )


def _unready(answer: httpx.Response) -> str:
    try:
        models = answer.json().get("models", {})
        return ", ".join(f"{name} {each['status']}" for name, each in models.items() if each["status"] != "ready")
    except (ValueError, AttributeError, KeyError, TypeError):
        return f"it answered {answer.status_code}, as no server of ours does"


def ports(settings: Settings) -> Iterator[Finding]:
    """Whether `serve` could listen, and who does where it could not."""
    ours = urlsplit(home.read_address(settings.home)).port
    for name in ("port", "grpc_port"):
        port = getattr(settings, name, None)
        if not port:
            continue
        reason = _taken(settings.host, port)
        if not reason:
            yield ok(f"{name} {port}", f"free on {settings.host}")
        elif port == ours:
            yield ok(f"{name} {port}", "the server of this home listens")
        else:
            by = _listener(port)
            advice = f"end it, or choose another: TIDEGATE_{name.upper()}=0 picks a free one"
            yield (note if ours else fault)(f"{name} {port}", f"{reason}; {by}", advice)


def _taken(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _listener(port: int) -> str:
    """Which process listens on a port, as far as this user may see. Source: proc(5), /proc/net/tcp."""
    rows = [line.split() for file in ("tcp", "tcp6") for line in _lines(Path("/proc/net") / file)[1:]]
    sockets = {
        f"socket:[{row[9]}]" for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port
    }
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) in sockets for link in (process / "fd").iterdir()):  # noqa: PTH115
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                return f"process {process.name}: {command[:80].strip()}"
        except OSError:  # another user's, or gone meanwhile
            continue
    return "taken by a process that is not yours to see" if sockets else "nobody on this machine listens there"


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.is_file() else [""]


def security(settings: Settings) -> Iterator[Finding]:
    """Who may reach a server that starts with these settings."""
    from serving.auth import check_binding, is_loopback

    try:
        check_binding(settings)
    except UsageError as error:
        yield fault("security", str(error), "or listen on 127.0.0.1 alone")
        return
    reach = "this machine alone" if is_loopback(settings.host) else f"whoever reaches {settings.host}"
    if settings.open and not is_loopback(settings.host):
        yield note("security", f"open to {reach}, without a key", "leave out --open and make a key")
    else:
        key = "the key of TIDEGATE_API_KEY" if settings.api_key.get_secret_value() else "no key in the settings"
        yield ok("security", f"reached by {reach}; {key}")


CHECKS: dict[str, Check] = {"server": server, "ports": ports, "security": security}
