"""Share links: signed, expiring, revocable; each opens the demo of one model and nothing else.

`tidegate share create` makes them; `demos.entrance` changes the token of a link for a pass, which `demos.guard` checks
on every request. A token is the id of a row in the `shares` table under an HMAC-SHA256 signature, a pass the id and a
number of its own under another: a forged one never reaches the database, a link that asks for a password or may be
opened so many times opens nothing by itself, and revoking is one UPDATE that every process sees. Limits: without a
password the link itself is the credential, so it is as secret as the channel it is sent through;
`MAX_LIFETIME_SECONDS` bounds how long a leaked one can live.
Source: itsdangerous `URLSafeSerializer` (payload and signature in the URL-safe base64 alphabet).
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import Engine, Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from demos.password import hash_password
from tidegate.errors import Forbidden, ItemNotFound, NotReady, Unauthorized, UsageError
from tidegate.store import shares

MAX_LIFETIME_SECONDS = 366 * 24 * 3600.0
MAX_VISITS = 1_000_000
MAX_RATE_PER_MINUTE = 100_000.0
MAX_NOTICE_CHARS = 500
_PASS_BYTES = 9  # tells two visits apart in a cookie; nothing rests on its being secret


@dataclass(frozen=True, slots=True)
class Share:
    """One link, as the database holds it.

    Attributes:
        id: 12 hexadecimal digits, what `share revoke` takes.
        model: the one model whose demo it opens.
        created_at, expires_at, revoked_at: Unix time in seconds; `revoked_at` is None while it holds.
        password_hash: of `demos.password`; None where the link alone opens.
        max_visits: how many browsers may open it; None for any number.
        rate_per_minute: questions that its visitors together may ask in a minute; None for any number.
        notice: what its visitors read above the demo; empty for nothing.
        visits: browsers that opened it.
        uses: questions that its visitors asked.
    """

    id: str
    model: str
    created_at: float
    expires_at: float
    revoked_at: float | None
    password_hash: str | None = field(default=None, repr=False)
    max_visits: int | None = None
    rate_per_minute: float | None = None
    notice: str = ""
    visits: int = 0
    uses: int = 0

    @property
    def is_full(self) -> bool:
        """Whether nobody new may come in; who is in stays."""
        return self.max_visits is not None and self.visits >= self.max_visits

    def state(self, now: float) -> str:
        """`open`, `full` (open to those who are in), `expired` or `revoked` at Unix time `now`."""
        if self.revoked_at is not None:
            return "revoked"
        if now >= self.expires_at:
            return "expired"
        return "full" if self.is_full else "open"


class ShareLinks:
    """The links of one state database, signed with one secret."""

    def __init__(self, database: Engine, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._database = database
        self._tokens = _serializer(secret, "tidegate.share")
        self._passes = _serializer(secret, "tidegate.share.pass")

    def create(
        self,
        model: str,
        expires_seconds: float,
        *,
        password: str | None = None,
        max_visits: int | None = None,
        rate_per_minute: float | None = None,
        notice: str = "",
    ) -> tuple[str, str]:
        """Make a link that holds for `expires_seconds` and return its id and its token.

        Raises:
            UsageError: a lifetime that is not above 0 or longer than a leap year, or another value out of range.
        """
        if not 0 < expires_seconds <= MAX_LIFETIME_SECONDS:
            raise UsageError(f"a share link cannot live for {expires_seconds:g} s; choose between 1 s and 366 days")
        _check_terms(max_visits, rate_per_minute, notice)
        share_id, now = secrets.token_hex(6), self.clock()
        row = {
            "id": share_id,
            "model": model,
            "created_at": now,
            "expires_at": now + expires_seconds,
            "password_hash": None if password is None else hash_password(password),
            "max_visits": max_visits,
            "rate_per_minute": rate_per_minute,
            "notice": notice,
        }
        with self._database.begin() as connection:
            connection.execute(insert(shares).values(row))
        return share_id, str(self._tokens.dumps(share_id))

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
        share_id = _signed(self._tokens, token)
        if isinstance(share_id, str):
            return share_id
        raise Unauthorized("this share link is not one of ours, or was cut short; ask for it again, in full")

    def issue_pass(self, share_id: str) -> str:
        """What a browser that was let in shows from then on."""
        return str(self._passes.dumps([share_id, secrets.token_urlsafe(_PASS_BYTES)]))

    def read_pass(self, value: str) -> str:
        """The share id that a pass carries; touches no database.

        Raises:
            Unauthorized: the signature does not hold.
        """
        carried = _signed(self._passes, value)
        if isinstance(carried, list):
            return str(carried[0])
        raise Unauthorized("this browser's pass is not one of ours; open the share link again, in full")

    def count_visit(self, share: Share) -> None:
        """Let one browser in, in one step with all that come at once; blocks on the database.

        Raises:
            Forbidden: as many as may were let in.
            NotReady: the database did not answer.
        """
        has_room = shares.c.max_visits.is_(None) | (shares.c.visits < shares.c.max_visits)
        counted = update(shares).where((shares.c.id == share.id) & has_room).values(visits=shares.c.visits + 1)
        with _reachable(), self._database.begin() as connection:
            found = connection.execute(counted).rowcount
        if not found:
            raise full(share)

    def add_uses(self, uses: Mapping[str, int]) -> None:
        """Add to the counts of questions, by share id; blocks on the database.

        Raises:
            NotReady: the database did not answer; nothing was added.
        """
        with _reachable(), self._database.begin() as connection:
            for share_id, count in sorted(uses.items()):
                row = update(shares).where(shares.c.id == share_id)
                connection.execute(row.values(uses=shares.c.uses + count))

    def find(self, share_id: str) -> Share:
        """The share with that id, whatever its state; blocks on the database.

        Raises:
            Unauthorized: no such share.
            NotReady: the database did not answer.
        """
        with _reachable(), self._database.connect() as connection:
            row = connection.execute(select(shares).where(shares.c.id == share_id)).one_or_none()
        if row is None:
            raise Unauthorized("this share link is not known here; ask for a new one")
        return _share(row)

    def admit(self, share: Share) -> Share:
        """The same share, if it is open now to those who are in.

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


