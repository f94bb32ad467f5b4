"""Asks for known security faults of what is pinned: pip-audit over tidegate/constraints, in an environment of its own.

    python3 .ci/audit.py

A fault that is known fails the check, unless it stands below with the reason why it does not concern us. Where the
advisories cannot be asked (no network, an index that has none), that is said loudly and nothing fails: the answer would
be about the network, not about the code. pip-audit's own dependencies do not fit beside whylogs', hence `.venv-audit`.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-audit"
PYTHON = ENVIRONMENT / "bin" / "python"
PATIENCE_SECONDS = 300
PIP_AUDIT = "pip-audit>=2.9,<3"
ACCEPTED: dict[str, str] = {}  # advisory -> why it does not concern us


def main() -> int:
    """Audit every file of constraints; 1 when a fault is known."""
    if not prepare():
        return unasked("pip-audit cannot be installed from this index")
    code = 0
    for constraints in sorted((ROOT / "tidegate" / "constraints").glob("*.txt")):
        code |= audit(constraints)
    return code


def prepare() -> bool:
    """Whether pip-audit is there, or could be installed."""
    if (ENVIRONMENT / "bin" / "pip-audit").is_file():
        return True
    venv.create(ENVIRONMENT, with_pip=True)
    done = subprocess.run([PYTHON, "-m", "pip", "install", "-qq", PIP_AUDIT], check=False)
    return done.returncode == 0


def audit(constraints: Path) -> int:
    """Ask for one file; 1 when a fault is known."""
    command = [PYTHON, "-m", "pip_audit", "--requirement", constraints, "--no-deps", "--disable-pip"]
    try:
        done = subprocess.run(
            [*command, "--format", "json", "--progress-spinner", "off"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return unasked(f"{constraints.name}: no answer in {PATIENCE_SECONDS} s")
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return unasked(f"{constraints.name}: {done.stderr.strip().splitlines()[-1:] or 'no answer'}")
    asked = [package for package in found if "skip_reason" not in package]
    if not asked:
        return unasked(f"{constraints.name}: the advisories know none of {len(found)} packages")
    faults = [
        f"{package['name']} {package['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or '-'}"
        for package in asked
        for fault in package["vulns"]
        if fault["id"] not in ACCEPTED
    ]
    say(f"audit: {constraints.name}: {len(asked)} of {len(found)} packages asked for, {len(faults)} known faults")
    for fault in faults:
        say(f"audit: {fault}")
    return int(bool(faults))


def unasked(why: str) -> int:
    """Say that nothing was found out."""
    say(f"audit: NOT AUDITED, and nothing is known about faults in what is pinned: {why}")
    return 0


def say(line: str) -> None:
    """One line, at once."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
