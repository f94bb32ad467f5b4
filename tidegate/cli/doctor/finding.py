"""What a check finds, and how checks are run: each guarded, so that one that breaks hides no other."""

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: what was looked at.
        status: `fault` is what keeps something from working; `note` is good to know and may be meant so.
        found: what is there.
        do: what to do about it; empty when there is nothing to do.
    """

    check: str
    status: Literal["ok", "note", "fault"]
    found: str
    do: str = ""


Check = Callable[[Settings], Iterable[Finding]]


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def note(check: str, found: str, do: str = "") -> Finding:
    """No fault, but somebody may want to know."""
    return Finding(check, "note", found, do)


def fault(check: str, found: str, do: str) -> Finding:
    """Something does not work."""
    return Finding(check, "fault", found, do)


def examine(module: str, settings: Settings) -> Iterator[Finding]:
    """Run every check of a module; one that raises is a fault itself, and so is a library that cannot be imported."""
    checks: dict[str, Check] = {}
    try:
        checks = importlib.import_module(f"{__package__}.{module}").CHECKS
    except Exception as error:
        yield _failed(module, error)
    for name, check in checks.items():
        try:
            yield from check(settings)
        except Exception as error:  # whatever is broken: the doctor goes on to the next patient
            yield _failed(name, error)


def _failed(check: str, error: Exception) -> Finding:
    told = str(error).strip().splitlines() or [""]
    return fault(check, f"the check failed: {type(error).__name__}: {told[0]}", "see to that, and ask again")


def size(bytes_: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if bytes_ < 1_000:
            return f"{bytes_:.0f} {unit}"
        bytes_ /= 1_000
    return f"{bytes_:.1f} TB"
