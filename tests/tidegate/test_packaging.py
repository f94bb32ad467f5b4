"""What is installed, what imports what, and whose names these are."""

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("tidegate", "serving", "demos", "exporters", "monitoring", "loadtests")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_claims_our_package_names(package: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(package, []))

    assert owners <= {"tidegate"}


def test_the_wheel_lists_every_package_and_no_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert tuple(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == PACKAGES


def test_the_built_in_suites_are_files_of_a_listed_package_that_nothing_leaves_out() -> None:
    suites = sorted((ROOT / "tidegate" / "suites").glob("*.yaml"))
    ignored = subprocess.run(["git", "check-ignore", *suites], cwd=ROOT, check=False, capture_output=True, text=True)
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert len(suites) == 3
    assert ignored.stdout == ""  # hatchling leaves out what git ignores
    assert "exclude" not in wheel


def test_importing_a_room_finds_the_room_and_not_its_tests() -> None:
    for package in PACKAGES:
        assert Path(sys.modules.get(package, __import__(package)).__file__ or "").parent == ROOT / package


def test_importing_anything_of_ours_switches_telemetry_off_first() -> None:
    script = "import os, serving; print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['GRADIO_ANALYTICS_ENABLED'])"
    clean = {"PATH": "/usr/bin"}

    printed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=clean, check=True, capture_output=True)

    assert printed.stdout.split() == [b"1", b"False"]


def test_the_command_line_answers_help_without_loading_heavy_libraries() -> None:
    script = """
import sys
from tidegate.cli import app
heavy = {"onnxruntime", "gradio", "fastapi", "whylogs", "mlflow", "torch", "transformers", "locust", "pandas"}
heavy |= {"cleanlab", "sklearn"}
print(sorted(heavy & set(sys.modules)))
"""
    printed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)

    assert printed.stdout.strip() == "[]"
