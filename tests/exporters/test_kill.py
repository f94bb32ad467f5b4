"""`kill -9` in the middle of an export: the store serves what it served, and the next export works."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exporters.models import EVALUATION, plain_folder, write_rows
from tests.exporters.test_pipeline import random_answers
from tidegate.bundle_store import BundleStore
from tidegate.cli.children import ANSWER_FILE
from tidegate.cli.export import export_run
from tidegate.errors import GateRefused, TidegateError
from tidegate.settings import Settings

# Messages of the export, in its own order: the child is killed as soon as it has said one of them.
POINTS = ("fetching", "converting", "asking", "measuring variant fp32", "measuring variant int8", "building")


def kill_at(point: str, home: Path, run: Path) -> None:
    """Start the real child, and kill it at a point of its way."""
    request = home / "request.json"
    request.write_text(json.dumps({"home": str(home), "run": str(run), "name": "m", "trust_pickle": True}))
    command = [sys.executable, "-u", "-m", "tidegate.cli.export_child", "export", str(request)]
    environment = {name: value for name, value in os.environ.items() if name != ANSWER_FILE}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        seen = []
        for line in child.stderr:
            seen.append(line)
            if line.startswith(point):
                child.send_signal(signal.SIGKILL)
                break
        else:
            pytest.fail(f"never said {point!r}: {''.join(seen)}")
        assert child.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_export_leaves_the_store_as_it_was_and_the_next_one_works(tmp_path: Path) -> None:
    home, run = tmp_path / "home", plain_folder(tmp_path / "run")
    settings = Settings(home=home, export_python=sys.executable)
    first = export_run(settings, str(run), "m", trust_pickle=True)
    store = BundleStore(settings.bundles_dir)
    for point in POINTS:
        kill_at(point, home, run)
        assert store.versions("m") == [1]
        assert store.load("m").manifest == first.manifest
    left = [entry.name for entry in (settings.bundles_dir / "m").iterdir() if entry.name.startswith(".staging")]
    assert left  # the kills did hit in the middle
    assert export_run(settings, str(run), "m", trust_pickle=True).manifest.version == 2
    assert store.resolve("m", "champion") == 1
    assert not [entry for entry in (settings.bundles_dir / "m").iterdir() if entry.name.startswith(".staging")]


def test_a_refusal_in_the_child_reaches_the_caller_with_its_message(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", export_python=sys.executable)
    with pytest.raises(TidegateError, match=r"vectorizer\.pkl is a pickle"):
        export_run(settings, str(plain_folder(tmp_path / "run")), "m")
    with pytest.raises(TidegateError, match="max_accuracy_drop"):
        export_run(settings, str(tmp_path / "run"), "m", max_accuracy_drop=-1)


def test_when_every_variant_is_refused_the_table_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(home=tmp_path / "home", export_python=sys.executable)
    data = write_rows(tmp_path / "rows.csv", EVALUATION)
    with pytest.raises(GateRefused, match="nothing was published"):
        export_run(settings, str(random_answers(tmp_path / "run")), "m", data=data)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert f"every variant was refused; verified on {len(EVALUATION)} texts" in printed.err
    assert re.search(r"agree %.*max diff.*accuracy %.*F1 %.*MB.*p50 ms.*texts /s", printed.err)
    assert re.search(r"int8 refused +\d.* \d+\.\d \(\d+-\d+\) +\d+\.\d \(\d+-\d+\)", printed.err)
