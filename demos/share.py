"""Share links: signed, expiring, revocable; each opens the demo of one model and nothing else.

`tidegate share create` makes them; `demos.guard` checks them on every request. A token is the id of a row in
the `shares` table under an HMAC-SHA256 signature, so a forged one never reaches the database, and revoking is
one UPDATE that every process sees. Limits: the link itself is the credential, so it is as secret as the
channel it is sent through; `MAX_LIFETIME_SECONDS` bounds how long a leaked one can live.
Source: itsdangerous `URLSafeSerializer` (payload and signature in the URL-safe base64 alphabet).
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import Engine, Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from tidegate.errors import Forbidden, ItemNotFound, NotReady, Unauthorized, UsageError
from tidegate.store import shares

MAX_LIFETIME_SECONDS = 366 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Share:
    """One link, as the database holds it.

    Attributes:
        id: 12 hexadecimal digits, what `share revoke` takes.
        model: the one model whose demo it opens.
        created_at, expires_at, revoked_at: Unix time in seconds; `revoked_at` is None while it holds.
    """

    id: str
    model: str
    created_at: float
    expires_at: float
    revoked_at: float | None

    def state(self, now: float) -> str:
        """`open`, `expired` or `revoked` at Unix time `now`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if now >= self.expires_at else "open"


class ShareLinks:
    """The links of one state database, signed with one secret."""

    def __init__(self, database: Engine, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._database = database
        self._serializer = URLSafeSerializer(
            secret, salt="tidegate.share", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
        )

    def create(self, model: str, expires_seconds: float) -> tuple[str, str]:
        """Make a link that holds for `expires_seconds` and return its id and its token.

        Raises:
            UsageError: a lifetime that is not above 0, or longer than a leap year.
        """
        if not 0 < expires_seconds <= MAX_LIFETIME_SECONDS:
            raise UsageError(f"a share link cannot live for {expires_seconds:g} s; choose between 1 s and 366 days")
        share_id, now = secrets.token_hex(6), self.clock()
        row = {"id": share_id, "model": model, "created_at": now, "expires_at": now + expires_seconds}
        with self._database.begin() as connection:
            connection.execute(insert(shares).values(row))
        return share_id, str(self._serializer.dumps(share_id))

    def revoke(self, share_id: str) -> None:
        """Close a link for good, in every process; closing it twice is no error.

        Raises:
            ItemNotFound: no link with that id.
        """
        with self._database.begin() as connection:
            if connection.scalar(select(shares.c.id).where(shares.c.id == share_id)) is None:
                raise ItemNotFound(f"no share link {share_id!r}; `tidegate share list` shows those there are")
            still_open = (shares.c.id == share_id) & shares.c.revoked_at.is_(None)
            connection.execute(update(shares).where(still_open).values(revoked_at=self.clock()))

    def check(self, token: str) -> Share:
        """The share that a token opens, now.

        Raises:
            Unauthorized: not a token of this server.
            Forbidden: expired or revoked.
            NotReady: the database did not answer.
        """
        return self.admit(self.find(self.read(token)))

    def read(self, token: str) -> str:
        """The share id that a token carries; touches no database.

        Raises:
            Unauthorized: the signature does not hold.
        """
        try:
            share_id = self._serializer.loads(token)
            # The last base64 digit of a signature has two spare bits: without this comparison four spellings
            # of one token would all hold.
            if isinstance(share_id, str) and self._serializer.dumps(share_id) == token:
                return share_id
        except (BadData, ValueError):
            pass
        raise Unauthorized("this share link is not one of ours, or was cut short; ask for it again, in full")

    def find(self, share_id: str) -> Share:
        """The share with that id, whatever its state; blocks on the database.

        Raises:
            Unauthorized: no such share.
            NotReady: the database did not answer.
        """
        try:
            with self._database.connect() as connection:
                row = connection.execute(select(shares).where(shares.c.id == share_id)).one_or_none()
        except SQLAlchemyError as error:
            raise NotReady(f"share links cannot be checked now ({type(error).__name__}); try again shortly") from None
        if row is None:
            raise Unauthorized("this share link is not known here; ask for a new one")
        return _share(row)

    def admit(self, share: Share) -> Share:
        """The same share, if it is open now.

        Raises:
            Forbidden: expired or revoked.
        """
        state = share.state(self.clock())
        if state == "revoked":
            raise Forbidden("this share link was withdrawn by its owner; ask for a new one")
        if state == "expired":
            ended = datetime.fromtimestamp(share.expires_at, UTC)
            raise Forbidden(f"this share link ended on {ended:%d %B %Y at %H:%M} UTC; ask for a new one")
        return share

    def list(self) -> Sequence[Share]:
        """Every link ever made, newest first."""
        with self._database.connect() as connection:
            rows = connection.execute(select(shares).order_by(shares.c.created_at.desc(), shares.c.id)).all()
        return [_share(row) for row in rows]


def _share(row: Row[Any]) -> Share:
    return Share(row.id, row.model, row.created_at, row.expires_at, row.revoked_at)
