"""Looks at the server before any load: is it there, is the model, may we, is it ready, and what does it answer?

First step of `tidegate loadtest` and of `locustfile`. Speaks to the URL given and to no other: no proxy from
the environment, no redirect. One prediction is asked for, since only that proves that the model answers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from loadtests.answers import failure_of
from loadtests.payloads import BUILT_IN_TEXTS
from tidegate.errors import ModelNotFound, NotReady, TidegateError, Unauthorized, UsageError

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """A model on a server, as its card shows it.

    Attributes:
        url: base URL, without a slash at its end.
        labels: every label it may answer, the fallback label included.
        samples: its sample texts; empty when it shows none.
    """

    url: str
    model: str
    version: str
    labels: frozenset[str]
    samples: tuple[str, ...]

    @property
    def predict_path(self) -> str:
        """Path of the predict route, from the base URL on."""
        return f"/models/{quote(self.model, safe='')}/predict"


def checked_url(url: str) -> str:
    """The base URL, without a slash at its end.

    Raises:
        UsageError: not http or https, no host, or anything but scheme, host, port and path in it.
    """
    parts = urlsplit(url)
    if parts.username or parts.password:  # the URL is shown in reports: do not repeat it here
        raise UsageError("the URL holds a user or password; leave it out and set TIDEGATE_API_KEY")
    try:
        complete = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # a port that is no number
        complete = False
    if not complete or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is no server's address; write it as http://127.0.0.1:8080")
    return url.rstrip("/")


def authorization(api_key: str) -> dict[str, str]:
    """The header that carries the key; none without a key."""
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def inspect(url: str, model: str, api_key: str = "") -> Target:
    """Read the model's card and ask for one prediction.

    Raises:
        NotReady: no server answers there, or the model does not answer yet.
        ModelNotFound: the server does not know the model; the message names those it knows.
        Unauthorized: a key is missing or does not hold.
        TidegateError: whatever answers is no Tidegate server.
    """
    base = checked_url(url)
    with (
        _reached(base),
        httpx.Client(base_url=base, headers=authorization(api_key), timeout=TIMEOUT_SECONDS, trust_env=False) as client,
    ):
        card = _card(client, base, model)
        if card.get("task") == "embedding":
            raise TidegateError(f"{model} answers vectors, and the load test checks labels; name a classifier")
        labels = frozenset(card["labels"]) | {label for label in [_fallback(card)] if label}
        target = Target(base, model, str(card.get("version", "")), labels, tuple(card.get("samples") or ()))
        _try_out(client, target)
    return target


def _card(client: httpx.Client, base: str, model: str) -> dict[str, Any]:
    """`GET /models/{m}` as a dictionary that has labels."""
    response = client.get(f"/models/{quote(model, safe='')}")
    if response.status_code == 404:
        raise ModelNotFound(f"{base} serves no model {model!r}; it serves: {_known(client)}")
    _refuse(response, base)
    card = _json(response)
    if not isinstance(card, dict) or not isinstance(card.get("labels"), list):
        raise TidegateError(f"{base}/models/{model} shows no labels, so this is no Tidegate server; check the URL")
    return card


def _try_out(client: httpx.Client, target: Target) -> None:
    text = next((sample for sample in target.samples if sample.strip()), BUILT_IN_TEXTS[0])
    response = client.post(target.predict_path, json={"inputs": text})
    _refuse(response, target.url)
    failure = failure_of(response.status_code, response.content, 1, target.labels)
    if failure:
        raise TidegateError(f"{target.model} at {target.url} does not answer rightly without any load: {failure}")


def _refuse(response: httpx.Response, base: str) -> None:
    """Turn a refusal into the error that says what to do."""
    if response.status_code in (401, 403):
        raise Unauthorized(f"{base} answered {response.status_code}: set TIDEGATE_API_KEY to a key that it takes")
    if response.status_code == 503:
        raise NotReady(f"{base} is not ready (503): {_detail(response)}; wait until GET /readyz answers 200")
    if response.status_code != 200:
        raise TidegateError(
            f"{base} answered {response.status_code} to {response.request.url.path}: {_detail(response)}"
        )


def _known(client: httpx.Client) -> str:
    """Names of the served models, as far as `GET /models` tells."""
    listed = _json(client.get("/models"))
    entries = listed.get("models", []) if isinstance(listed, dict) else listed
    names = [str(entry.get("name")) if isinstance(entry, dict) else str(entry) for entry in entries or []]
    return ", ".join(names) or "none"


def _fallback(card: dict[str, Any]) -> str | None:
    """The label that answers below the threshold, wherever the card shows it."""
    label = card.get("fallback_label") or (card.get("postprocessing") or {}).get("fallback_label")
    return str(label) if label else None


def _detail(response: httpx.Response) -> str:
    """The `detail` of problem+json (RFC 9457), cut to one line."""
    document = _json(response)
    detail = document.get("detail") or document.get("title") if isinstance(document, dict) else None
    return " ".join(str(detail or response.reason_phrase).split())[:200]


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


@contextmanager
def _reached(base: str) -> Iterator[None]:
    """Map httpx's errors, which are raised here and nowhere else in this package."""
    try:
        yield
    except httpx.TimeoutException:
        raise NotReady(f"{base} did not answer within {TIMEOUT_SECONDS:g} s; is the server overloaded?") from None
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise NotReady(f"no server answers at {base} ({error}); start one with `tidegate serve`") from None
