"""Traces: OpenTelemetry spans of predictions, sent to a collector over OTLP/HTTP. Only with `otlp_endpoint` set.

One server span a request that names a model, below the caller's span if it sent `traceparent` (W3C Trace Context), with
the stages tokenize, queue and infer below it: made when the request is over, from the timings that are measured anyway.
They are made as finished spans; a tracer's would take twice as long on the event loop. No span carries a payload.
A thread of its own sends them in batches; what does not fit into its queue is dropped, so a collector that is slow or
gone costs requests nothing. Before: `serving.observe`. Needs the extra `otel`. Limits: gRPC is not traced.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from tidegate import __version__
from tidegate.logs import Current

STAGES = ("tokenize", "queue", "infer")
_PATH = "/v1/traces"  # OTLP/HTTP, section "Request"
_QUEUE_SPANS = 8_192  # 2000 predictions: seconds of traffic, about 10 MB
_DELAY_SECONDS = 1.0
_SEND_SECONDS = 3.0
_FLUSH_SECONDS = 3.0  # at the end of the process; a dead collector must not hold it up
_HEADERS = (b"traceparent", b"tracestate")
_IDS = RandomIdGenerator()
_SCOPE = InstrumentationScope("tidegate", __version__)

log = logging.getLogger(__name__)


class Tracing:
    """Makes spans and sends them; `close` sends what is left."""

    def __init__(self, endpoint: str, ratio: float, worker: str = "0") -> None:
        """Start the thread that sends.

        Args:
            endpoint: base URL of a collector, or the URL that takes traces.
            ratio: share of the requests that are traced when the caller does not say.
            worker: which process this is.
        """
        url = endpoint.rstrip("/")
        exporter = OTLPSpanExporter(url if url.endswith(_PATH) else url + _PATH, timeout=_SEND_SECONDS)
        self.resource = Resource.create(
            {"service.name": "tidegate", "service.version": __version__, "service.instance.id": f"worker-{worker}"}
        )
        self._ratio = ratio
        self._processor = BatchSpanProcessor(
            exporter, max_queue_size=_QUEUE_SPANS, schedule_delay_millis=_DELAY_SECONDS * 1e3
        )
        self._propagator = TraceContextTextMapPropagator()

    def start(self, scope: Scope, current: Current) -> "RequestSpan | None":
        """Begin the span of a request, and note its trace; None for one that can be no prediction."""
        if scope["method"] != "POST":
            return None
        sent = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _HEADERS}
        parent = self._parent(sent) if sent else None
        trace_id = parent.trace_id if parent else _IDS.generate_trace_id()
        sampled = parent.trace_flags.sampled if parent else trace_id % 2**64 < self._ratio * 2**64
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        state = parent.trace_state if parent else None
        current.trace_id = f"{trace_id:032x}"
        context = SpanContext(trace_id, _IDS.generate_span_id(), is_remote=False, trace_flags=flags, trace_state=state)
        return RequestSpan(self, context, parent, time.time_ns())

    def send(self, span: ReadableSpan) -> None:
        """Queue a span; never waits."""
        self._processor.on_end(span)

    def close(self) -> None:
        """Send what is left, and stop; gives up after a few seconds."""
        last = threading.Thread(target=self._processor.shutdown, name="tidegate-last-spans", daemon=True)
        last.start()
        last.join(_FLUSH_SECONDS)
        if last.is_alive():
            log.warning("the collector took no spans within %s s; those that were left are lost", _FLUSH_SECONDS)

    def _parent(self, sent: Mapping[str, str]) -> SpanContext | None:
        context = get_current_span(self._propagator.extract(sent, Context())).get_span_context()
        return context if context.is_valid else None


@dataclass(frozen=True, slots=True)
class RequestSpan:
    """The server span of one request.

    Attributes:
        context: its ids.
        parent: the caller's; None when it sent none.
        started: Unix time in nanoseconds.
    """

    tracing: Tracing
    context: SpanContext
    parent: SpanContext | None
    started: int

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """`traceresponse`: which span this was, for the caller (W3C Trace Context Level 2, draft)."""
        value = f"00-{self.context.trace_id:032x}-{self.context.span_id:016x}-{self.context.trace_flags:02x}"
        return [(b"traceresponse", value.encode())]

    def finish(self, scope: Scope, current: Current, status: int) -> None:
        """Make the spans of a request that was answered, and hand them over to be sent.

        Requests that named no model of ours are dropped.
        """
        if not self.context.trace_flags.sampled or not current.model:
            return
        ended = time.time_ns()
        route = _route(scope, current.model)
        self.tracing.send(
            ReadableSpan(
                f"{scope['method']} {route}",
                self.context,
                self.parent,
                self.tracing.resource,
                _attributes(scope["method"], route, current, status),
                kind=SpanKind.SERVER,
                # OpenTelemetry's rule for servers: a refusal of ours is an error, a fault of the caller's is not.
                status=Status(StatusCode.ERROR if status >= 500 else StatusCode.UNSET),
                start_time=self.started,
                end_time=ended,
                instrumentation_scope=_SCOPE,
            )
        )
        for name, begin, end in _stages(current.stages, self.started, ended):
            self._send_stage(name, begin, end)

    def _send_stage(self, name: str, begin: int, end: int) -> None:
        above = self.context
        context = SpanContext(
            above.trace_id,
            _IDS.generate_span_id(),
            is_remote=False,
            trace_flags=above.trace_flags,
            trace_state=above.trace_state,
        )
        resource, scope = self.tracing.resource, _SCOPE
        self.tracing.send(
            ReadableSpan(
                name, context, above, resource, {}, start_time=begin, end_time=end, instrumentation_scope=scope
            )
        )


def _attributes(method: str, route: str, current: Current, status: int) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
        "tidegate.request_id": current.request_id,
        "tidegate.model": current.model,
    }
    if status >= 500:
        attributes["error.type"] = str(status)
    if current.version:
        attributes["tidegate.version"] = current.version
        attributes["tidegate.variant"] = current.variant
        attributes["tidegate.texts"] = current.texts
    return attributes


def _route(scope: Scope, model: str) -> str:
    """The route's template, so that names of spans are few."""
    route = getattr(scope.get("route"), "path", "")
    return str(route) or str(scope["path"])[:200].replace(f"/{model}", "/{model}", 1)


def _stages(seconds: Sequence[float], started: int, ended: int) -> list[tuple[str, int, int]]:
    """(stage, begin, end) in Unix nanoseconds: one after the other, the last one up to the answer."""
    spans = []
    end = ended
    for name, took in reversed(list(zip(STAGES, seconds, strict=False))):
        begin = max(started, end - int(took * 1e9))
        spans.append((name, begin, end))
        end = begin
    return spans[::-1]
