"""What a view is asked with: the gateway, where in the dashboard, and what about it.

Before: `app` makes one for each request; after: the views. Disk and database are asked in threads, never on the loop.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool

from demos.dashboard.ring import Ring
from serving.access import Role
from serving.gateway import Gateway
from tidegate.bundle import MANIFEST, Bundle, Manifest
from tidegate.bundle_store import BundleStore
from tidegate.errors import BundleNotFound, InvalidInput

_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Reading:
    """What the registry said when it was asked last.

    Attributes:
        documents: what it said; None where it has not answered yet, or cannot be asked.
        as_of: when that was, Unix seconds.
        failure: why it could not be read, as a sentence without its full stop; empty where it could.
    """

    documents: Sequence[Mapping[str, Any]] | None = None
    as_of: float = 0.0
    failure: str = ""

    @property
    def pending(self) -> bool:
        """It is being asked for the first time."""
        return self.documents is None and not self.failure


class Runs(Protocol):
    """The runs of the registry, read where MLflow lives. Both answer at once with what is known, and read behind."""

    def listed(self) -> Reading:
        """Every run, newest first, as `exporters.run_list.all_runs` answers it."""
        ...

    def documents(self, run_ids: Sequence[str]) -> Reading:
        """What is known of some, in their order, as `exporters.run_documents.read_runs` answers it."""
        ...


class NoRuns:
    """Where no registry can be read: the dashboard shows what bundles know of their runs."""

    def listed(self) -> Reading:
        """Nothing, and why."""
        return Reading(failure="this server reads no registry")

    def documents(self, run_ids: Sequence[str]) -> Reading:  # noqa: ARG002  # the protocol's
        """Nothing, and why."""
        return self.listed()


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a view.

    Attributes:
        gateway: what serves.
        runs: the registry's runs.
        path: the parts of the address that the view names, as `model`.
        query: what follows the `?`, several values a name.
        ring: the live figures of this process.
        role: what the visitor may do; everything where no key is asked for.
    """

    gateway: Gateway
    runs: Runs
    path: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    ring: Ring = field(default_factory=Ring)
    role: Role = Role.ADMIN

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
        return await self.bundle_of(self.number("version"))

    async def bundle_of(self, version: int | None) -> Bundle:
        """A version, or the champion where none is named, of the model in the path; raises what `bundle` does."""
        model = self.path["model"]
        self.gateway.repository.state(model)
        return await run_in_threadpool(self._read, model, version)

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
        return _parsed(file, file.stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise BundleNotFound(f"{file} cannot be read: {str(error)[:200]}") from None


def every_manifest(store: BundleStore) -> list[Manifest]:
    """Of every bundle version, newest first in each model; one that cannot be read is left out."""
    return [manifest for name in store.names() for manifest in manifests_of(store, name)[0]]


def manifests_of(store: BundleStore, name: str) -> tuple[list[Manifest], int]:
    """Of a model's versions, newest first, and how many could not be read."""
    found, versions = [], store.versions(name)
    for version in reversed(versions):
        with suppress(BundleNotFound):  # `tidegate bundles verify` says what is wrong with it
            found.append(read_manifest(store.path(name, version) / MANIFEST))
    return found, len(versions) - len(found)


@lru_cache(maxsize=512)
def _parsed(file: Path, changed: int) -> Manifest:  # noqa: ARG001  # what was published stays as it is
    return Manifest.model_validate_json(file.read_bytes())
