"""Skips, as a whole, the test modules that need the export environment where this is the serve environment."""

from importlib.util import find_spec

HAS_EXPORT = find_spec("optimum") is not None and find_spec("mlflow") is not None
NEED_EXPORT = [
    "test_behaviour.py",
    "test_checkpoint.py",
    "test_embedding_output.py",
    "test_health_export.py",
    "test_kill.py",
    "test_linear.py",
    "test_pickles.py",
    "test_pipeline.py",
    "test_quantize.py",
    "test_ready.py",
    "test_run_documents.py",
    "test_run_import.py",
    "test_sentence_encoder.py",
    "test_sources.py",
    "test_tensorboard_runs.py",
    "test_wandb_runs.py",
]
collect_ignore = [] if HAS_EXPORT else NEED_EXPORT


def pytest_report_header() -> str:
    """Say which modules are left out, and how to run them."""
    if HAS_EXPORT:
        return "exporters: all tests (export environment)"
    return (
        f"exporters: {len(NEED_EXPORT)} modules left out, they need the export environment: "
        ".venv-export/bin/python -m pytest tests/exporters tests/examples"
    )
