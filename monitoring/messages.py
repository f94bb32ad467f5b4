"""Messages: an alert in the shape that a receiver takes. Names and numbers only; no text that a caller sent.

Before: `webhook` has an alert and where its report is; after: `post`. Whatever stands in an alert is data, never
markup: Slack's three control characters are escaped, JSON is ASCII with escapes.
Sources: Slack, "Formatting text for app surfaces" (escaping) and "Section block" (3,000 characters); Alertmanager,
API v2 (openapi.yaml, postableAlerts).
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from monitoring.receivers import Shape

# What a follower takes an alert for open without hearing of it: Alertmanager's own default, five repetitions.
HOLD_SECONDS = 300.0
_SLACK_CHARS = 3_000
_ALERT_NAMES = {"drift": "TidegateModelDrift", "contract": "TidegateModelContract", "accuracy": "TidegateModelAccuracy"}


def link_of(public_url: str, alert: Mapping[str, Any]) -> str:
    """Address of the report that shows an alert; empty where nobody said how the server is reached."""
    if not public_url:
        return ""
    return f"{public_url.rstrip('/')}/drift/{quote(str(alert['model']), safe='')}?alert={alert['id']}"


def message(shape: Shape, event: str, alert: Mapping[str, Any], link: str, at: float) -> bytes:
    """The body to post.

    Args:
        shape: of the receiver.
        event: what happened to the alert.
        alert: its document.
        link: of its report; empty for none.
        at: Unix time in seconds, for receivers that are told how long it holds.
    """
    if shape == "slack":
        document: Any = _slack(event, alert, link)
    elif shape == "alertmanager":
        document = [_alertmanager(alert, link, at)]
    else:
        text = f"{_headline(event, alert)}: {alert['message']}"
        document = dict(alert) | {"event": event, "text": text, "report_url": link}
    return json.dumps(document).encode()


def _headline(event: str, alert: Mapping[str, Any]) -> str:
    who = str(alert["acknowledged_by" if event == "acknowledged" else "resolved_by"])
    by = f" by {who}" if event in ("acknowledged", "resolved") and who else ""
    return (
        f"{alert['kind']} alert {alert['id']} of {alert['model']}/{alert['version']} ({alert['severity']}) {event}{by}"
    )


def _slack(event: str, alert: Mapping[str, Any], link: str) -> dict[str, Any]:
    headline = _escaped(_headline(event, alert), _SLACK_CHARS // 4)
    body = _escaped(str(alert["message"]), _SLACK_CHARS // 2)
    note = f"\n> {_escaped(' '.join(str(alert['note']).split()), _SLACK_CHARS // 6)}" if alert["note"] else ""
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{headline}*\n{body}{note}"}}
    ]
    if link:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{link}|drift report>"}]})
    return {"text": headline, "blocks": blocks}


def _escaped(text: str, most: int) -> str:
    """Text as Slack shows it, of at most so many characters once it is escaped; cut between characters."""
    pieces: list[str] = []
    room = most - 1
    for character in text:
        piece = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(character, character)
        room -= len(piece)
        if room < 0:
            return "".join([*pieces, "…"])
        pieces.append(piece)
    return "".join(pieces)


def _alertmanager(alert: Mapping[str, Any], link: str, at: float) -> dict[str, Any]:
    """How an alert stands. Its labels are what Alertmanager knows it by: a raised severity is another one to it."""
    labels = {name: str(alert[name]) for name in ("model", "version", "kind", "severity")}
    ends_at = alert["resolved_at"] if alert["resolved_at"] is not None else at + HOLD_SECONDS
    document = {
        "labels": {"alertname": _ALERT_NAMES[alert["kind"]], **labels},
        "annotations": {
            "summary": alert["message"],
            "description": f"`tidegate alerts show {alert['id']}` has more; it is {alert['state']}.",
        },
        "startsAt": _moment(alert["opened_at"]),
        "endsAt": _moment(max(ends_at, alert["opened_at"])),
    }
    return document | ({"generatorURL": link} if link else {})


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
