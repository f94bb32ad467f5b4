"""`tidegate tune` prints what it measured, keeps it for the server, and fails when nothing passes."""

import json
from pathlib import Path

from tests import bundles
from tests.servers import tidegate
from tidegate import tunings
from tidegate.bundle_store import BundleStore
from tidegate.tunings import Tuning


def test_the_json_is_alone_on_stdout_and_is_what_the_server_will_find(tmp_path: Path) -> None:
    bundle = bundles.wordpieces(BundleStore(tmp_path / "bundles"), fault="lies")
    done = tidegate("tune", "wordpieces", "--quick", "--json", "--home", tmp_path)

    document = json.loads(done.stdout)
    assert (document["model"], document["version"], document["quick"]) == ("wordpieces", 1, True)
    assert document["best"]["throughput"]["variant"] == "fp32"
    known = tunings.read(tmp_path / "tuning", bundle, document["hardware"])
    assert known == Tuning.model_validate({name: document[name] for name in Tuning.model_fields})
    assert "int8 on CPU" in done.stderr
    assert "refused, agrees with the source model on" in done.stderr


def test_when_nothing_passes_it_exits_as_refused_by_a_gate(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "bundles")
    bundles.only_lies(store)
    done = tidegate("tune", "liar", "--quick", "--goal", "latency", "--home", tmp_path, check=False)

    assert done.returncode == 3
    assert "liar: no plan passes on this machine" in done.stderr
    assert "agrees with the source model on" in done.stdout  # the table is there all the same


def test_what_is_not_there_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    bundles.wordpieces(BundleStore(tmp_path / "bundles"))

    assert tidegate("tune", "none", "--home", tmp_path, check=False).returncode == 1
    done = tidegate("tune", "wordpieces", "--goal", "speed", "--home", tmp_path, check=False)
    assert done.returncode == 2
    assert "'latency' or 'throughput'" in done.stderr
