"""The socket that a server listens on: bound here, shared among workers, or handed over by a supervisor.

Before anything slow happens, so that a taken port is an error at once. After: `gateway.serve` and `cli.workers`.
"""

import os
import socket

from tidegate.errors import UsageError
from tidegate.settings import Settings


def take_port(settings: Settings) -> socket.socket:
    """Bind before anything slow happens, so that a taken port is an error at once; or take what was handed over.

    Raises:
        UsageError: the address cannot be listened on, or one socket was handed over for several workers.
    """
    if handed_over():
        if settings.workers > 1:
            raise UsageError("a socket was handed over (LISTEN_FDS), which one process takes; leave out --workers")
        return socket.socket(fileno=3)
    listener = listen(settings)
    if settings.workers == 1:
        return listener
    # A shared port would also be given to a second server of this user: ask for it alone first, then share it.
    port = listener.getsockname()[1]
    listener.close()
    return listen(settings.model_copy(update={"port": port}), shared=True)


def listen(settings: Settings, *, shared: bool = False) -> socket.socket:
    """Bind the settings' address; `shared` with other processes that say so too (SO_REUSEPORT).

    Raises:
        UsageError: it is taken, or not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
            "choose another --port (0 picks a free one)"
        ) from None
    return listener


def handed_over() -> bool:
    """Whether a supervisor holds the socket and gave it to this process: callers wait, not fail, between two servers.

    Source: systemd, sd_listen_fds(3).
    """
    return os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1"
