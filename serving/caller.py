"""Who asks: what a request says of its caller, for sticky canaries, fair queues and limits.

Before: authentication puts the key's id and role into the scope; after: every protocol hands a `Caller` to
`Repository.predict`. Nothing here is logged; of it all a digest of the key's id alone is stored, with records.
"""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

from starlette.types import Scope

KEY_ID = "tidegate.key_id"  # in the scope, set by authentication

# Priority classes: a lower number goes first; each is worth this many times the next one's turn (serving.backlog).
HIGH, NORMAL, LOW = 0, 1, 2
PRIORITIES = {b"high": HIGH, b"normal": NORMAL, b"low": LOW}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        key: the same for all requests of one caller; empty when nothing tells them apart.
        priority: HIGH, NORMAL or LOW.
        digest: of its API key's id, for caps on what one caller puts before people; empty without a key, since an
            address is nobody's to store and a name is anybody's to make up.
    """

    key: str = ""
    priority: int = NORMAL
    digest: str = field(default="", compare=False)


ANYONE = Caller()
MIRROR = Caller("mirror", LOW)


def caller_of(scope: Scope, named: bytes = b"", priority: bytes = b"") -> Caller:
    """The caller of a request: by the name it gives (`x-caller-key`), else by its API key, else by its address.

    Args:
        scope: of the request.
        named: value of `x-caller-key`, empty when not sent.
        priority: value of `x-priority`; anything but high and low counts as normal.
    """
    owner = str(scope.get(KEY_ID, ""))
    if named:
        # below its API key: a caller who makes up names must not get a fresh share of the queue with each
        key = f"{owner}/{named[:128].decode('latin-1')}"
    else:
        client = scope.get("client")
        key = owner or (str(client[0]) if client else "")
    return Caller(key, PRIORITIES.get(priority, NORMAL), caller_digest(owner) if owner else "")


@lru_cache(maxsize=1_024)
def caller_digest(key_id: str) -> str:
    """32 hexadecimal digits that stand for a key's id, in every worker alike; the id is random and opens nothing."""
    return hashlib.blake2b(key_id.encode(), digest_size=16, person=b"tidegate caller").hexdigest()
