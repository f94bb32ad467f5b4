"""The two environments: `.venv` serves, `.venv-export` exports. Builds them, and finds the second from the first.

They cannot be one: optimum-onnx pins huggingface-hub<1, every safe Gradio needs >=1.2. Needs nothing but
Python's standard library, so that `make install` can run it before anything is installed:

    python3 -m tidegate.environments [serve] [export] [--with EXTRA]

A second call installs nothing while pyproject.toml, the constraints and the interpreter stay the same.
"""

import argparse
import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from tidegate.errors import EnvironmentMissing

FOLDERS = {"serve": ".venv", "export": ".venv-export"}
PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
BUILD_COMMAND = "python3 -m tidegate.environments export"

# What a child that runs strangers' models may know: where things are, and how to reach the registry.
# No TIDEGATE_* variable passes (API key, database URL, webhook), nor anything else of the server's.
_CHILD_VARIABLES = re.compile(
    r"PATH|HOME|USER|LANG|LC_.*|TZ|TMPDIR|TERM|COLUMNS|VIRTUAL_ENV|LD_LIBRARY_PATH|CUDA_VISIBLE_DEVICES|OMP_NUM_THREADS"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|(HTTPS?|NO|ALL)_PROXY|(https?|no|all)_proxy"
    r"|MLFLOW_.*|AWS_.*|AZURE_.*|GOOGLE_APPLICATION_CREDENTIALS"
    r"|DO_NOT_TRACK|ORT_DISABLE_TELEMETRY|WHYLOGS_NO_ANALYTICS|HF_HUB_.*|TRANSFORMERS_OFFLINE|TOKENIZERS_PARALLELISM"
)


def export_python(configured: str = "", folder: Path | None = None) -> Path:
    """The interpreter that runs the exporters: the configured one, `.venv-export`, or this one if it can.

    Raises:
        EnvironmentMissing: none of them is there; the message is the command that makes one.
    """
    if configured:
        if not Path(configured).is_file():
            raise EnvironmentMissing(f"TIDEGATE_EXPORT_PYTHON is {configured!r}, and no such file exists")
        return Path(configured)
    for root in [folder] if folder else [Path.cwd(), CHECKOUT]:
        candidate = root / FOLDERS["export"] / "bin" / "python"
        if candidate.is_file():
            return candidate
    if find_spec("optimum") and find_spec("mlflow"):
        return Path(sys.executable)
    raise EnvironmentMissing(f"no export environment ({FOLDERS['export']}) found; make it with: {BUILD_COMMAND}")


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of the environment that an export child gets: an allow-list, so that no secret slips through."""
    return {name: value for name, value in environ.items() if _CHILD_VARIABLES.fullmatch(name)}


def build(kind: str, extras: Sequence[str], root: Path) -> Path:
    """Make or update one environment under `root`, unless its stamp says that nothing changed."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        version = ".".join(map(str, sys.version_info[:2]))
        raise EnvironmentMissing(
            f"Python {version} runs this, Tidegate needs 3.11 or 3.12: make install PYTHON=python3.11"
        )
    folder = root / FOLDERS[kind]
    python = folder / "bin" / "python"
    stamp = folder / "tidegate.stamp"
    base, wanted = _fingerprint(kind, []), _fingerprint(kind, extras)
    done = stamp.read_text().split() if stamp.is_file() else []
    if done[:1] != [base] or not python.is_file():
        done = [base]  # what an older set of versions installed counts for nothing
    elif wanted in done[1:]:
        return python
    print(f"installing the {kind} environment into {folder} ...", flush=True)  # noqa: T201
    if not (folder / "bin" / "pip").is_file():  # made last: without it, somebody interrupted the making
        venv.create(folder, with_pip=True, clear=True)
    constraints = PACKAGE / "constraints" / f"{kind}.txt"
    _pip(python, "--constraint", str(constraints), *requirements(kind, extras))
    _pip(python, "--no-deps", *_tidegate_itself())
    stamp.write_text("\n".join([*done, wanted]))  # earlier extras stay installed, so their stamps stay true
    return python


def requirements(kind: str, extras: Sequence[str]) -> list[str]:
    """Requirement lines of an environment: serve = the base dependencies, export = the extra of that name."""
    base, optional = _declared()
    chosen = list(base) if kind == "serve" else list(optional["export"])
    for extra in extras:
        chosen += _expand(extra, optional)
    return chosen


def _expand(extra: str, optional: Mapping[str, Sequence[str]]) -> list[str]:
    """An extra's requirements, with `tidegate[a,b]` inside it replaced by theirs."""
    lines: list[str] = []
    for line in optional[extra]:
        own = re.fullmatch(r"tidegate\[(.+)\]", line)
        lines += [r for name in own[1].split(",") for r in _expand(name, optional)] if own else [line]
    return lines


def _declared() -> tuple[list[str], dict[str, list[str]]]:
    """Dependencies and extras, from pyproject.toml in a checkout, else from the installed metadata."""
    file = CHECKOUT / "pyproject.toml"
    if file.is_file():
        project = tomllib.loads(file.read_text())["project"]
        return project["dependencies"], project["optional-dependencies"]
    base: list[str] = []
    optional: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("tidegate") or []:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        rest = re.sub(r"\s*(and )?extra == ['\"][\w-]+['\"]", "", marker)
        target = optional.setdefault(extra[1], []) if extra else base
        target.append(f"{requirement}; {rest}" if rest else requirement)
    return base, optional


def _tidegate_itself() -> list[str]:
    if (CHECKOUT / "pyproject.toml").is_file():
        return ["--editable", str(CHECKOUT)]
    return [f"tidegate=={importlib.metadata.version('tidegate')}"]


def _fingerprint(kind: str, extras: Sequence[str]) -> str:
    """Changes when the requirements, the constraints, this interpreter or the place of the checkout do."""
    parts = [sys.version, str(CHECKOUT), *requirements(kind, extras)]
    parts.append((PACKAGE / "constraints" / f"{kind}.txt").read_text())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, check=False).returncode:
        raise EnvironmentMissing(f"pip failed; run it again to see why: {' '.join(command)}")


def main() -> int:
    """Build the named environments (both by default)."""
    parser = argparse.ArgumentParser(prog="python3 -m tidegate.environments", description=__doc__.split("\n")[0])
    parser.add_argument("kinds", nargs="*", default=["serve", "export"], help="serve, export; both by default")
    parser.add_argument(
        "--with", dest="extras", action="append", default=[], help="an extra of pyproject.toml, into every kind named"
    )
    parser.add_argument("--list", action="store_true", help="print the requirements instead of installing them")
    arguments = parser.parse_args()
    try:
        for kind in arguments.kinds:
            if arguments.list:
                print("\n".join(requirements(kind, arguments.extras)))  # noqa: T201
            else:
                build(kind, arguments.extras, CHECKOUT if (CHECKOUT / "pyproject.toml").is_file() else Path.cwd())
    except (EnvironmentMissing, KeyError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)  # what is on it would hide what pip must install
    sys.exit(main())
