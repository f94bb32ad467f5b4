"""Settings: one frozen object, built at the entry point and passed down; nothing reads the environment later.

Each field is also the environment variable `TIDEGATE_<FIELD>`; a command-line flag wins over it. An unknown
`TIDEGATE_*` variable, a wrong type or a value out of range fails at start with the name and what would do.
Docs: docs/reference/settings.md is generated from the descriptions below, and a test compares the two.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tidegate.errors import UsageError
from tidegate.label_slots import DEFAULT_SHARES, parse_shares
from tidegate.placement import parse_devices
from tidegate.redaction import Redactor

PREFIX = "TIDEGATE_"
# Settings with a small language of their own; what reads it says what is wrong.
_PARSED: Mapping[str, Callable[[str], object]] = {
    "device": parse_devices,
    "redact": Redactor.of,
    "relabel_shares": parse_shares,
}
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")


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
    grpc_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for Open Inference Protocol V2 over gRPC; 0 picks a free one, None serves no gRPC.",
    )
    open: bool = Field(
        False, description="Serve beyond loopback without a key: everyone who reaches the port may do everything."
    )
    api_key: SecretStr = Field(
        SecretStr(""), description="Key that callers send as `Authorization: Bearer ...`; empty asks for none."
    )
    cors_origins: str = Field(
        "", description="Web pages elsewhere that may call: origins such as https://app.example.org, with commas, or *."
    )
    root_path: str = Field(
        "", description="What a proxy puts in front of every address, such as /tidegate; empty for nothing."
    )
    trusted_proxies: str = Field(
        "", description="Addresses or networks, with commas, whose X-Forwarded-For and -Proto hold; empty for none."
    )
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM) to serve HTTPS with; needs tls_key.")
    tls_key: Path | None = Field(None, description="Private key (PEM, without a passphrase) of tls_cert.")
    public_url: str = Field(
        "",
        description="Base URL that links carry where a proxy stands in front; empty: share links have host and port, "
        "alerts no link.",
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

    demo_explanations: bool = Field(
        True, description="Demo pages explain answers by asking without each word: up to 49 runs a click, last in line."
    )

    trust_demo: str = Field(
        "",
        description="Models, with commas, whose runs' own demo pages are run and shown: NAME for every version, "
        "NAME/VERSION for one.",
    )

    log_format: Literal["text", "json"] = Field(
        "text", description="Form of the log on stderr: lines for people, or one JSON object a line for programs."
    )
    access_log: bool = Field(False, description="Log a line for each request; never what was asked or answered.")
    otlp_endpoint: str = Field(
        "",
        pattern="^(https?://.+)?$",
        description="Base URL of an OTLP/HTTP collector that gets traces (extra `otel`); empty sends none anywhere.",
    )
    trace_ratio: float = Field(
        1.0, ge=0, le=1, description="Share of requests that are traced where the caller's `traceparent` does not say."
    )

    auto_promote: bool = Field(
        False, description="Promote canaries or take them back by the rules of docs/explanation/rollouts.md."
    )
    follow: str = Field(
        "", description="models:/NAME@ALIAS, comma-separated: when one moves, it is exported and becomes the canary."
    )
    follow_seconds: float = Field(
        30.0, ge=1, description="How often the registry is asked where the followed aliases point."
    )

    monitoring: bool = Field(
        True, description="Watch predictions for drift and keep them for feedback; false records none of them."
    )
    window_rows: int = Field(100, ge=50, description="A monitoring window closes after this many predictions ...")
    window_seconds: float = Field(3_600.0, gt=0, description="... or this long after its first one.")
    window_spacing_seconds: float = Field(
        2.0, ge=0, description="Seconds between the windows of a busy model; beyond a burst of 20 they grow larger."
    )
    keep_records: int = Field(
        10_000,
        ge=0,
        description="Newest predictions kept per model with their text, for feedback and relabeling; "
        "0 keeps no text, and puts none on the relabel queue but what callers report.",
    )
    false_alarm_days: float = Field(
        30.0, gt=0, description="Days in which one false drift alarm a model may be; the alarm's limits follow from it."
    )
    keep_windows: int = Field(1_000, ge=3, description="Newest windows kept per model.")
    alert_resolve_windows: int = Field(
        3, ge=1, description="An alert is resolved after this many closed windows without what it was opened for."
    )
    alert_cooldown_seconds: float = Field(
        3_600.0, ge=0, description="How long after it was acknowledged or resolved an alert is not told again."
    )
    webhook_url: str = Field(
        "",
        description="URLs that get alerts, with commas: https://... as JSON, slack+https://... or "
        "alertmanager+https://... in those shapes; empty sends none.",
    )
    webhook_allow_private: bool = Field(
        False, description="Let webhook_url lead into private networks, this machine included."
    )
    redact: str = Field(
        "", description="What is blanked out of texts before they are stored: email,phone,card,account, or all."
    )
    accuracy_drop: float = Field(
        0.05, gt=0, lt=1, description="Loss of accuracy that is bearable; a surely larger one pages."
    )
    relabel_per_day: int = Field(
        100, ge=0, description="Most texts per model and day that selection puts on the relabel queue; 0 selects none."
    )
    relabel_shares: str = Field(
        DEFAULT_SHARES,
        description="How they are divided: random tells the true accuracy, the others save labels (docs/how-to).",
    )
    relabel_class_floor: float = Field(
        0.05, ge=0, le=1, description="Least share of them for each class that the model answers with."
    )
    relabel_caller_cap: float = Field(
        0.2, gt=0, le=1, description="Most of them from one caller with a key; with few callers, an even part each."
    )
    relabel_per_alert: int = Field(
        50, ge=0, description="Texts of the windows at fault that an alert puts on the relabel queue beside these."
    )
    relabel_double_share: float = Field(
        0.1, ge=0, le=1, description="Share of the relabel queue that two annotators are asked about."
    )

    @field_validator(*_PARSED)
    @classmethod
    def _check_parsed(cls, value: str, info: ValidationInfo) -> str:
        try:
            _PARSED[str(info.field_name)](value)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("follow")
    @classmethod
    def _check_follow(cls, value: str) -> str:
        for run in _listed(value):
            if not re.fullmatch(r"models:/[^/@]+@[^/@]+", run):
                raise ValueError(f"{run!r} does not name an alias of a registered model; write models:/NAME@ALIAS")
        return value

    @field_validator("trust_demo")
    @classmethod
    def _check_trust(cls, value: str) -> str:
        for trusted in _listed(value):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:/[1-9][0-9]*)?", trusted):
                raise ValueError(
                    f"{trusted!r} names no model; write NAME, or NAME/VERSION, with commas between several"
                )
        return value

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if path and not re.fullmatch(r"(?:/[A-Za-z0-9_.~-]+)+", path):
            raise ValueError("write a path such as /tidegate: letters, digits and -._~ after each slash")
        return path

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        for origin in _listed(value):
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin; write scheme, host and port alone: https://app.example.org")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: str) -> str:
        for proxy in _listed(value):
            if proxy != "*":
                ipaddress.ip_network(proxy, strict=False)  # its message names the value
        return value

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together; set both (TIDEGATE_TLS_CERT, TIDEGATE_TLS_KEY)")
        return self

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
    def origins(self) -> tuple[str, ...]:
        """The origins of `cors_origins`."""
        return _listed(self.cors_origins)

    def trusts_demo(self, name: str, version: int) -> bool:
        """Whether the page that the run of this version brought may run."""
        return not {name, f"{name}/{version}"}.isdisjoint(_listed(self.trust_demo))

    @property
    def bundles_dir(self) -> Path:
        """The bundle store."""
        return self.home / "bundles"

    @property
    def followed(self) -> tuple[str, ...]:
        """The aliases to follow, each once."""
        return tuple(dict.fromkeys(_listed(self.follow)))

    @property
    def state_url(self) -> str:
        """SQLAlchemy URL of the state database."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'state.db'}"


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


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
        what = fault["msg"].removeprefix("Value error, ")  # pydantic's, of what our own checks raise
        if not fault["loc"]:  # of several fields together
            lines.append(what)
            continue
        field = str(fault["loc"][0])
        shown = "" if "key" in field else f" {fault['input']!r}"
        lines.append(f"setting {field} ({PREFIX}{field.upper()}){shown}: {what}")
    return "; ".join(lines)
