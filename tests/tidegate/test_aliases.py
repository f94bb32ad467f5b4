"""Aliases move atomically, one writer at a time, and say what is wrong with a wish."""

import threading
from pathlib import Path

import pytest

from tidegate.aliases import Aliases, change_aliases, read_aliases
from tidegate.errors import BundleCorrupt, UsageError


def test_a_canary_that_becomes_champion_is_no_canary_and_the_one_before_is_remembered() -> None:
    aliases = Aliases(champion=1).pointing("canary", 2, 25).pointing("champion", 2)

    assert (aliases.champion, aliases.canary, aliases.before) == (2, None, 1)


def test_pointing_the_champion_where_it_points_keeps_the_one_before() -> None:
    assert Aliases(champion=2, before=1).pointing("champion", 2).before == 1


@pytest.mark.parametrize("percent", [-1.0, 100.5, float("nan")])
def test_a_share_that_cannot_be_is_refused(percent: float) -> None:
    with pytest.raises(UsageError, match="choose 0 to 100"):
        Aliases(champion=1).pointing("canary", 2, percent)


def test_the_champion_is_no_canary_and_is_not_taken_away() -> None:
    with pytest.raises(UsageError, match="version 1 is the champion"):
        Aliases(champion=1).pointing("shadow", 1)
    with pytest.raises(UsageError, match="always has a champion"):
        Aliases(champion=1).without("champion")


def test_a_new_canary_begins_a_new_comparison() -> None:
    first = Aliases(champion=1).pointing("canary", 2)

    assert first.since < first.pointing("canary", 3).since


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "aliases.json").write_text('{"champion": 3, "shadow": 2}')

    assert read_aliases(tmp_path) == Aliases(champion=3, shadow=2)


@pytest.mark.parametrize("content", ["[1", '{"champion": "one"}', '{"champoin": 1}', '{"canary_percent": 200}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "aliases.json").write_text(content)

    with pytest.raises(BundleCorrupt, match=r"aliases\.json is damaged"):
        read_aliases(tmp_path)


def test_writers_do_not_undo_each_other(tmp_path: Path) -> None:
    def count() -> None:
        for _ in range(50):
            change_aliases(tmp_path, lambda a: a.model_copy(update={"champion": (a.champion or 0) + 1}))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert read_aliases(tmp_path).champion == 200
    assert sorted(f.name for f in tmp_path.iterdir()) == [".aliases.lock", "aliases.json"]
