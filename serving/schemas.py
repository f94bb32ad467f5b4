"""The wire as pydantic models: what /openapi.json and /docs show, and what the slower routes validate with.

The hot route decodes by hand (`serving.codec`) and only documents itself with these.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PredictParameters(_Closed):
    """How to answer."""

    top_k: int | None = Field(None, ge=1, description="How many labels, best first; all by default.")
    details: bool = Field(False, description="Answer with ids, version and whether the model abstained.")


class PredictBody(_Closed):
    """One text, or a list of texts."""

    inputs: Text | Annotated[list[Text], Field(min_length=1)]
    parameters: PredictParameters | None = None


class LabelScore(BaseModel):
    """A label and its probability."""

    label: str
    score: float


class Prediction(BaseModel):
    """One answer with what is known of it."""

    id: str = Field(description="Names this prediction in feedback.")
    label: str = Field(description="The answer; the fallback label when abstained.")
    score: float = Field(description="Probability of the most likely label.")
    abstained: bool = Field(description="The score was below the bundle's threshold.")
    scores: dict[str, float]


class DetailedPredictions(BaseModel):
    """The answer when `parameters.details` is true."""

    model: str
    version: int
    predictions: list[Prediction]


class FeedbackBody(_Closed):
    """A caller's correction."""

    prediction_id: Annotated[str, Field(min_length=1, max_length=64)]
    label: Annotated[str, Field(min_length=1, max_length=200)]
    comment: Annotated[str, Field(max_length=2_000)] = ""


class FeedbackAnswer(BaseModel):
    """Where the correction stands now."""

    item_id: str = Field(description="Id on the relabel queue.")


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str


class ModelSummary(BaseModel):
    """One served model."""

    name: str
    status: str = Field(description="loading, ready or failed.")
    error: str = ""
    version: int | None = None
    task: str = ""
    labels: list[str] = []
    variant: str = ""
    device: str = ""
    device_reason: str = ""


class ModelDetails(ModelSummary):
    """Everything that may be told of a served model."""

    description: str = ""
    created_at: str = ""
    variants: list[dict[str, Any]] = []
    evidence: list[dict[str, Any]] = Field([], description="What was measured at export, refused variants included.")
    postprocessing: dict[str, Any] = {}
    lineage: dict[str, Any] = {}
    samples: list[str] = []
