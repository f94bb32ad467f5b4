"""`tidegate quickstart` from an empty folder, as a newcomer runs it."""

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.faults.faults import until
from tests.servers import export_python, running, tidegate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]


def test_quickstart_ends_ready_and_its_curl_line_works(tmp_path: Path) -> None:
    export_python()
    first = tidegate("quickstart", "--exit-when-ready", "--home", tmp_path, "--port", "0")
    assert re.search(r"^ready http://127\.0\.0\.1:\d+$", first.stdout.strip())

    with running(["quickstart"], tmp_path) as server:
        until(lambda: any("curl" in line for line in server.stderr))
        curl = next(line for line in server.stderr if line.strip().startswith("curl"))
        answered = subprocess.run(curl, shell=True, check=True, capture_output=True, text=True).stdout  # noqa: S602
        labels = {entry["label"] for entry in json.loads(answered)[0]}
        pages = [line.split()[1] for line in server.stderr if re.match(r"\s+(demo|docs|metrics)\s", line)]

        assert labels == {"negative", "neutral", "positive"}
        assert len(pages) == 4
        for page in pages:
            assert httpx.get(page, follow_redirects=True).status_code == 200, page
