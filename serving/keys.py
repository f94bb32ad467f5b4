"""API keys: made, listed and revoked in the state database; looked up in a table in memory.

`tidegate keys` writes; a running server reads all active keys once a second (`KeyRing.follow`, owned by the app's
lifespan), so the request path never touches the database, and a key is refused within about a second of its end. Only
the SHA-256 of a key is kept: it has 256 random bits, which no dictionary holds. Limits: when the database cannot be
read, what was read last goes on. A rate holds for each worker.
Source: `secrets.token_urlsafe`; the token bucket is that of RFC 2697, with one second's worth of burst.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from serving.access import Role
from tidegate.errors import ItemNotFound, Overloaded, TidegateError, UsageError
from tidegate.settings import Settings
from tidegate.store import api_keys as table
from tidegate.store import open_database

PREFIX = "tg_"  # so that scanners for leaked secrets, and people, know one when they see it
FOLLOW_SECONDS = 1.0
SETTING_ID = "setting"  # of the key that is a setting and not in the database
MAX_LIFETIME_SECONDS = 10 * 366 * 24 * 3600.0
_MAX_NAME_CHARS = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, without the key.

    Attributes:
        id: 12 hexadecimal digits, what `keys revoke` takes.
        digest: SHA-256 of the key, 32 bytes.
        rate: most requests per second; None without a limit.
        created_at, expires_at, revoked_at: Unix time in seconds.
    """

    id: str
    name: str
    role: Role
    digest: bytes
    rate: float | None = None
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None

    def state(self, now: float) -> str:
        """`active`, `expired` or `revoked` at Unix time `now`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "active"


class ApiKeys:
    """The keys of one state database; every call blocks on it."""

    def __init__(self, database: Engine, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._database = database

    def create(
        self, name: str, role: Role, rate: float | None = None, lifetime_seconds: float | None = None
    ) -> tuple[str, str]:
        """Make a key; returns its id and the key, which cannot be had again.

        Raises:
            UsageError: an empty or overlong name, a rate or a lifetime out of range.
        """
        if not name.strip() or len(name) > _MAX_NAME_CHARS or not name.isprintable():
            raise UsageError(f"{name[:80]!r} is no name for a key; write 1 to {_MAX_NAME_CHARS} printable characters")
        if rate is not None and not 0 < rate <= 1e9:
            raise UsageError(f"a rate of {rate:g} requests per second; choose one above 0, or leave --rate out")
        if lifetime_seconds is not None and not 0 < lifetime_seconds <= MAX_LIFETIME_SECONDS:
            raise UsageError(f"a key cannot live for {lifetime_seconds:g} s; choose up to 10 years, or leave it out")
        key_id, key, now = secrets.token_hex(6), PREFIX + secrets.token_urlsafe(32), self.clock()
        row = {
            "id": key_id,
            "name": name,
            "role": role.name.lower(),
            "digest": digest_of(key.encode()).hex(),
            "rate": rate,
            "created_at": now,
            "expires_at": None if lifetime_seconds is None else now + lifetime_seconds,
        }
        with self._database.begin() as connection:
            connection.execute(insert(table).values(row))
        return key_id, key

    def revoke(self, key_id: str) -> None:
        """End a key for good; ending it twice is no error.

        Raises:
            ItemNotFound: no key with that id.
        """
        with self._database.begin() as connection:
            if connection.scalar(select(table.c.id).where(table.c.id == key_id)) is None:
                raise ItemNotFound(f"no key {key_id!r}; `tidegate keys list` shows those there are")
            open_row = (table.c.id == key_id) & table.c.revoked_at.is_(None)
            connection.execute(update(table).where(open_row).values(revoked_at=self.clock()))

    def list(self) -> Sequence[ApiKey]:
        """Every key ever made, newest first."""
        with self._database.connect() as connection:
            rows = connection.execute(select(table).order_by(table.c.created_at.desc(), table.c.id)).all()
        return [_key(row) for row in rows]

    def active(self) -> Sequence[ApiKey]:
        """Those that open something now."""
        now = self.clock()
        with self._database.connect() as connection:
            rows = connection.execute(select(table).where(table.c.revoked_at.is_(None))).all()
        return [key for key in map(_key, rows) if key.state(now) == "active"]


class Bucket:
    """A token bucket: `rate` requests per second, and `most` at once; a second's worth where it is not given."""

    def __init__(self, rate: float, now: float, most: float | None = None) -> None:
        self.rate = rate
        self._most = max(1.0, rate if most is None else most)
        self._tokens = self._most
        self._at = now

    def take(self, now: float, count: int = 1) -> float:
        """Take tokens, all or none; returns 0, or the seconds until there are as many (if ever: see `most`)."""
        self._tokens = min(self._most, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < count:
            return (count - self._tokens) / self.rate
        self._tokens -= count
        return 0.0

    def give_back(self) -> None:
        """Take the last `take` back."""
        self._tokens = min(self._most, self._tokens + 1)


class KeyRing:
    """The keys that hold now, in memory; used on the event loop.

    Args:
        setting: the key of the settings, an admin's; empty for none.
        keys: those of the state database; None for none.
        monotonic: the clock of the rates, in seconds.
    """

    def __init__(
        self, setting: str, keys: ApiKeys | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys = keys
        self._monotonic = monotonic
        digest = digest_of(setting.encode())
        # Its id changes with the key, so that who signed in with an old one is signed out.
        setting_id = f"{SETTING_ID}-{digest_of(digest).hex()[:12]}"
        self._fixed = [ApiKey(setting_id, "TIDEGATE_API_KEY", Role.ADMIN, digest)] if setting else []
        self._by_digest: dict[bytes, ApiKey] = {}
        self._by_id: dict[str, ApiKey] = {}
        self._buckets: dict[str, Bucket] = {}
        self._asked = False
        self.on_limit: Callable[[], None] = lambda: None  # called for each request that a rate refuses
        self._hold(self._keys.active() if self._keys else ())

    @property
    def asks(self) -> bool:
        """Whether a key is asked for: there is one, or there was since this process began.

        Who revokes the last key did not mean to let everybody in.
        """
        return self._asked

    def find(self, key: bytes) -> ApiKey | None:
        """The key, if it holds; takes as long for one that is nearly right as for any other."""
        digest = digest_of(key)
        found = self._by_digest.get(digest)
        return found if found is not None and hmac.compare_digest(found.digest, digest) else None

    def by_id(self, key_id: str) -> ApiKey | None:
        """The key of an id, if it holds."""
        return self._by_id.get(key_id)

    def spend(self, key: ApiKey) -> None:
        """Count a request against the key's rate.

        Raises:
            Overloaded: it is used up.
        """
        bucket = self._buckets.get(key.id)
        if bucket is not None and (wait := bucket.take(self._monotonic())):
            self.on_limit()
            raise Overloaded(
                f"this key may send {bucket.rate:g} requests per second; slow down, or ask for more",
                retry_after_seconds=wait,
                reason="rate_limit",
            )

    async def follow(self) -> None:
        """Read the database again and again, until cancelled."""
        broken = False
        while self._keys is not None:
            await asyncio.sleep(FOLLOW_SECONDS)
            try:
                self._hold(await asyncio.to_thread(self._keys.active))
                broken = False
            except (SQLAlchemyError, TidegateError, OSError) as error:
                if not broken:
                    log.error("API keys cannot be read (%s); those read last go on", type(error).__name__)
                broken = True

    def _hold(self, active: Iterable[ApiKey]) -> None:
        keys, now = [*self._fixed, *active], self._monotonic()
        self._by_digest = {key.digest: key for key in keys}
        self._by_id = {key.id: key for key in keys}
        old = self._buckets
        self._buckets = {key.id: old.get(key.id) or Bucket(key.rate, now) for key in keys if key.rate is not None}
        self._asked = self._asked or bool(keys)


def digest_of(key: bytes) -> bytes:
    """What is kept of a key: SHA-256, 32 bytes."""
    return hashlib.sha256(key).digest()


def any_active(settings: Settings) -> bool:
    """Whether the state database holds a key; it is not made where there is none."""
    if not settings.database_url and not (settings.home / "state.db").is_file():
        return False
    database = open_database(settings.state_url)
    try:
        return bool(ApiKeys(database).active())
    finally:
        database.dispose()


def _key(row: Row[Any]) -> ApiKey:
    digest, role = bytes.fromhex(row.digest), Role.named(row.role)
    return ApiKey(row.id, row.name, role, digest, row.rate, row.created_at, row.expires_at, row.revoked_at)
