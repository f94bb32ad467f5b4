"""The export environment and the registry: what `up`, `export` and `runs` need, and a server does not."""

import json
import os
import subprocess
from collections.abc import Iterator

import httpx
from sqlalchemy.engine import make_url

from tidegate import home
from tidegate.cli.doctor.finding import Check, Finding, fault, note, ok
from tidegate.environments import BUILD_COMMAND, child_environment, export_python
from tidegate.errors import EnvironmentMissing
from tidegate.settings import Settings

# Imported in the environment itself; a version that is there and cannot be imported exports nothing.
_LIBRARIES = ("mlflow", "torch", "transformers", "optimum.onnxruntime", "onnx", "onnxruntime", "sklearn", "skops")
_SCRIPT = """
import contextlib, importlib, json, sys
found = {}
with contextlib.redirect_stdout(sys.stderr):
    for name in sys.argv[1:]:
        try:
            module = importlib.import_module(name)
            found[name] = [str(getattr(module, "__version__", "")), ""]
        except Exception as error:
            found[name] = ["", f"{type(error).__name__}: {error}"[:200]]
print(json.dumps(found))
"""
_IMPORT_SECONDS = 120
_PATIENCE_SECONDS = 3.0


def environment(settings: Settings) -> Iterator[Finding]:
    """Whether it is there, and whether what it needs can be imported."""
    try:
        python = export_python(settings.export_python)
    except EnvironmentMissing as error:
        yield note("export environment", str(error), "only exports need it; serving does not")
        return
    advice = f"make it anew: {BUILD_COMMAND}"
    try:
        done = subprocess.run(
            [python, "-c", _SCRIPT, *_LIBRARIES],
            env=child_environment(os.environ),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_IMPORT_SECONDS,
            check=True,
        )
        found: dict[str, list[str]] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        yield fault("export environment", f"{python} does not run: {type(error).__name__}", advice)
        return
    broken = [f"{name} ({reason})" for name, (_, reason) in found.items() if reason]
    if broken:
        yield fault("export environment", f"{python} cannot import {', '.join(broken)}", advice)
    else:
        yield ok("export environment", ", ".join(f"{n} {v}" if v else n for n, (v, _) in found.items()))


def registry(settings: Settings) -> Iterator[Finding]:
    """Whether MLflow's registry can be reached."""
    uri = home.tracking_uri(settings.home)
    if uri.startswith(("http://", "https://")):
        yield from _over_http(uri)
        return
    try:
        file = make_url(uri).database if uri.startswith("sqlite") else None
    except ValueError:
        file = None
    if file and not os.path.exists(file):  # noqa: PTH110  # the URL's text, not a path of ours
        yield note("registry", f"{file} is not there yet", "the first run that is logged makes it")
    else:
        yield ok("registry", file or uri)


def _over_http(uri: str) -> Iterator[Finding]:
    shown = httpx.URL(uri).copy_with(username="", password="")
    try:
        answer = httpx.get(f"{uri.rstrip('/')}/health", timeout=_PATIENCE_SECONDS)
    except httpx.HTTPError as error:
        advice = "start it, or mend MLFLOW_TRACKING_URI; what is served is served without it"
        yield fault("registry", f"{shown} does not answer: {type(error).__name__}", advice)
        return
    if answer.status_code >= 400:
        found = f"{shown} answers {answer.status_code}"
        yield fault("registry", found, "give the credentials that it wants, or mend MLFLOW_TRACKING_URI")
    else:
        yield ok("registry", f"{shown} answers")


CHECKS: dict[str, Check] = {"export environment": environment, "registry": registry}