def full(share: Share) -> Forbidden:
    """The error of a link that let in as many as it may."""
    times = "once" if share.max_visits == 1 else f"{share.max_visits} times"
    return Forbidden(f"this share link may be opened {times} and has been; ask for a new one")


def _check_terms(max_visits: int | None, rate_per_minute: float | None, notice: str) -> None:
    if max_visits is not None and not 1 <= max_visits <= MAX_VISITS:
        raise UsageError(f"a share link cannot be opened {max_visits} times; choose 1 to {MAX_VISITS:,}")
    if rate_per_minute is not None and not 1 <= rate_per_minute <= MAX_RATE_PER_MINUTE:
        raise UsageError(f"a rate of {rate_per_minute:g} a minute; choose 1 to {MAX_RATE_PER_MINUTE:,.0f}")
    if len(notice) > MAX_NOTICE_CHARS or not notice.isprintable():
        raise UsageError(f"the notice is no line of at most {MAX_NOTICE_CHARS} printable characters; shorten it")


def _serializer(secret: bytes, salt: str) -> URLSafeSerializer:
    options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeSerializer(secret, salt=salt, signer_kwargs=options)


def _signed(serializer: URLSafeSerializer, value: str) -> Any:
    """What a signed value carries, or None where the signature does not hold."""
    try:
        carried = serializer.loads(value)
        # The last base64 digit of a signature has two spare bits: without this comparison four spellings of one
        # token would all hold.
        return carried if serializer.dumps(carried) == value else None
    except (BadData, ValueError):
        return None


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise NotReady(f"share links cannot be checked now ({type(error).__name__}); try again shortly") from None


def _share(row: Row[Any]) -> Share:
    return Share(**row._asdict())
