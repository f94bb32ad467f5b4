"""The how-to of labelling in other tools holds: each format goes out and comes back by the commands that it names."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.labels.exchange import FOLDERS, READERS, WRITERS
from monitoring.labels.items import list_items
from tests.monitoring.conftest import House
from tests.monitoring.labels.tools import FILLERS
from tidegate.environments import CHECKOUT

HOW_TO = (CHECKOUT / "docs" / "how-to" / "label-in-other-tools.md").read_text(encoding="utf-8")
SUFFIXES = {"jsonl": ".jsonl", "csv": ".csv", "labelstudio": ".json"}

pytestmark = pytest.mark.slow


def relabel(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidegate", "relabel", *arguments, "--home", str(house.settings.home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=CHECKOUT)


def test_the_how_to_names_every_format() -> None:
    named = re.findall(r"^\| `(\w+)` \|", HOW_TO, re.MULTILINE)

    assert named == list(WRITERS) == list(READERS)


@pytest.mark.parametrize("tool", FILLERS)
def test_each_format_goes_out_and_comes_back(tool: str, house: House, tmp_path: Path) -> None:
    house.writer().write(house.novel(200, "naïve \r\n[/bold]"))
    kind, label_all = FILLERS[tool]
    path = tmp_path / ("queue" + SUFFIXES.get(kind, ""))
    exported = relabel(house, "export", "sentiment", "--format", kind, "--output", str(path))
    label_all(path, "negative")
    first, second = (relabel(house, "import", str(path), "--json") for _ in range(2))

    assert (exported.returncode, exported.stdout) == (0, ""), exported.stderr
    assert "10 new items of sentiment" in exported.stderr
    assert json.loads(first.stdout) == {"labelled": 10, "changed": 0, "unchanged": 0, "problems": []}
    assert json.loads(second.stdout) == {"labelled": 0, "changed": 0, "unchanged": 10, "problems": []}
    assert len(list_items(house.database, state="accepted")) == 10


def test_what_goes_beside_the_items_is_there_too(house: House, tmp_path: Path) -> None:
    house.writer().write(house.novel(200, "a"))
    out = tmp_path / "out"
    out.mkdir()
    found = {}
    for kind, name in (("labelstudio", "tasks.json"), ("argilla", "arg"), ("datasets", "set")):
        done = relabel(house, "export", "sentiment", "--format", kind, "--output", str(out / name), "--state", "all")
        assert done.returncode == 0, done.stderr
        found[kind] = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}

    assert found["labelstudio"] == {"tasks.json", "tasks.xml"}
    assert "negative" in (out / "tasks.xml").read_text()
    assert {"arg/records.json", "arg/.argilla/settings.json", "arg/.argilla/dataset.json"} < found["argilla"]
    assert {"set/data.jsonl", "set/README.md"} < found["datasets"]


def test_a_folder_needs_a_place(house: House) -> None:
    for kind in FOLDERS:
        done = relabel(house, "export", "sentiment", "--format", kind)

        assert done.returncode == 2
        assert "--output" in done.stderr
