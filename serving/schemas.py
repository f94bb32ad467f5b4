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
    function_to_apply: Literal["softmax"] | None = Field(None, description="Scores are probabilities in any case.")


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


class BehaviourRequest(Wire):
    """A text that was answered wrongly, to become a behavioural test."""

    text: str = Field(min_length=1, max_length=20_000)
    label: str = Field(min_length=1, max_length=200, description="The right label.")
    note: str = Field("", max_length=2_000, description="Why, for whoever reads the file.")


class BehaviourAnswer(BaseModel):
    """The example stands among the model's behavioural tests."""

    added: bool = Field(description="False where it stood there already.")


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
    status: Literal["loading", "ready", "failed", "unloaded", "stuck"]
    error: str | None = None
    version: int | None = None
    task: str | None = None
    labels: list[str] | None = Field(None, description="Empty where the task is embedding.")
    embedding: dict[str, Any] | None = Field(None, description="Dimensions, pooling, normalised; of embeddings only.")
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
    behaviour: dict[str, Any] | None = Field(
        None, description="Behavioural tests at export: how many ran and passed, and which failed; null without any."
    )
    demo: dict[str, Any] | None = Field(
        None, description="The demo page that its run brought: file, sha256, whether it is shown; null without one."
    )
    plan: dict[str, Any] | None = Field(None, description="How it runs here: variant, provider, threads, batching.")
    tuning: dict[str, Any] | None = Field(
        None, description="What was tried on this machine, with refusals; null when nothing was."
    )
    warnings: list[str] | None = None


class AliasRequest(BaseModel):
    """Where an alias is to point."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: int | str = Field(description="Version number, or another alias.")
    percent: float | None = Field(None, ge=0, le=100, description="Share of the callers that a canary answers.")


class VersionTraffic(BaseModel):
    """One live version since the aliases last moved; differences are to the champion, on the same texts."""

    role: Literal["champion", "canary", "shadow"]
    version: int
    requests: int
    errors: int
    latency_p50_seconds: float | None
    latency_p99_seconds: float | None
    compared: int = Field(description="Texts that this version and the champion both answered.")
    agreement: float | None = Field(description="Share of those with the same answer.")
    confidence_shift: float | None = Field(description="Mean score minus the champion's.")
    score_distance: float | None = Field(description="Mean absolute difference of the scores.")
    not_answered: int
    not_compared: int = Field(description="Left out because comparing may never hold up answers.")
    accuracy: float | None = Field(description="Share that was right, of the predictions with feedback.")
    feedback: int


class Decision(BaseModel):
    """What the rules of auto-promotion say of the canary."""

    decision: Literal["promote", "rollback", "wait"]
    reason: str


class Traffic(BaseModel):
    """Who answers whom, and how the versions compare."""

    model: str
    since: float | None = Field(description="Unix seconds at which canary or shadow was set; null when never.")
    canary_percent: float | None
    auto_promote: bool
    versions: list[VersionTraffic]
    verdict: Decision | None = None


class LabelStudioEvent(BaseModel):
    """What Label Studio tells; it has more fields than these, by version."""

    action: str = Field(
        description="ANNOTATION_CREATED, ANNOTATION_UPDATED or ANNOTATIONS_DELETED; others say nothing."
    )
    annotation: dict[str, Any] | list[dict[str, Any]] | None = None
    task: dict[str, Any] | list[dict[str, Any]] | None = None
    annotations: list[dict[str, Any]] | None = Field(None, description="Of those deleted: their ids.")


class LabelStudioAnswer(BaseModel):
    """What became of the annotations of an event."""

    labelled: int
    changed: int = Field(description="Answers that say something else now, or that were taken back.")
    unchanged: int


class AlertNote(Wire):
    """What a person has to say about an alert."""

    note: str = Field("", max_length=2_000, description="Kept with the alert, and told to its receivers.")


class AlertDescription(BaseModel):
    """What was found about a model version, and who has seen it; times are Unix seconds."""

    id: int
    state: Literal["open", "acknowledged", "resolved"]
    model: str
    version: int
    kind: Literal["drift", "contract", "accuracy"]
    severity: Literal["ticket", "page"]
    event: str = Field(description="What happened last: opened, raised, reopened, acknowledged, resolved.")
    message: str
    features: list[dict[str, Any]] = Field(description="Those at fault, worst first: name, score, threshold.")
    detail: dict[str, Any]
    window_id: int = Field(description="The window at whose close it was opened.")
    window_ids: list[int]
    occurrences: int = Field(description="Closed windows with the finding.")
    quiet_windows: int = Field(description="Closed windows without it since then.")
    relabel_items_queued: int
    opened_at: float
    last_seen_at: float | None
    acknowledged_at: float | None
    acknowledged_by: str
    resolved_at: float | None
    resolved_by: str
    note: str


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class ModelReadiness(BaseModel):
    """Where one model stands."""

    status: Literal["loading", "ready", "failed", "unloaded", "stuck"]
    error: str | None = None


class Readiness(BaseModel):
    """Where the server stands."""

    ready: bool
    models: dict[str, ModelReadiness]
