"""The part of serving's gateway that demos use, as protocols: serving's `Gateway` fits them, tests bring their own.

Before: `tidegate.cli.gateway` mounts the demos with the real one; after: `demos.client` asks through them.
"""

from collections.abc import Sequence
from typing import Protocol

from serving.caller import ANYONE, Caller
from tidegate.bundle import Bundle, Manifest
from tidegate.settings import Settings
from tidegate.tasks import Answer


class Predictions(Protocol):
    """The answers to the texts of one request, in their order."""

    @property
    def answers(self) -> Sequence[Answer]:
        """One answer a text."""
        ...

    @property
    def vectors(self) -> Sequence[Sequence[float]]:
        """One vector a text where the task is embedding; else none."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """One prediction id a text."""
        ...

    @property
    def version(self) -> int:
        """Version of the bundle that answered."""
        ...

    @property
    def variant(self) -> str:
        """Its variant."""
        ...


class ServedModel(Protocol):
    """A model that answers."""

    @property
    def bundle(self) -> Bundle:
        """The bundle of the version that answers."""
        ...

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        ...

    @property
    def variant(self) -> str:
        """Its variant that answers."""
        ...

    async def predict(
        self, texts: Sequence[str], deadline_seconds: float | None = None, caller: Caller = ANYONE
    ) -> Predictions:
        """Answer texts, through the batcher that the API uses."""
        ...

    async def compare(self, texts: Sequence[str]) -> Sequence[Answer | Sequence[float]]:
        """Answer texts last in line, with nothing recorded."""
        ...


class Rollout(Protocol):
    """Who answers whom."""

    @property
    def champion(self) -> ServedModel:
        """The version that answers."""
        ...

    @property
    def canary(self) -> ServedModel | None:
        """The version that answers some."""
        ...

    @property
    def shadow(self) -> ServedModel | None:
        """The version that answers nobody yet."""
        ...


class Repository(Protocol):
    """The models that are served."""

    def get(self, name: str) -> ServedModel:
        """The served model of that name, or `ModelNotFound`."""
        ...

    def rollout(self, name: str) -> Rollout:
        """Its versions; raises what `get` does."""
        ...


class Corrections(Protocol):
    """Takes corrections; the part of `tidegate.records.Monitor` that demos use."""

    def feedback(self, model: str, prediction_id: str, label: str, comment: str) -> str:
        """The right label of a prediction; the id of its item on the relabel queue. Blocks."""
        ...


class Gateway(Protocol):
    """The part of `serving`'s gateway that demos use."""

    @property
    def repository(self) -> Repository:
        """The models that are served."""
        ...

    @property
    def settings(self) -> Settings:
        """The limits that hold for the API too."""
        ...

    @property
    def monitor(self) -> Corrections:
        """Where corrections go; its calls block."""
        ...
