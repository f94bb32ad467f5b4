"""Versions are published whole or not at all; aliases move atomically; names stay in their folder."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from tests import bundles
from tidegate.aliases import Aliases
from tidegate.bundle_store import BundleStore
from tidegate.errors import BundleCorrupt, BundleNotFound, UsageError


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles")


def test_versions_count_up_from_one_and_the_first_becomes_champion(store: BundleStore) -> None:
    for _ in range(3):
        bundles.sentiment(store, "m")

    assert store.versions("m") == [1, 2, 3]
    assert store.aliases("m") == Aliases(champion=1)
    assert store.load("m").manifest.version == 1


def test_versions_sort_as_numbers(store: BundleStore) -> None:
    bundles.sentiment(store, "m")
    store.path("m", 1).rename(store.path("m", 9))
    bundles.sentiment(store, "m")

    assert store.versions("m") == [9, 10]


def test_an_alias_names_a_version_until_it_is_moved(store: BundleStore) -> None:
    bundles.sentiment(store, "m")
    bundles.sentiment(store, "m")
    store.set_alias("m", "canary", 2)
    store.set_alias("m", "champion", "canary")

    assert store.resolve("m", "champion") == 2
    assert store.resolve("m", "2") == 2


@pytest.mark.parametrize(("name", "version"), [("none", "champion"), ("m", "7"), ("m", "canary"), ("m", "1.0")])
def test_what_is_not_there_is_refused_with_what_is(store: BundleStore, name: str, version: str) -> None:
    bundles.sentiment(store, "m")

    with pytest.raises(BundleNotFound, match="m"):
        store.load(name, version)


def test_an_unknown_alias_is_a_usage_error(store: BundleStore) -> None:
    bundles.sentiment(store, "m")

    with pytest.raises(UsageError, match="champion, canary, shadow"):
        store.set_alias("m", "best", 1)


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", ".hidden", "a" * 65, "a\n", "naïve", "a.b", "-x", "a\x00"])
def test_names_that_could_leave_their_folder_are_refused(store: BundleStore, name: str) -> None:
    with pytest.raises(UsageError, match="model name"):
        store.versions(name)


def test_a_version_that_an_alias_holds_cannot_be_removed(store: BundleStore) -> None:
    bundles.sentiment(store, "m")
    bundles.sentiment(store, "m")

    with pytest.raises(UsageError, match="m/1 is champion"):
        store.remove("m", 1)
    store.remove("m", 2)
    assert store.versions("m") == [1]


def test_an_exception_while_writing_leaves_nothing(store: BundleStore) -> None:
    with pytest.raises(FileNotFoundError), store.staging("m") as folder:
        (folder / "model.onnx").write_bytes((folder / "nothing").read_bytes())

    assert store.names() == []
    assert list((store.root / "m").iterdir()) == []


def test_two_exports_at_once_get_two_versions(store: BundleStore) -> None:
    threads = [threading.Thread(target=bundles.sentiment, args=(store, "m")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.versions("m") == list(range(1, 9))
    assert {store.load("m", version).manifest.version for version in store.versions("m")} == set(range(1, 9))


def test_a_killed_export_leaves_what_was_served_and_the_next_one_sweeps_up(store: BundleStore) -> None:
    bundles.sentiment(store, "m")
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from tidegate.bundle_store import BundleStore
        with BundleStore(Path(sys.argv[1])).staging("m") as folder:
            (folder / "model.onnx").write_bytes(b"half")
            print("writing", flush=True)
            time.sleep(60)
    """)
    command = [sys.executable, "-c", script, str(store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        child.send_signal(signal.SIGKILL)

    leftovers = [d.name for d in (store.root / "m").iterdir() if d.name.startswith(".staging") and d.is_dir()]
    assert len(leftovers) == 1
    assert store.versions("m") == [1]
    assert store.load("m").manifest.version == 1
    bundles.sentiment(store, "m")
    assert store.versions("m") == [1, 2]
    assert not [d for d in (store.root / "m").iterdir() if d.name.startswith(".staging")]


def test_an_export_that_is_still_writing_is_left_alone(store: BundleStore) -> None:
    with store.staging("m") as folder:
        (folder / "model.onnx").write_bytes(b"half")
        bundles.sentiment(store, "m")

        assert (folder / "model.onnx").is_file()
    assert [d.name for d in (store.root / "m").iterdir() if d.name.startswith(".staging")] == []


def test_a_damaged_alias_file_is_named(store: BundleStore) -> None:
    bundles.sentiment(store, "m")
    (store.root / "m" / "aliases.json").write_text("[1")

    with pytest.raises(BundleCorrupt, match=r"aliases\.json is damaged"):
        store.load("m")
