"""Carries out the build and serve stages of the Dockerfile in a folder, for `check_dockerfile.py --install`.

Before: `dockerfile.parse` gave the stages, and their rules hold. The COPY lines are carried out as they
stand; in the RUN lines absolute paths become paths under the folder, and `python` that of a new virtual
environment. The lines that make users (stage runtime) are not carried out: they would change this machine.
"""

import http.server
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from dockerfile import EXPORT_ONLY, Stage

IMPORTABLE = ("tidegate.cli.gateway", "serving.app", "demos.app", "monitoring.job")


def install(stages: Sequence[Stage], folder: Path, root: Path) -> list[str]:
    """Carry out the build and serve stages under `folder`; every fault of what comes out."""
    build, serve = (next(stage for stage in stages if stage.name == name) for name in ("build", "serve"))
    source = folder / "source"
    constraints = source / "tidegate" / "constraints"
    places = {"/source": source, "/wheels": folder / "wheels", "/constraints": constraints}
    for rest in build.rests("COPY"):
        _copy(rest.split(), source, root)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    for stage, cwd in ((build, source), (serve, folder)):
        for command in stage.rests("RUN"):
            _shell(command, places, python, cwd)
    listed = _shell("PYTHONPATH=/source python -m tidegate.environments --list export", places, python, folder)
    (wheel,) = (folder / "wheels").glob("tidegate-*.whl")
    found = [*_wheel_faults(wheel, root), *_installed_faults(python, folder / "away", constraints / "serve.txt")]
    found += [] if "torch==" in listed else ["export: the list of requirements does not name torch"]
    return [*found, *_health_faults(serve, python)]


def _copy(words: Sequence[str], source: Path, root: Path) -> None:
    """`COPY a b ./` and `COPY folder folder`, as in the build stage."""
    *names, place = words
    source.mkdir(exist_ok=True)
    for name in names:
        target = source / (name if place == "./" else place)
        if (root / name).is_dir():
            shutil.copytree(root / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(root / name, target)


def _shell(command: str, places: dict[str, Path], python: Path, cwd: Path) -> str:
    for place, path in places.items():
        command = re.sub(rf"(?<![\w.]){place}\b", shlex.quote(str(path)), command)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "PYTHON"))}
    clean |= {"PATH": f"{python.parent}:{os.environ['PATH']}", "VIRTUAL_ENV": str(python.parents[1])}
    sys.stdout.write(f"  $ {command}\n")
    sys.stdout.flush()
    done = subprocess.run(["/bin/sh", "-ec", command], cwd=cwd, env=clean, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"`{command}` failed with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def _wheel_faults(wheel: Path, root: Path) -> Iterator[str]:
    names = zipfile.ZipFile(wheel).namelist()
    examples = [f"tidegate/examples/{file.name}" for file in (root / "examples").glob("*.py")]
    for needed in ["tidegate/constraints/serve.txt", "tidegate/constraints/export.txt", *examples]:
        if needed not in names:
            yield f"the wheel lacks {needed}"
    for name in names:
        if re.match(r"(tests|docs|\.ci)/", name) or name.endswith((".pyc", ".db")) or "test_" in name:
            yield f"the wheel holds {name}"


def _installed_faults(python: Path, away: Path, constraints: Path) -> Iterator[str]:
    """What a shell outside the checkout sees of the installed command and its packages."""
    away.mkdir()

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": f"{python.parent}:/usr/bin:/bin", "HOME": str(away), "TIDEGATE_HOME": str(away / "home")}
        return subprocess.run(command, cwd=away, env=environ, text=True, capture_output=True, check=False)

    for command in (["tidegate", "--version"], ["tidegate", "--help"], ["python", "-m", "pip", "check"]):
        done = run(*command)
        if done.returncode or not done.stdout.strip():
            yield f"{' '.join(command)}: exit {done.returncode}: {done.stderr[-500:]}"
    modules = ", ".join(IMPORTABLE)
    done = run("python", "-c", f"import {modules}, sys; print(*sorted({set(EXPORT_ONLY)!r} & set(sys.modules)))")
    if done.returncode or done.stdout.strip():
        yield f"importing {modules}: {done.stdout.strip()}{done.stderr[-500:]}"
    finder = f"from importlib.util import find_spec; print(*[n for n in {EXPORT_ONLY!r} if find_spec(n)])"
    if heavy := run("python", "-c", finder).stdout.strip():
        yield f"serve can import {heavy}"
    refused = run("tidegate", "serve", "--host", "0.0.0.0")  # noqa: S104  (it must refuse)
    if refused.returncode != 2:
        yield f"tidegate serve --host 0.0.0.0 without a key: exit {refused.returncode}, not 2: {refused.stderr[-500:]}"
    pinned = {_canonical(line) for line in constraints.read_text().splitlines()}
    for line in run("python", "-m", "pip", "list", "--format=freeze").stdout.splitlines():
        if line.partition("==")[0] not in ("tidegate", "pip", "setuptools", "wheel") and _canonical(line) not in pinned:
            yield f"{line} is installed and not pinned in constraints/serve.txt"


def _canonical(line: str) -> str:
    name, _, version = line.partition(";")[0].strip().partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version.strip()}"


def _health_faults(serve: Stage, python: Path) -> Iterator[str]:
    """Runs the health check against a server that is well, one that is not, and none."""
    command = [str(python), *json.loads(serve.rests("HEALTHCHECK")[0].partition("CMD ")[2])[1:]]
    for status in (200, 503, None):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = _answering(port, status) if status else None
        environ = {"TIDEGATE_PORT": str(port), "HTTP_PROXY": "http://127.0.0.1:1"}
        healthy = subprocess.run(command, env=environ, capture_output=True, check=False).returncode == 0
        if healthy is not (status == 200):
            yield f"serve: the health check says {healthy} of a server that answers {status}"
        if server:
            server.shutdown()
            server.server_close()


def _answering(port: int, status: int) -> http.server.HTTPServer:
    """A server that answers /healthz with this status, and anything else with 404."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = http.server.HTTPServer(("127.0.0.1", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
