"""What a view is asked with: the gateway, where in the dashboard, and what about it.

Before: `app` makes one for each request; after: the views. Disk and database are asked in threads, never on the loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool

from serving.gateway import Gateway
from tidegate.bundle import MANIFEST, Bundle, Manifest
from tidegate.errors import BundleNotFound, InvalidInput

_MOST_DIGITS = 9


class Runs(Protocol):
    """The runs of the registry, read where MLflow lives."""

    async def listed(self) -> Sequence[Mapping[str, Any]]:
        """Every run, newest first."""
        ...

    async def documents(self, run_ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """What is known of some, as `exporters.run_documents.read_runs` answers it."""
        ...


class NoRuns:
    """Where no registry can be read: the dashboard shows what bundles know of their runs."""

    async def listed(self) -> Sequence[Mapping[str, Any]]:
        """None."""
        return []

    async def documents(self, run_ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002  # the protocol's
        """None."""
        return []


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a view.

    Attributes:
        gateway: what serves.
        runs: the registry's runs.
        path: the parts of the address that the view names, as `model`.
        query: what follows the `?`, several values a name.
    """

    gateway: Gateway
    runs: Runs
    path: Mapping[str, str]
    query: Mapping[str, Sequence[str]]

    def one(self, name: str, otherwise: str = "") -> str:
        """The first value of a name in the query."""
        return (self.query.get(name) or [otherwise])[0]

    def number(self, name: str) -> int | None:
        """A whole number of the query; None where it is not there.

        Raises:
            InvalidInput: it is no whole number.
        """
        word = self.one(name)
        if word and not (word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS):
            raise InvalidInput(f"{name} is a whole number, not {word[:40]!r}")
        return int(word) if word else None

    async def bundle(self) -> Bundle:
        """The version that `?version=N` names, or the champion, of the model in the path; its bytes are not verified.

        Raises:
            ModelNotFound: the model is not served.
            BundleNotFound: it has no such version.
        """
        model = self.path["model"]
        self.gateway.repository.state(model)
        return await run_in_threadpool(self._read, model, self.number("version"))

    def _read(self, model: str, version: int | None) -> Bundle:
        store = self.gateway.bundles
        number = store.resolve(model, version or "champion")
        return Bundle(store.path(model, number), read_manifest(store.path(model, number) / MANIFEST))


def read_manifest(file: Path) -> Manifest:
    """A manifest, as it is on disk.

    Raises:
        BundleNotFound: it cannot be read.
    """
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleNotFound(f"{file} cannot be read: {str(error)[:200]}") from None
