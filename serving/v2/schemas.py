"""V2's documents, for the API's documentation (`/openapi.json`); requests are checked by hand in `serving.v2.wire`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Parameters = dict[str, str | float | bool]


class InputTensor(BaseModel):
    """One input."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = Field(None, description="Row-major, nested or flat; not beside binary_data_size.")
    parameters: Parameters = {}


class WantedOutput(BaseModel):
    """One output that is wanted."""

    name: str
    parameters: Parameters = {}


class InferDocument(BaseModel):
    """What is asked."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Profit rose"]}]}]
        }
    )

    id: str = ""
    inputs: list[InputTensor] = Field(min_length=1)
    outputs: list[WantedOutput] = []
    parameters: Parameters = Field({}, description="timeout in microseconds; priority, 1 first; binary_data_output.")


class OutputTensor(BaseModel):
    """One output."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = None
    parameters: Parameters | None = None


class InferAnswerDocument(BaseModel):
    """The answer."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class Live(BaseModel):
    """The process answers."""

    live: Literal[True]


class Ready(BaseModel):
    """Whether every model answers."""

    ready: bool


class ServerMetadata(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """An input or output; -1 marks a variable dimension."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(BaseModel):
    """Whether a model answers."""

    name: str
    ready: bool


class ModelConfig(BaseModel):
    """The part of a Triton configuration that clients read."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[dict[str, Any]]
    output: list[dict[str, Any]]


class ModelStatistics(BaseModel):
    """Counts and times of live versions."""

    model_config = ConfigDict(protected_namespaces=())

    model_stats: list[dict[str, Any]]


class IndexRequest(BaseModel):
    """Which models are asked about."""

    ready: bool = Field(False, description="Only those that answer.")


class IndexEntry(BaseModel):
    """One version, or one model that has none."""

    name: str
    version: str | None = None
    state: Literal["READY", "LOADING", "UNAVAILABLE"]
    reason: str


class LoadRequest(BaseModel):
    """What may come with load and unload; `config` and `file:` are refused."""

    parameters: Parameters = {}
