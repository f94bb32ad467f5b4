"""The password of a share link: kept as a salted scrypt hash, compared in constant time.

Before: `demos.share` hashes one when a link is made; after: `demos.entrance` checks what a visitor typed, in a thread,
because one check costs about a quarter of a second and 16 MiB. How often one may try is `demos.meter`'s business.
The hash carries its cost, so that a later, dearer one leaves old links working.
Source: RFC 7914 (scrypt); cost N=2^14, r=8, p=5 of the OWASP Password Storage Cheat Sheet.
"""

import hashlib
import hmac
import secrets
import unicodedata

from tidegate.errors import UsageError

MIN_CHARS = 8  # `demos.meter` lets a wrong one be tried about 1,440 times a day
MAX_CHARS = 128
_N, _R, _P = 2**14, 8, 5
_SALT_BYTES = 16
_MAX_MEMORY_BYTES = 64 * 2**20  # scrypt takes 128 * N * r = 16 MiB


def hash_password(password: str) -> str:
    """What is kept of a password: `scrypt$N$r$p$salt$hash`, salt and hash in hexadecimal digits.

    Raises:
        UsageError: shorter than `MIN_CHARS` or longer than `MAX_CHARS`.
    """
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise UsageError(
            f"the password has {len(password)} characters; choose one of {MIN_CHARS} to {MAX_CHARS} characters"
        )
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${_derive(password, salt, _N, _R, _P).hex()}"


def is_password(typed: str, kept: str) -> bool:
    """Whether `typed` is the password that `kept` was made of; blocks for as long as one hash takes."""
    _, n, r, p, salt, digest = kept.split("$")
    derived = _derive(typed[: MAX_CHARS + 1], bytes.fromhex(salt), int(n), int(r), int(p))
    return hmac.compare_digest(derived, bytes.fromhex(digest))


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # Keyboards differ in how they send an accented letter: NFKC makes them one.
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY_BYTES, dklen=32)
