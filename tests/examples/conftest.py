"""Skips the training scripts' tests where this is the serve environment."""

from importlib.util import find_spec

import pytest

HAS_EXPORT = find_spec("optimum") is not None and find_spec("mlflow") is not None
NEED_EXPORT = ["test_recipe.py", "test_register_embedder.py", "test_training.py"]
collect_ignore = [] if HAS_EXPORT else NEED_EXPORT


def pytest_report_header() -> str:
    """Say what is left out, and how to run it."""
    if HAS_EXPORT:
        return "examples: all tests (export environment)"
    left_out = ", ".join(NEED_EXPORT)
    return f"examples: {left_out} left out, they need the export environment: .venv-export/bin/python -m pytest"


@pytest.fixture(autouse=True)
def no_registry_left_by_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow, used in this process, leaves the registry of its test in the environment; children would follow it."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
