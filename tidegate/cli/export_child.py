"""The export child: composes exporters and monitoring inside the export environment.

Started by `tidegate.cli.export` through `tidegate.cli.children` as `python -m tidegate.cli.export_child ACTION
JSON`, with one JSON object of arguments. Actions: export, list_runs, show_run. Messages go to stderr; the answer
goes back through `children.answer`.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tidegate.cli import children, console
from tidegate.errors import TidegateError, UsageError


def export(home: str, tracking_uri: str, **request: Any) -> dict[str, Any]:
    """Export a run; answers the name, version and path of the published bundle."""
    from pydantic import ValidationError

    from exporters.pipeline import ExportRequest, export_run
    from monitoring.reference import build_reference
    from tidegate.bundle import first_fault
    from tidegate.bundle_store import BundleStore

    try:
        checked = ExportRequest(**request)
    except ValidationError as error:
        raise UsageError(f"export: {first_fault(error)}") from None
    store = BundleStore(Path(home) / "bundles")
    bundle = export_run(checked, store, tracking_uri, build_reference, console.say)
    return {"name": bundle.manifest.name, "version": bundle.manifest.version, "path": str(bundle.path)}


def list_runs(tracking_uri: str) -> list[dict[str, Any]]:
    """What the registry holds."""
    from exporters import sources

    return sources.list_runs(tracking_uri)


def show_run(run: str, tracking_uri: str) -> dict[str, Any]:
    """One run of the registry."""
    from exporters import sources

    return sources.show_run(run, tracking_uri)


ACTIONS: dict[str, Callable[..., Any]] = {"export": export, "list_runs": list_runs, "show_run": show_run}


def main(argv: Sequence[str]) -> None:
    """Carry out one action."""
    children.attend_parent()
    action, arguments = argv
    try:
        children.answer(ACTIONS[action](**json.loads(arguments)))
    except TidegateError as error:
        children.refuse(error)


if __name__ == "__main__":
    main(sys.argv[1:])
