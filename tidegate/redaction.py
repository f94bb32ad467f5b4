"""Redaction: blanks out what points at a person, before a text is stored. Off unless the setting `redact` says what.

E-mail addresses, phone numbers, card numbers (Luhn) and account numbers (IBAN, ISO 7064) become `[email]`, `[phone]`,
`[card]`, `[account]`. Before: the model has answered on the whole text; after: the state database. In monitoring's
threads, never on the request path. Limits: plain patterns, so names, addresses and numbers in words stay; a text is
read in time that grows with its length alone (every repetition is bounded).
Sources: RFC 5321 section 4.5.3.1 (lengths), ITU-T E.164 (7 to 15 digits), ISO/IEC 7812-1 annex B, ISO 13616-1.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from tidegate.errors import UsageError

ALL = "all"

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])", re.ASCII)
_CARD = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])", re.ASCII)
# With a country code, an area code in brackets, or a leading 0; or written in groups of 3-3-4. Anything less would
# take years, prices and amounts, which is what headlines are made of.
_PHONE = re.compile(
    r"(?<![\w.,+])(?:"
    r"\+[0-9](?:[ ./()-]{0,3}[0-9]){6,14}"
    r"|\([0-9]{2,5}\)(?:[ ./-]{0,2}[0-9]){5,10}"
    r"|0[0-9]{1,4}[ ./-](?:[ ./-]?[0-9]){5,10}"
    r"|0[0-9]{8,11}"
    r"|[0-9]{3}[ .-][0-9]{3}[ .-][0-9]{4}"
    r")(?![\w])",
    re.ASCII,
)


def is_card(number: str) -> bool:
    """Whether the digits, between spaces and hyphens, end in the check digit of a card (Luhn)."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and any(digits) and (sum(digits[::-2]) + sum(doubled)) % 10 == 0


def is_iban(number: str) -> bool:
    """Whether the check digits of an IBAN hold (modulo 97)."""
    plain = re.sub(r"[ -]", "", number).upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _email(text: str) -> str:
    return _EMAIL.sub("[email]", text)


def _phone(text: str) -> str:
    return _PHONE.sub("[phone]", text)


def _card(text: str) -> str:
    return _CARD.sub(lambda match: "[card]" if is_card(match[0]) else match[0], text)


def _account(text: str) -> str:
    return _IBAN.sub(_account_in, text)


def _account_in(match: re.Match[str]) -> str:
    """What follows an IBAN may read like more of it: the longest beginning that holds is taken."""
    found = match[0]
    for end in range(len(found), 14, -1):
        if found[end - 1].isalnum() and (end == len(found) or not found[end].isalnum()) and is_iban(found[:end]):
            return "[account]" + found[end:]
    return found


# In this order: an account number may hold what looks like a card's, a card's what looks like a phone's.
_KINDS: Mapping[str, Callable[[str], str]] = {"email": _email, "account": _account, "card": _card, "phone": _phone}


@dataclass(frozen=True, slots=True)
class Redactor:
    """Blanks out some kinds; `Redactor.of("")` none."""

    steps: Sequence[Callable[[str], str]] = ()

    @classmethod
    def of(cls, kinds: str) -> Self:
        """A redactor of the kinds that a setting names, with commas.

        Raises:
            UsageError: there is no such kind.
        """
        names = {name.strip() for name in kinds.split(",") if name.strip()}
        if unknown := names - {*_KINDS, ALL}:
            raise UsageError(
                f"{', '.join(sorted(unknown))!r} cannot be redacted; choose from {', '.join(_KINDS)}, {ALL}"
            )
        return cls(tuple(step for name, step in _KINDS.items() if ALL in names or name in names))

    def __call__(self, text: str) -> str:
        """The text without them; the same object where nothing is to be done."""
        for step in self.steps:
            text = step(text)
        return text
