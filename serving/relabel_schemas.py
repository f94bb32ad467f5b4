"""What goes over the wire between the relabel queue and people who label: for `serving.relabel` and `/openapi.json`."""

from typing import Literal

from pydantic import BaseModel, Field

from serving.schemas import Wire

MAX_LABEL_CHARS = 1_000
MAX_COMMENT_CHARS = 4_000
_DAY_SECONDS = 86_400.0


class AnnotatorAnswer(Wire):
    """What a person says of an item."""

    verdict: Literal["label", "none", "skip"] = Field(
        description="`none`: not a case for these labels; `skip`: somebody else shall say."
    )
    label: str | None = Field(None, max_length=MAX_LABEL_CHARS, description="With the verdict `label` alone.")
    seconds: float | None = Field(
        None, ge=0, le=_DAY_SECONDS, allow_inf_nan=False, description="That the person looked at it."
    )
    comment: str = Field("", max_length=MAX_COMMENT_CHARS)


class Nothing(Wire):
    """An empty object: its content type shows that no form of another site sent it."""


class Agreement(BaseModel):
    """How often an annotator's answers are those of others, and right where they were tested."""

    compared: int = Field(description="Pairs of answers of different people to the same item.")
    agreed: int
    tests: int = Field(description="Gold items answered.")
    right: int


class RelabelProgress(BaseModel):
    """What waits, and what was done; skipped items do not count."""

    annotator: str
    waiting: int = Field(description="For this annotator; what others have on the screen is left out.")
    today: int = Field(description="Answers of everybody since midnight where the server is.")
    mine_today: int
    mine: int
    agreement: Agreement


class RelabelItem(BaseModel):
    """One text to label."""

    id: str
    text: str
    version: int = Field(description="Of the model that answered.")
    labels: list[str]
    predicted: str
    scores: dict[str, float] = Field(description="Probability by label.")
    suggested: str | None = Field(description="What a caller claims to be right.")
    lease_seconds: float = Field(description="For which nobody else gets it, from this answer on.")


class RelabelItems(BaseModel):
    """Items that the annotator holds now."""

    items: list[RelabelItem]
    progress: RelabelProgress


class Comparison(BaseModel):
    """What the annotator is told of an item once they have answered it; their answer is final from then on."""

    kind: Literal["gold", "others"]
    right: bool | None = Field(None, description="Of a gold item: whether they are.")
    label: str | None = Field(None, description="Of a gold item: what is right.")
    others: int | None = Field(None, description="Who had answered it before.")
    agreed: int | None = Field(None, description="How many of them alike.")


class RelabelOutcome(BaseModel):
    """What became of an answer."""

    item: str
    outcome: Literal["stored", "changed", "unchanged"]
    state: Literal["new", "claimed", "labelled", "disputed", "accepted", "in_data_set", "discarded"]
    held: bool = Field(description="False: the lease had run out; the answer counts all the same.")
    told: Comparison | None
    progress: RelabelProgress


class RelabelUndone(BaseModel):
    """The item whose answer was taken back; it is the annotator's again."""

    item: RelabelItem
    progress: RelabelProgress
