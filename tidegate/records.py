"""What serving tells monitoring: one record a prediction, handed over in batches, never waiting.

Serving and monitoring do not import each other; the command line gives serving something that fits
`Recorder` and `Monitor`. Records carry text: they live in memory and in the state database's bounded
`records` table only, never in profiles, logs or metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate.bundle import Manifest
from tidegate.preprocess import Encoded
from tidegate.tasks import Answer

AlertState = Literal["open", "acknowledged", "resolved"]
Span = Literal["window", "minute", "hour", "day"]  # what a point of a trend is of


@dataclass(frozen=True, slots=True)
class Record:
    """One prediction as it was served.

    Attributes:
        id: prediction id, as the caller got it.
        scores: probability per label, in the bundle's order.
        row: the text as the model took it; what monitoring counts was counted there.
        embedding: the text as a vector, float32 of shape (hidden,), a view into its batch; None where the bundle has
            none.
        created_at: Unix time in seconds.
        caller: a digest of who asked, never an address or a key; empty where nobody can tell.
    """

    id: str
    model: str
    version: int
    variant: str
    text: str
    label: str
    score: float
    abstained: bool
    scores: tuple[float, ...]
    row: Encoded
    embedding: NDArray[np.float32] | None
    created_at: float
    caller: str = ""


def make_records(
    manifest: Manifest,
    variant: str,
    ids: Sequence[str],
    texts: Sequence[str],
    rows: Sequence[Encoded],
    answers: Sequence[Answer],
    created_at: float,
    embeddings: Sequence[NDArray[np.float32] | None] | None = None,
    caller: str = "",
) -> list[Record]:
    """Records of the predictions of one request: one per text, in order; all sequences of one length."""
    return [
        Record(
            id=prediction_id,
            model=manifest.name,
            version=manifest.version,
            variant=variant,
            text=text,
            label=answer.label,
            score=answer.score,
            abstained=answer.abstained,
            scores=answer.scores,
            row=row,
            embedding=embedding,
            created_at=created_at,
            caller=caller,
        )
        for prediction_id, text, row, answer, embedding in zip(
            ids, texts, rows, answers, embeddings if embeddings is not None else repeat(None, len(ids)), strict=True
        )
    ]


class Recorder(Protocol):
    """Takes records; called on the event loop, so it must return at once."""

    def record(self, records: Sequence[Record]) -> None:
        """Take the records of one request, or drop and count them when its queue is full."""
        ...

    def disagreed(self, model: str, ids: Sequence[str]) -> None:
        """Hear of predictions that another version of the model answered otherwise; a hint, which may be dropped."""
        ...


class Monitor(Protocol):
    """What the routes ask of monitoring; each call may block, so routes run it in a thread."""

    def drift(self, model: str, version: int, alert: int | None = None) -> dict[str, Any]:
        """The drift report: model, version, status, alert, windows, features and what explains them.

        With an alert's number it is about the windows that raised it, and a classifier says what sets them apart.

        Raises:
            ItemNotFound: no alert of that model version with that number.
        """
        ...

    def data(self, model: str, version: int, window: str) -> dict[str, Any]:
        """Every feature in training, in evaluation and in a window: a number, `last`, or `alert`.

        Raises:
            InvalidInput, ItemNotFound: no such window.
            BundleCorrupt: the bundle cannot be read.
        """
        ...

    def feature(self, model: str, version: int, feature: str, by: Span, most: int) -> dict[str, Any]:
        """One feature in depth, with its trend over the newest windows or periods.

        Raises:
            ItemNotFound: there is no such feature.
            BundleCorrupt: the bundle cannot be read.
        """
        ...

    def texts(self, model: str, ids: Sequence[str]) -> dict[str, str]:
        """Texts of predictions by id, as they are kept; those no longer kept are missing."""
        ...

    def feedback(self, model: str, prediction_id: str, label: str, comment: str) -> str:
        """Store a caller's correction durably, put it on the relabel queue, return the item's id.

        Raises:
            PredictionNotFound: no such prediction is kept.
            InvalidInput: not a label of the model.
        """
        ...

    def label_studio(self, model: str, event: Any) -> dict[str, Any]:
        """Take what a webhook of Label Studio tells of annotations: how many answers were stored, changed, unchanged.

        Raises:
            InvalidInput: an annotation that cannot be taken; those that can are taken all the same.
        """
        ...

    def alerts(self, model: str | None, state: AlertState | None) -> list[dict[str, Any]]:
        """Alerts, newest first: all, or those of a model, or in a state."""
        ...

    def alert(self, alert_id: int) -> dict[str, Any]:
        """One alert.

        Raises:
            ItemNotFound: no alert with that id.
        """
        ...

    def deliveries(self) -> list[dict[str, Any]]:
        """What receivers were told of alerts, newest first: alert, event, receiver, state, attempts, times, error."""
        ...

    def acknowledge(self, alert_id: int, by: str, note: str) -> dict[str, Any]:
        """Say that somebody looks at an alert; raises what `alert` does."""
        ...

    def resolve(self, alert_id: int, by: str, note: str) -> dict[str, Any]:
        """Say that an alert is over; raises what `alert` does."""
        ...


class NullRecorder:
    """Keeps nothing: for tests and for serving with monitoring switched off."""

    def record(self, records: Sequence[Record]) -> None:
        """Drop the records."""

    def disagreed(self, model: str, ids: Sequence[str]) -> None:
        """Do nothing."""
