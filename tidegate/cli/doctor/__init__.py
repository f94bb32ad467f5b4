"""`tidegate doctor`: what is installed, what is there, what answers, and what to do about each fault.

Looks at software, devices, the home folder, the network and the export environment, in that order. Changes nothing,
makes nothing, and asks nobody but the server of this home, the state database and the registry. Each check is guarded:
whatever is broken, the others are reported. Exit code 0 when there is no fault, else 1.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli import app, console
from tidegate.cli.doctor.finding import Finding, examine, fault
from tidegate.cli.options import AsJson, Home
from tidegate.errors import UsageError
from tidegate.settings import Settings

_MODULES = ("software", "storage", "network", "exporting")
_MARKS = {"ok": "ok", "note": "note", "fault": "FAULT"}


@app.command()
def doctor(
    home: Home = None,
    port: Annotated[int | None, typer.Option(help="Port that `serve` is to listen on.", show_default="8080")] = None,
    as_json: AsJson = False,
) -> None:
    """Check versions, devices, stores, ports and the export environment; says what to do about each fault."""
    settings, findings = _settings(home, port)
    for module in _MODULES:
        findings += examine(module, settings)
    healthy = all(finding.status != "fault" for finding in findings)
    if as_json:
        console.json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
    else:
        rows = [[_MARKS[each.status], each.check, each.found, each.do] for each in findings]
        console.table(f"tidegate doctor, home {settings.home.absolute()}", ["", "check", "found", "do"], rows)
        faults = sum(finding.status == "fault" for finding in findings)
        console.say("all is well" if healthy else f"{faults} {'fault' if faults == 1 else 'faults'}")
    if not healthy:
        raise typer.Exit(1)


def _settings(home: Path | None, port: int | None) -> tuple[Settings, list[Finding]]:
    """The settings that a server would get; where it would get none, the defaults, and why."""
    try:
        return Settings.load(home=home, port=port), []
    except UsageError as error:
        wrong = fault("settings", str(error), "mend it: docs/reference/settings.md has every variable")
        return Settings.load({}, home=home), [wrong]
