"""What goes over the wire, for the API's documentation (`/openapi.json`).

The hot route does not validate with these (`serving.codec` checks by hand, in microseconds); tests hold the two
to the same answers.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Wire(BaseModel):
    """Base of what a caller sends: unknown keys are an error, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PredictParameters(Wire):
    """How the answer is shaped."""

    top_k: int | None = Field(None, ge=1, description="Labels per input, best first; all of them by default.")
    details: bool = Field(False, description="Answer with ids, version and abstention, instead of bare rankings.")


class PredictRequest(Wire):
    """Hugging Face's inference shape."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"inputs": "Profit rose to EUR 5.2 mn", "parameters": {"top_k": 1}}],
        }
    )

    inputs: str | list[str] = Field(description="One text, or a list of texts.")
    parameters: PredictParameters | None = None


class LabelScore(BaseModel):
    """One label of a ranking."""

    label: str
    score: float = Field(ge=0, le=1, description="Probability.")


class Prediction(BaseModel):
    """One prediction in full."""

    id: str = Field(description="What feedback names.")
    label: str
    score: float = Field(ge=0, le=1, description="Probability of the most likely class, also when abstained.")
    abstained: bool = Field(description="The score was below the bundle's threshold; `label` is its fallback label.")
    scores: dict[str, float] = Field(description="Probability by label, best first, `top_k` of them.")


class DetailedPredictions(BaseModel):
    """The answer with `parameters.details`."""

    model: str
    version: int
    predictions: list[Prediction]


class FeedbackRequest(Wire):
    """A correction of one prediction."""

    prediction_id: str = Field(min_length=1, max_length=64)
    label: str = Field(min_length=1, max_length=200, description="The right label.")
    comment: str = Field("", max_length=1_000)


class FeedbackAnswer(BaseModel):
    """The correction was stored."""

    item_id: str = Field(description="Its item on the relabel queue.")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    pointer: str | None = Field(None, description="JSON pointer of the fault in the request's body.")


class ModelSummary(BaseModel):
    """One model of the list."""

    name: str
    status: Literal["loading", "ready", "failed"]
    error: str | None = None
    version: int | None = None
    task: str | None = None
    labels: list[str] | None = None
    variant: str | None = None
    device: str | None = None
    device_reason: str | None = None


class ModelDescription(ModelSummary):
    """A model in full; what is not known before it is open is left out."""

    description: str | None = None
    created_at: str | None = None
    threshold: float | None = None
    fallback_label: str | None = None
    variants: list[dict[str, Any]] | None = None
    evidence: list[dict[str, Any]] | None = None
    lineage: dict[str, Any] | None = None
    samples: list[str] | None = None
    plan: dict[str, Any] | None = Field(None, description="How it runs here: variant, provider, threads, batching.")
    tuning: dict[str, Any] | None = Field(
        None, description="What was tried on this machine, with refusals; null when nothing was."
    )
    warnings: list[str] | None = None


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class ModelReadiness(BaseModel):
    """Where one model stands."""

    status: Literal["loading", "ready", "failed"]
    error: str | None = None


class Readiness(BaseModel):
    """Where the server stands."""

    ready: bool
    models: dict[str, ModelReadiness]
