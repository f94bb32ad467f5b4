"""The watch misses nothing that changes in the store, and says nothing of what does not."""

import os
import shutil
import time
from pathlib import Path

import pytest

from serving.store_watch import SETTLED_SECONDS, StoreWatch
from tests import bundles
from tidegate.aliases import FILE
from tidegate.bundle_store import BundleStore


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    store = BundleStore(tmp_path / "bundles")
    for name in ("one", "two"):
        bundles.sentiment(store, name)
        settle(store, name)
    return store


def settle(store: BundleStore, name: str) -> None:
    """As if what was written last had been written a minute ago."""
    for path in (store.root / name, store.root / name / FILE):
        if path.exists():
            stat = path.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - 60_000_000_000))


def looked(watch: StoreWatch, known: tuple[str, ...] = ()) -> set[str]:
    """Look, and remember all that was found."""
    changed = watch.changed(known)
    for name, mark in changed.items():
        watch.remember(name, mark)
    return set(changed)


def test_what_was_looked_at_is_not_looked_at_again(store: BundleStore) -> None:
    watch = StoreWatch(store)

    assert looked(watch) == {"one", "two"}
    assert looked(watch) == set()
    assert looked(watch, ("one", "two")) == set()


def test_a_version_and_an_alias_are_seen(store: BundleStore) -> None:
    watch = StoreWatch(store)
    looked(watch)

    bundles.sentiment(store, "two")
    settle(store, "two")
    assert looked(watch) == {"two"}

    store.set_alias("one", "champion", 1)
    settle(store, "one")
    assert looked(watch) == {"one"}
    store.set_alias("two", "champion", 2)
    store.set_alias("two", "shadow", 1)
    settle(store, "two")
    assert looked(watch) == {"two"}
    assert looked(watch) == set()


def test_an_alias_file_that_is_written_in_place_is_seen(store: BundleStore) -> None:
    store.set_alias("one", "champion", 1)
    settle(store, "one")
    watch = StoreWatch(store)
    looked(watch)

    with (store.root / "one" / FILE).open("a") as file:
        file.write("\n")

    assert looked(watch) == {"one"}


def test_what_was_written_a_moment_ago_is_looked_at_until_it_has_settled(store: BundleStore) -> None:
    now = [time.time()]
    watch = StoreWatch(store, lambda: now[0])
    store.set_alias("one", "champion", 1)

    assert looked(watch) == {"one", "two"}
    assert looked(watch) == {"one"}
    now[0] += SETTLED_SECONDS + 1
    assert looked(watch) == {"one"}
    assert looked(watch) == set()


def test_a_model_that_is_gone_is_looked_at_while_somebody_knows_it(store: BundleStore) -> None:
    watch = StoreWatch(store)
    looked(watch)

    shutil.rmtree(store.root / "one")

    assert looked(watch, ("one", "two")) == {"one"}
    assert looked(watch, ("one", "two")) == {"one"}
    assert looked(watch, ("two",)) == set()


def test_what_is_no_model_is_not_looked_at(store: BundleStore) -> None:
    (store.root / "empty").mkdir()
    (store.root / "notes.txt").write_text("mine")
    (store.root / "file").write_text("mine")

    assert looked(StoreWatch(store)) == {"one", "two"}


def test_what_could_not_be_read_is_looked_at_again(store: BundleStore) -> None:
    watch = StoreWatch(store)
    looked(watch)

    watch.remember("one", None)

    assert looked(watch) == {"one"}


def test_a_store_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert looked(StoreWatch(BundleStore(tmp_path / "nowhere")), ("gone",)) == {"gone"}
