"""Times in words, one form for people and one for programs; both in UTC, since readers are anywhere.

Of Unix seconds, as the state database has them. Read by commands, dashboard and messages to receivers.
"""

from datetime import UTC, datetime


def moment(at: float) -> str:
    """A time as people read it: 2026-11-22 09:10 UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def instant(at: float | None) -> str | None:
    """A time as programs read it (RFC 3339, to the minute): 2026-11-22T09:10Z."""
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%MZ}"
