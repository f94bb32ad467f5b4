"""Spans of a real gateway, as a collector gets them: decoded from OTLP by OpenTelemetry's own messages."""

import asyncio
import gzip
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from serving.observe import Observed
from serving.tracing import Tracing, _stages
from tests import bundles
from tests.servers import environment
from tests.servers import running as running_server
from tests.serving.apps import gateway
from tidegate.bundle_store import BundleStore

PREDICT = "/models/sentiment/predict"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "profit of the unnamed company"


@dataclass
class Collector:
    """A tiny OTLP/HTTP receiver: keeps what it was sent."""

    url: str
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        scopes = [scope for sent in self.requests for part in sent.resource_spans for scope in part.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    def resource(self) -> dict[str, str]:
        attributes = self.requests[0].resource_spans[0].resource.attributes
        return {pair.key: pair.value.string_value for pair in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            plain = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
            collector.bodies.append(plain)
            collector.requests.append(ExportTraceServiceRequest.FromString(plain))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def asked(home: Path, tracing: Tracing, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Send requests to a gateway that traces, and have every span sent."""

    async def ask() -> list[httpx.Response]:
        async with gateway(home) as running:
            transport = httpx.ASGITransport(Observed(running.app, tracing=tracing), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return [await client.request(**request) for request in requests]

    try:
        return asyncio.run(ask())
    finally:
        tracing.close()


def predict(text: object = "profit rises", **headers: str) -> dict[str, Any]:
    return {"method": "POST", "url": PREDICT, "json": {"inputs": text}, "headers": headers}


def attributes(span: Span) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}


def test_a_prediction_is_a_server_span_below_the_callers_with_its_stages_below(tmp_path: Path) -> None:
    with collecting() as collector:
        sent = predict([SECRET, "shares fell"], traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=1")
        before = time.time_ns()
        [answer] = asked(tmp_path, Tracing(collector.url, 0.0, "3"), sent)
        after = time.time_ns()
    [server] = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    stages = sorted((span for span in collector.spans if span is not server and span != server), key=lambda s: s.name)

    assert answer.headers["traceresponse"] == f"00-{TRACE}-{server.span_id.hex()}-01"
    assert (server.trace_id.hex(), server.parent_span_id.hex(), server.trace_state) == (TRACE, PARENT, "vendor=1")
    assert server.name == "POST /models/{model}/predict"
    assert attributes(server) == {
        "http.request.method": "POST",
        "http.route": "/models/{model}/predict",
        "http.response.status_code": 200,
        "tidegate.request_id": answer.headers["x-request-id"],
        "tidegate.model": "sentiment",
        "tidegate.version": 1,
        "tidegate.variant": "fp32",
        "tidegate.texts": 2,
    }
    assert [stage.name for stage in stages] == ["infer", "queue", "tokenize"]
    assert {(stage.trace_id, stage.parent_span_id) for stage in stages} == {(server.trace_id, server.span_id)}
    for span in [server, *stages]:
        assert before <= server.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano <= after
    took = {span.name: (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6 for span in stages}
    for timing in answer.headers["server-timing"].split(", "):
        name, _, milliseconds = timing.partition(";dur=")
        assert took[name] == pytest.approx(float(milliseconds), abs=0.01)
    assert collector.resource()["service.name"] == "tidegate"
    assert collector.resource()["service.instance.id"] == "worker-3"
    assert not any(b"profit" in body for body in collector.bodies), "a payload left the server"


def test_a_refused_request_is_a_span_without_stages_and_only_faults_of_the_server_are_errors(tmp_path: Path) -> None:
    with collecting() as collector:
        late = predict("late", **{"x-deadline-ms": "1"}) | {"json": {"inputs": ["some words"] * 1_000}}
        bad, slow, unknown = asked(
            tmp_path, Tracing(collector.url, 1.0), predict(3), late, predict() | {"url": "/models/nope/predict"}
        )
    by_status = {attributes(span)["http.response.status_code"]: span for span in collector.spans}

    assert (bad.status_code, slow.status_code, unknown.status_code) == (422, 504, 404)
    assert by_status.keys() == {422, 504}, "a request that names no model is no prediction"
    assert by_status[422].status.code == Status.STATUS_CODE_UNSET
    assert by_status[504].status.code == Status.STATUS_CODE_ERROR
    assert attributes(by_status[504])["error.type"] == "504"


def test_the_callers_choice_comes_before_the_ratio(tmp_path: Path) -> None:
    with collecting() as collector:
        no, yes, none = asked(
            tmp_path,
            Tracing(collector.url + "/v1/traces", 0.0),
            predict(traceparent=f"00-{TRACE}-{PARENT}-00"),
            predict(traceparent=f"00-{TRACE}-{PARENT}-01"),
            predict(),
        )
    servers = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]

    assert len(servers) == 1
    assert [answer.headers["traceresponse"][-2:] for answer in (no, yes, none)] == ["00", "01", "00"]


def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(tmp_path: Path) -> None:
    with collecting() as collector:
        asked(tmp_path, Tracing(collector.url, 1.0), predict(traceparent="00-nonsense"))
    [server] = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]

    assert server.parent_span_id == b""
    assert server.trace_id.hex() != TRACE


def test_pages_and_health_checks_are_no_spans(tmp_path: Path) -> None:
    with collecting() as collector:
        pages = [{"method": "GET", "url": url} for url in ("/healthz", "/metrics", "/models/sentiment", "/docs")]
        answers = asked(tmp_path, Tracing(collector.url, 1.0), *pages)

    assert {answer.status_code for answer in answers} == {200}
    assert collector.requests == []


def test_with_a_dead_collector_requests_are_answered_and_the_end_comes_within_seconds(tmp_path: Path) -> None:
    tracing = Tracing("http://127.0.0.1:9", 1.0)
    started = time.monotonic()
    answers = asked(tmp_path, tracing, *([predict()] * 200))

    assert {answer.status_code for answer in answers} == {200}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 1
    assert time.monotonic() - started < 15


def test_stages_never_begin_before_their_request() -> None:
    assert _stages((0.003, 0.002, 0.001), 1_000_000_000, 1_004_000_000) == [
        ("tokenize", 1_000_000_000, 1_001_000_000),
        ("queue", 1_001_000_000, 1_003_000_000),
        ("infer", 1_003_000_000, 1_004_000_000),
    ]
    assert _stages((), 1, 2) == []


def test_opentelemetry_is_not_imported_where_no_collector_is_set() -> None:
    script = (
        "import sys, tidegate.cli.gateway; print('opentelemetry.sdk' in sys.modules, 'serving.tracing' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "False"]


def test_a_server_that_is_to_trace_and_cannot_says_what_to_install(tmp_path: Path) -> None:
    script = "import sys; sys.modules['opentelemetry.sdk'] = None; from tidegate.cli import main; main()"
    command = [sys.executable, "-c", script, "serve", "--home", str(tmp_path), "--port", "0"]
    variables = environment() | {"TIDEGATE_OTLP_ENDPOINT": "http://localhost:4318"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)

    assert done.returncode == 2
    assert "install tidegate[otel]" in done.stderr


@pytest.mark.slow
def test_a_server_with_workers_sends_the_spans_of_each_and_names_the_trace_in_its_log(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    arguments = ["serve", "--workers", "2", "--log-format", "json", "--access-log"]
    with collecting() as collector:
        with running_server(arguments, tmp_path, TIDEGATE_OTLP_ENDPOINT=collector.url) as server:
            for _ in range(24):
                answer = httpx.post(server.url + PREDICT, json={"inputs": SECRET})
                assert answer.status_code == 200
        servers = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]

    assert len(servers) == 24
    assert len(collector.spans) == 24 * 4
    assert any(f'"trace_id": "{servers[0].trace_id.hex()}"' in line for line in server.stderr)
    instances = {
        pair.value.string_value
        for sent in collector.requests
        for pair in sent.resource_spans[0].resource.attributes
        if pair.key == "service.instance.id"
    }
    assert instances == {"worker-0", "worker-1"}
