"""The export child: composes exporters and monitoring inside the export environment.

Started by `tidegate.cli.export` through `tidegate.cli.children` as `python -m tidegate.cli.export_child ACTION
FILE`, with one JSON object of arguments in the file; `ACTIONS` are those there are. The registry is the one that this
process's own environment names, else the home folder's, so that its password is in no request. Messages go to stderr;
the answer goes back through `children.answer`.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tidegate.cli import children, console
from tidegate.errors import TidegateError, UsageError
from tidegate.home import tracking_uri


def export(home: str, **request: Any) -> dict[str, Any]:
    """Export a run; answers the name, version and path of the published bundle."""
    from pydantic import ValidationError

    from exporters.behaviour import BehaviourRefused
    from exporters.pipeline import ExportRequest, NoVariantPassed, export_run
    from monitoring.building import build_reference
    from tidegate.bundle import first_fault
    from tidegate.bundle_store import BundleStore
    from tidegate.cli.behaviour import show_summary
    from tidegate.cli.export import show_numbers

    try:
        checked = ExportRequest(**request)
    except ValidationError as error:
        raise UsageError(f"export: {first_fault(error)}") from None
    store = BundleStore(Path(home) / "bundles")
    try:
        bundle = export_run(checked, store, tracking_uri(Path(home)), build_reference, console.say)
    except NoVariantPassed as refused:
        show_numbers(f"{checked.name}: every variant was refused", refused.evidence, as_message=True)
        raise
    except BehaviourRefused as refused:
        show_summary(f"{checked.name}, not published", refused.report, as_message=True)
        raise
    return {"name": bundle.manifest.name, "version": bundle.manifest.version, "path": str(bundle.path)}


def list_runs(home: str) -> list[dict[str, Any]]:
    """What the registry holds."""
    from exporters import sources

    return sources.list_runs(tracking_uri(Path(home)))


def show_run(run: str, home: str) -> dict[str, Any]:
    """One run of the registry."""
    from exporters import sources

    return sources.show_run(run, tracking_uri(Path(home)))


def fetch_splits(run: str, work: str, home: str) -> dict[str, str]:
    """Copy a run into the folder `work`; answers the CSV files (text, label) of its splits by name."""
    from exporters import sources

    fetched = sources.fetch_run(run, tracking_uri(Path(home)), Path(work))
    splits = {"training": fetched.training, "evaluation": fetched.evaluation}
    return {name: str(file.absolute()) for name, file in splits.items() if file is not None}


def fetch_parent(run: str, target: str, home: str) -> dict[str, Any]:
    """A run's splits, copied into a folder, and its recipe."""
    from exporters.training_runs import fetch_parent

    return fetch_parent(run, tracking_uri(Path(home)), Path(target))


def find_trained(token: str, register: str, home: str) -> dict[str, Any] | None:
    """The run that a retraining has made already; None where there is none."""
    from exporters.training_runs import find_trained

    return find_trained(token, register, tracking_uri(Path(home)))


def import_runs(home: str, path: str, experiment: str, register: str) -> dict[str, Any]:
    """Bring the runs of other tools below a folder into the registry, with a progress bar."""
    from rich.progress import Progress

    from exporters.run_import import import_runs as bring

    with Progress(console=console.messages, transient=True) as bars:
        bar = bars.add_task("importing", total=None)
        return bring(
            Path(path),
            tracking_uri(Path(home)),
            experiment,
            register,
            lambda done, total, name: bars.update(bar, completed=done, total=total, description=f"importing {name}"),
        )


def all_runs(home: str) -> list[dict[str, Any]]:
    """Every run of the registry in a few words, registered or not."""
    from exporters import run_list

    return run_list.all_runs(tracking_uri(Path(home)))


def read_runs(runs: list[str], home: str) -> list[dict[str, Any]]:
    """What is known of several runs, the histories of their metrics included."""
    from exporters.run_documents import read_runs as read

    return read(runs, tracking_uri(Path(home)))


def draw_comparison(comparison: dict[str, Any], file: str, home: str) -> str:  # noqa: ARG001  # every action is told the home
    """Draw a comparison of runs into a file; answers its path."""
    from exporters.run_figure import draw

    return str(draw(comparison, Path(file)))


ACTIONS: dict[str, Callable[..., Any]] = {
    "export": export,
    "list_runs": list_runs,
    "show_run": show_run,
    "fetch_splits": fetch_splits,
    "fetch_parent": fetch_parent,
    "find_trained": find_trained,
    "import_runs": import_runs,
    "all_runs": all_runs,
    "read_runs": read_runs,
    "draw_comparison": draw_comparison,
}


def main(argv: Sequence[str]) -> None:
    """Carry out one action."""
    children.attend_parent()
    action, file = argv
    try:
        children.answer(ACTIONS[action](**json.loads(Path(file).read_bytes())))
    except TidegateError as error:
        children.refuse(error)


if __name__ == "__main__":
    main(sys.argv[1:])
