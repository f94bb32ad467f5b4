"""Settings: one frozen object, built at the entry point and passed down; nothing reads the environment later.

Each field is also the environment variable `TIDEGATE_<FIELD>`; a command-line flag wins over it. An unknown
`TIDEGATE_*` variable, a wrong type or a value out of range fails at start with the name and what would do.
Docs: docs/reference/settings.md is generated from the descriptions below, and a test compares the two.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from tidegate.errors import UsageError
from tidegate.placement import parse_devices

PREFIX = "TIDEGATE_"


class Settings(BaseModel):
    """Everything that can be set, with its default and how to choose another value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(
        Path(".tidegate"), description="Folder for bundles, state database and the embedded MLflow store."
    )
    database_url: str = Field(
        "", description="SQLAlchemy URL of the state database; empty means SQLite in the home folder."
    )
    export_python: str = Field(
        "", description="Interpreter of the export environment; empty means `.venv-export`, then the running one."
    )

    host: str = Field(
        "127.0.0.1", description="Address to listen on. Anything but loopback needs an API key, or --open."
    )
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    open: bool = Field(
        False, description="Serve beyond loopback without a key: everyone who reaches the port may do everything."
    )
    api_key: SecretStr = Field(
        SecretStr(""), description="Key that callers send as `Authorization: Bearer ...`; empty asks for none."
    )
    public_url: str = Field(
        "", description="Base URL that share links carry, where a proxy stands in front; empty means host and port."
    )

    device: str = Field(
        "auto",
        description="auto, cpu, cuda, cuda:N, or per model: headlines=cuda:1,topics=cpu,auto; auto prefers a GPU.",
    )
    threads: int = Field(
        0, ge=0, le=256, description="Cores that inference may use in all; 0 means every core of the machine."
    )
    workers: int = Field(
        1, ge=1, le=64, description="Processes that answer; the cores and the port are split among them."
    )
    tune: bool = Field(
        True, description="Measure the fastest safe plan at first start (under 20 s); false serves the exported choice."
    )
    goal: Literal["latency", "throughput"] = Field(
        "throughput", description="What plans are chosen for: latency of a single caller, or throughput under load."
    )
    max_body_bytes: int = Field(
        2_000_000, ge=1_000, description="Largest request body; more is answered 413 before it is read."
    )
    max_inputs: int = Field(1_024, ge=1, description="Most texts in one request; more is answered 413.")
    max_text_chars: int = Field(
        100_000, ge=1, description="Longest single text in characters; a longer one is answered 422."
    )
    max_queued: int = Field(
        4_096, ge=1, description="Most texts waiting per model; beyond it requests are shed with 429."
    )
    deadline_seconds: float = Field(
        30.0, gt=0, description="A request not answered by then is dropped and answered 504."
    )
    run_seconds: float = Field(
        30.0, gt=0, description="A run of a model that takes longer has hung: the model is opened anew."
    )
    lame_duck_seconds: float = Field(
        1.0, ge=0, description="After SIGTERM, how long requests are still taken while /readyz says 503."
    )
    drain_seconds: float = Field(10.0, ge=0, description="How long shutdown waits for requests in flight.")

    auto_promote: bool = Field(
        False, description="Promote canaries or take them back by the rules of docs/explanation/rollouts.md."
    )

    window_rows: int = Field(200, ge=50, description="A monitoring window closes after this many predictions ...")
    window_seconds: float = Field(3_600.0, gt=0, description="... or this long after its first one.")
    keep_records: int = Field(
        10_000, ge=0, description="Newest predictions kept per model with their text, for feedback and relabeling."
    )
    keep_windows: int = Field(1_000, ge=3, description="Newest windows kept per model.")
    webhook_url: str = Field("", description="URL that gets each alert as JSON; empty sends none.")
    relabel_per_alert: int = Field(
        50, ge=0, description="Most uncertain recent texts that a drift alert puts on the relabel queue."
    )

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        try:
            parse_devices(value)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **flags: Any) -> Self:
        """Build the settings from `TIDEGATE_*` variables and flags; a flag that is None leaves the variable.

        Raises:
            UsageError: an unknown variable, or a value that does not fit.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for variable, value in environ.items():
            if variable.startswith(PREFIX):
                values[_field_of(variable, cls.model_fields)] = value
        values |= {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**values)
        except ValidationError as error:
            raise UsageError(_explain(error)) from None

    @property
    def bundles_dir(self) -> Path:
        """The bundle store."""
        return self.home / "bundles"

    @property
    def state_url(self) -> str:
        """SQLAlchemy URL of the state database."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'state.db'}"


def _field_of(variable: str, known: Mapping[str, object]) -> str:
    field = variable.removeprefix(PREFIX).lower()
    if field not in known:
        options = ", ".join(PREFIX + name.upper() for name in known)
        raise UsageError(f"unknown setting {variable}; remove it or use one of: {options}")
    return field


def _explain(error: ValidationError) -> str:
    """One line a fault; values of secret fields never appear."""
    lines = []
    for fault in error.errors(include_url=False):
        field = str(fault["loc"][0])
        shown = "" if "key" in field else f" {fault['input']!r}"
        lines.append(f"setting {field} ({PREFIX}{field.upper()}){shown}: {fault['msg']}")
    return "; ".join(lines)
