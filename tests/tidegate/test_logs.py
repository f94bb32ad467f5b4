"""The log as JSON: one object a line whatever is logged, exceptions as a member; a real server writes nothing else."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import bundles
from tests.servers import running
from tidegate.bundle_store import BundleStore
from tidegate.logs import CURRENT, Current, JsonLines


def line_of(message: str, *arguments: object, worker: str = "0", **more: Any) -> dict[str, object]:
    record = logging.LogRecord("tidegate.test", logging.INFO, "here.py", 1, message, arguments, None)
    vars(record).update(more)
    shown = JsonLines(worker).format(record)
    assert "\n" not in shown
    assert shown.isascii()
    document: dict[str, object] = json.loads(shown)
    return document


def test_a_line_says_when_how_bad_who_and_what() -> None:
    line = line_of("served %s in %.1f s", "m", 0.25, worker="1", created=1_700_000_000.0625)

    assert line == {
        "ts": "2023-11-14T22:13:20.062Z",
        "level": "INFO",
        "logger": "tidegate.test",
        "message": "served m in 0.2 s",
        "worker": "1",
    }


def test_newlines_half_surrogates_and_odd_objects_stay_in_one_line() -> None:
    assert line_of("two\nlines \ud800")["message"] == "two\nlines \ud800"
    assert line_of("x", fields={"path": Path("a/b")})["path"] == "a/b"


def test_an_exception_is_a_member_with_its_trace() -> None:
    try:
        raise ValueError("no such thing")
    except ValueError:
        trace = str(line_of("it failed", exc_info=sys.exc_info())["exception"])

    assert trace.startswith("Traceback")
    assert trace.endswith("ValueError: no such thing")


def test_request_model_and_trace_are_named_when_they_are_known() -> None:
    token = CURRENT.set(Current("r1"))
    try:
        alone = line_of("x")
        CURRENT.set(Current("r1", trace_id="0af7", model="m"))
        full = line_of("x")
    finally:
        CURRENT.reset(token)

    assert (alone["request_id"], "model" in alone, "trace_id" in alone) == ("r1", False, False)
    assert (full["request_id"], full["model"], full["trace_id"]) == ("r1", "m", "0af7")
    assert "request_id" not in line_of("x")


UNCAUGHT = """
import threading, warnings
from tidegate import logs
logs.to_stderr("json", "worker-2")
warnings.warn("old ways")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
raise SystemError("the end")
"""


def test_what_nobody_caught_and_warnings_are_json_lines_as_well() -> None:
    done = subprocess.run([sys.executable, "-c", UNCAUGHT], capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]

    assert done.returncode == 1
    assert [(line["level"], line["worker"]) for line in lines] == [
        ("WARNING", "2"),
        ("CRITICAL", "2"),
        ("CRITICAL", "2"),
    ]
    assert "old ways" in lines[0]["message"]
    assert "ZeroDivisionError" in lines[1]["exception"]
    assert lines[2]["exception"].endswith("SystemError: the end")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_writes_nothing_but_json_lines(tmp_path: Path, workers: int) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    secret = "profit of the unnamed company"
    arguments = ["serve", "--workers", str(workers), "--log-format", "json", "--access-log"]
    with running(arguments, tmp_path, TIDEGATE_API_KEY="sesame") as server:
        for n in range(8):
            headers = {"x-request-id": f"r{n}", "authorization": "Bearer sesame"}
            answer = httpx.post(f"{server.url}/models/sentiment/predict", json={"inputs": secret}, headers=headers)
            assert (answer.status_code, answer.headers.get_list("x-request-id")) == (200, [f"r{n}"])
            page = httpx.get(f"{server.url}/demo/sentiment/", headers=headers, timeout=30)
            assert page.headers.get_list("x-request-id") == [f"r{n}"], "worker 0 and the relay agree on one"
        refused = httpx.post(f"{server.url}/models/sentiment/predict", json={"inputs": secret})
    lines = [json.loads(line) for line in server.stderr]
    served = [line for line in lines if line["logger"] == "tidegate.access" and line.get("model")]

    assert refused.status_code == 401
    assert refused.headers["x-request-id"] in {line.get("request_id") for line in lines}
    assert {line["request_id"] for line in served} >= {f"r{n}" for n in range(8)}
    assert {line["worker"] for line in lines} <= {"0", "1", "supervisor"}
    assert {"ts", "level", "logger", "message", "worker"} <= set.intersection(*map(set, lines))
    assert not any("profit" in line or "sesame" in line for line in server.stderr)


def test_without_the_option_a_server_logs_no_request_and_lines_are_for_people(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tidegate import logs; logs.to_stderr('text', 'worker-1'); logs.log.info('hello')"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr.endswith(" worker-1 INFO tidegate: hello\n")
