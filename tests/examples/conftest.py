"""Skips the training scripts' tests where this is the serve environment."""

from importlib.util import find_spec

HAS_EXPORT = find_spec("optimum") is not None and find_spec("mlflow") is not None
collect_ignore = [] if HAS_EXPORT else ["test_training.py"]


def pytest_report_header() -> str:
    """Say what is left out, and how to run it."""
    if HAS_EXPORT:
        return "examples: all tests (export environment)"
    return "examples: test_training.py left out, it needs the export environment: .venv-export/bin/python -m pytest"
