"""The OpenAPI document holds: schemathesis asks every route what it allows and what it does not, in a real server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.faults import server

pytestmark = pytest.mark.slow

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Routes of a model are asked about one that is there. A deadline of a millisecond passes, and a model that was unloaded
# a moment ago is not ready: those two answers are documented; a 500 is not excused.
CONFIGURATION = """
[parameters]
"path.model" = "sentiment"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503", "504"]
"""


def test_no_route_answers_anything_but_what_it_documents(tmp_path: Path) -> None:
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    program = Path(sys.executable).with_name("schemathesis")
    with server(tmp_path / "home") as started:
        command = [str(program), f"--config-file={configuration}", "run", f"{started.url}/openapi.json"]
        limits = ["--max-examples=15", "--seed=1", "--no-color", f"--checks={CHECKS}"]
        done = subprocess.run([*command, *limits], capture_output=True, text=True, check=False, timeout=300)
        with started.client() as client:
            assert client.get("/healthz").status_code == 200

    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    [cases] = re.findall(r"(\d+) generated", done.stdout)
    assert int(cases) > 300
