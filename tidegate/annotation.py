"""What serving asks of the relabel queue for people who label: items out, answers in, an answer taken back.

Serving and monitoring do not import each other; the command line gives serving something that fits `Desk`
(`monitoring.labels.desk`). Documents are plain dictionaries, ready for JSON; `serving.relabel_schemas` describes them.
Every call may block on the state database, so routes run it in a thread.
"""

from typing import Any, Literal, Protocol

Verdict = Literal["label", "none", "skip"]
Document = dict[str, Any]

MAX_NAME_CHARS = 64  # as many as an API key's name has


class Desk(Protocol):
    """Where annotators get items and bring answers; each raises `NotReady` when the database cannot be reached."""

    def next(self, model: str, annotator: str, count: int) -> Document:
        """Claim items for an annotator: those that they hold already first; at most `count` of them."""
        ...

    def answer(
        self,
        model: str,
        item: str,
        annotator: str,
        verdict: Verdict,
        label: str | None,
        seconds: float | None,
        comment: str,
    ) -> Document:
        """Store an answer durably; a second time the same changes nothing.

        Raises:
            ItemNotFound: no such item on the model's queue.
            InvalidInput: not a label of the model, or an answer that stands: in a data set, or compared already.
        """
        ...

    def undo(self, model: str, annotator: str) -> Document:
        """Take the annotator's last answer back, and claim its item for them once more.

        Raises:
            ItemNotFound: there is none.
            InvalidInput: it stands.
        """
        ...

    def release(self, model: str, item: str, annotator: str) -> Document:
        """Give an item back before its lease runs out; one that somebody else holds stays theirs."""
        ...

    def progress(self, model: str, annotator: str) -> Document:
        """What waits for the annotator, what was done, and how often others agreed."""
        ...

    def waiting(self) -> dict[str, int]:
        """Model to items that wait for people; models without a queue are missing."""
        ...

    def stats(self, model: str) -> Document:
        """A model's whole queue for who runs it: items, days, annotators, agreement, what became of the labels."""
        ...

    def queues(self) -> list[Document]:
        """A line for each queue there is."""
        ...
