"""wrk is asked rightly and read rightly."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.load import bodies, drive, find_wrk, lua_string, parse, write_script
from benchmarks.results import Scenario
from benchmarks.server import running
from benchmarks.workspace import Workspace
from tests.benchmarks.toy_peer import toy
from tidegate.errors import EnvironmentMissing, TidegateError

# As wrk 4.1.0 printed it.
GOOD = """\
Running 2s test @ http://127.0.0.1:8931/
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     5.59ms    4.23ms  32.50ms   79.45%
    Req/Sec   766.85    170.76     1.01k    80.00%
  Latency Distribution
     50%    4.29ms
     75%    7.75ms
     90%   11.15ms
     99%   1.02s
  1528 requests in 2.00s, 1.46MB read
Requests/sec:    762.78
Transfer/sec:    745.64KB
"""
REFUSED = GOOD.replace("Requests/sec", "  Non-2xx or 3xx responses: 753\nRequests/sec")
BROKEN = GOOD.replace("Requests/sec", "  Socket errors: connect 0, read 4, write 0, timeout 0\nRequests/sec")
SILENT = GOOD.replace("1528 requests", "0 requests").replace("4.29ms", "0.00us")

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="NOT TESTED: needs wrk; run: apt-get install wrk")


def test_a_report_of_wrk_becomes_figures() -> None:
    load = parse(GOOD, texts_per_request=32)

    assert load.requests_per_second == 762.78
    assert load.texts_per_second == pytest.approx(762.78 * 32)
    assert load.p50_seconds == pytest.approx(0.00429)
    assert load.p99_seconds == pytest.approx(1.02)
    assert load.requests == 1528
    assert load.fault == ""


def test_microseconds_and_minutes_are_read_too() -> None:
    load = parse(GOOD.replace("4.29ms", "812.00us").replace("1.02s", "1.50m"), 1)

    assert load.p50_seconds == pytest.approx(0.000812)
    assert load.p99_seconds == pytest.approx(90)


def test_refused_requests_make_a_run_invalid() -> None:
    assert parse(REFUSED, 1).fault == "753 of 1528 answers were errors"


def test_socket_errors_make_a_run_invalid() -> None:
    assert "read 4" in parse(BROKEN, 1).fault


def test_a_run_without_answers_is_invalid() -> None:
    assert parse(SILENT, 1).fault == "no answer came"


def test_what_is_no_report_of_wrk_is_an_error() -> None:
    with pytest.raises(TidegateError, match="is this wrk"):
        parse("unable to connect to 127.0.0.1:1 Connection refused", 1)


def test_bodies_hold_every_text_and_fill_the_last_list_from_the_start() -> None:
    texts = [f"text {number}" for number in range(10)]

    lists = [json.loads(body)["inputs"] for body in bodies(toy(), texts, 4)]

    assert lists == [texts[:4], texts[4:8], [*texts[8:], *texts[:2]]]


def test_no_body_breaks_a_line() -> None:
    (body,) = bodies(toy(), ["two\nlines \u2028 and \u00e9"], 1)

    assert body.splitlines() == [body]
    assert json.loads(body)["inputs"] == ["two\nlines \u2028 and \u00e9"]


def test_lua_reads_back_any_path() -> None:
    assert lua_string('a"\\b') == '"\\097\\034\\092\\098"'


def test_the_script_reads_the_bodies_beside_it(tmp_path: Path) -> None:
    script = write_script(tmp_path, [b'{"inputs":1}', b'{"inputs":2}'])

    assert (tmp_path / "bodies.jsonl").read_bytes() == b'{"inputs":1}\n{"inputs":2}\n'
    assert lua_string(str(tmp_path / "bodies.jsonl")) in script.read_text()


def test_without_wrk_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EnvironmentMissing, match="apt-get install wrk"):
        find_wrk()


@needs_wrk
def test_wrk_drives_a_server_and_every_text_goes_round(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with running(toy(), _python(), workspace) as server:
        load = drive(server, Scenario(callers=2, texts=3), ["sales rose", "sales fell"] * 4, 1, workspace.scratch)

    assert load.fault == ""
    assert load.requests > 10
    assert load.texts_per_second == pytest.approx(3 * load.requests_per_second)
    assert 0 < load.p50_seconds <= load.p99_seconds


@needs_wrk
def test_a_server_that_refuses_gives_an_invalid_run(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with running(toy("refusing"), _python(), workspace) as server:
        load = drive(server, Scenario(callers=1, texts=1), ["sales rose"], 1, workspace.scratch)

    assert "answers were errors" in load.fault


@needs_wrk
def test_a_server_that_is_not_there_is_an_error_of_wrk() -> None:
    done = subprocess.run([find_wrk(), "-c1", "-t1", "-d1s", "http://127.0.0.1:1/"], capture_output=True, check=False)

    assert done.returncode


def _python() -> Path:
    return Path(sys.executable)
