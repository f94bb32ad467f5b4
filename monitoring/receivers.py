"""Receivers: who gets alerts, as the setting `webhook_url` names them, and in which shape.

`https://...` gets JSON, `slack+https://...` what Slack and those like it show, `alertmanager+https://...` calls of the
Alertmanager v2 API; several stand with commas between them. A URL is a secret of its own (chat services put the key
into the path): logs and tables know a receiver by shape, host and eight digits of the URL's SHA-256.
Before: settings; after: `deliveries`, `messages`, `webhook`.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import urlsplit

from tidegate.errors import UsageError

Shape = Literal["json", "slack", "alertmanager"]
_SHAPES: dict[str, Shape] = {"": "json", "slack": "slack", "alertmanager": "alertmanager"}
_ALERTMANAGER_PATH = "/api/v2/alerts"


@dataclass(frozen=True, slots=True)
class Receiver:
    """One that gets alerts.

    Attributes:
        url: where to post.
        name: says which it is and not how to reach it; the same as long as shape and URL are.
    """

    shape: Shape
    host: str
    name: str
    url: str = field(repr=False)

    @property
    def follows(self) -> bool:
        """Whether it is told how the alert stands, again and again until it is resolved, instead of each event once."""
        return self.shape == "alertmanager"

    @classmethod
    def of(cls, written: str) -> Self:
        """A receiver from its part of the setting.

        Raises:
            UsageError: no http or https URL, or a shape that there is not.
        """
        found = re.fullmatch(r"(?:([a-z]+)\+)?((?i:https?)://\S+)", written)
        prefix, url = (found[1] or "", found[2]) if found else ("", "")
        host = _host(url)
        if host is None or prefix not in _SHAPES:
            raise UsageError(
                "setting webhook_url (TIDEGATE_WEBHOOK_URL) holds what is no http:// or https:// URL, alone or behind "
                "slack+ or alertmanager+; correct or clear it"
            )
        shape = _SHAPES[prefix]
        if shape == "alertmanager" and not urlsplit(url).path.endswith(_ALERTMANAGER_PATH):
            url = url.rstrip("/") + _ALERTMANAGER_PATH
        digest = hashlib.sha256(url.encode()).hexdigest()[:8]
        return cls(shape, host, f"{shape} {host[:200]} {digest}", url)


def receivers_of(setting: str) -> tuple[Receiver, ...]:
    """The receivers that `webhook_url` names, each once; raises what `Receiver.of` does."""
    parts = re.split(r"\s*,\s*(?=[a-zA-Z+]+://)", setting.strip(" ,"))
    return tuple(dict.fromkeys(Receiver.of(part) for part in parts if part))


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # an unfinished IPv6 address, or a port that is no number
        return None
    # Who forgets a scheme after a comma would else make one receiver of two.
    return host if parts.scheme in ("http", "https") and host and "," not in host else None
