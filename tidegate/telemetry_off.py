"""Switches off the telemetry of every dependency, in one place, before any of them is imported.

Runs from `tidegate/__init__.py`; every package of ours imports `tidegate` first. Each variable is read by
its library at import time, so setting it later does nothing. A value that the user has set stays.
"""

import os

OFF: dict[str, str] = {
    "DO_NOT_TRACK": "1",  # MLflow, and whoever honours the convention
    "MLFLOW_DISABLE_TELEMETRY": "true",  # on by default since MLflow 3.2
    "ORT_DISABLE_TELEMETRY": "1",  # on by default since onnxruntime 1.29
    "WHYLOGS_NO_ANALYTICS": "True",
    "GRADIO_ANALYTICS_ENABLED": "False",  # anything but "True" switches it off
    # Gradio also summarises every past click with pandas after each click, for a dashboard that we keep closed.
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",  # no download at run time, ever
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",  # its threads would compete with the model's for the same cores
}


def switch_off() -> None:
    """Set every variable of `OFF` that the environment does not define."""
    for name, value in OFF.items():
        os.environ.setdefault(name, value)
