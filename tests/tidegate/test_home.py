"""The home folder is private, and its secret is one secret."""

import stat
import threading
from pathlib import Path

import pytest

from tidegate import home
from tidegate.settings import Settings


def test_the_home_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = home.prepare(Settings.load({}, home=tmp_path / "deep" / "home"))

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "bundles").is_dir()


def test_racing_processes_agree_on_one_secret(tmp_path: Path) -> None:
    seen: list[bytes] = []
    threads = [threading.Thread(target=lambda: seen.append(home.signing_secret(tmp_path))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(seen)) == 1
    assert len(seen[0]) == 32
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [f.name for f in tmp_path.iterdir()] == ["secret"]


def test_a_configured_registry_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert home.tracking_uri(tmp_path) == f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry:5000")
    assert home.tracking_uri(tmp_path) == "http://registry:5000"


def test_the_address_of_the_running_server_is_kept_until_it_stops(tmp_path: Path) -> None:
    assert home.read_address(tmp_path) == ""
    home.write_address(tmp_path, "http://127.0.0.1:9")
    assert home.read_address(tmp_path) == "http://127.0.0.1:9"
    home.write_address(tmp_path, "")
    assert home.read_address(tmp_path) == ""
