"""The export environment is found in a fixed order; its child gets no secret; a second build does nothing."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tidegate import environments
from tidegate.errors import EnvironmentMissing
from tidegate.settings import Settings


def test_a_configured_interpreter_wins(tmp_path: Path) -> None:
    assert environments.export_python(sys.executable, tmp_path) == Path(sys.executable)


def test_a_configured_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissing, match="/nowhere/python"):
        environments.export_python("/nowhere/python", tmp_path)


def test_the_environment_in_the_folder_is_next(tmp_path: Path) -> None:
    python = tmp_path / ".venv-export" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()

    assert environments.export_python("", tmp_path) == python


@pytest.mark.skipif(find_spec("optimum") is not None, reason="this interpreter can export itself")
def test_without_any_the_error_is_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissing, match=re.escape(environments.BUILD_COMMAND)):
        environments.export_python("", tmp_path)


def test_the_child_gets_no_setting_of_the_server_and_no_stray_secret() -> None:
    secrets = {f"TIDEGATE_{name.upper()}": "x" for name in Settings.model_fields}
    secrets |= {"OPENAI_API_KEY": "x", "WANDB_API_KEY": "x", "PGPASSWORD": "x", "XPATH": "x", "PATHX": "x"}
    wanted = {"PATH": "/bin", "MLFLOW_TRACKING_URI": "http://registry", "HF_HUB_OFFLINE": "1", "https_proxy": "p"}

    assert environments.child_environment(secrets | wanted) == wanted


def test_a_second_build_starts_no_installer(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    stamp = tmp_path / ".venv" / "tidegate.stamp"
    fingerprints = [environments._fingerprint("serve", extras) for extras in ([], [], ["dev"])]
    stamp.write_text("\n".join(fingerprints))

    assert environments.build("serve", ["dev"], tmp_path) == python
    assert environments.build("serve", [], tmp_path) == python
    assert stamp.read_text() == "\n".join(fingerprints)


def test_extras_expand_into_plain_requirements() -> None:
    lines = environments.requirements("serve", ["dev"])

    assert any(line.startswith("locust") for line in lines)
    assert not any(line.startswith("tidegate") for line in lines)


def test_every_requirement_has_an_exact_version_in_the_constraints() -> None:
    for kind, extras in (("serve", ["dev"]), ("export", ["export-dev"])):
        pinned = _pinned(kind)
        names = {_name(line) for line in environments.requirements(kind, extras)}
        assert names - pinned == set(), kind


def test_constraints_hold_names_and_versions_only() -> None:
    for kind in environments.FOLDERS:
        text = (environments.PACKAGE / "constraints" / f"{kind}.txt").read_text()
        assert "://" not in text
        assert all("==" in line for line in text.splitlines()), kind


def test_it_runs_before_anything_is_installed() -> None:
    command = [sys.executable, "-S", "-m", "tidegate.environments", "export", "--list"]

    listed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=environments.CHECKOUT)

    assert "torch==2.13.0" in listed.stdout.splitlines()


def _pinned(kind: str) -> set[str]:
    lines = (environments.PACKAGE / "constraints" / f"{kind}.txt").read_text().splitlines()
    return {_name(line) for line in lines}


def _name(requirement: str) -> str:
    return requirement.split("[")[0].split("=")[0].split(">")[0].split(";")[0].strip().lower().replace("_", "-")
