"""`tidegate runs import` and `tidegate runs compare`: experiments of other tools, and runs side by side.

Both ask the export child, where MLflow lives. What is compared is one document (`tidegate.run_comparison`), the same
that the dashboard shows; here it becomes tables and a plot of the terminal, or a file.
"""

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from tidegate import home as home_folder
from tidegate.bundle import MANIFEST, Manifest
from tidegate.bundle_store import BundleStore
from tidegate.cli import console
from tidegate.cli.comparison_tables import show
from tidegate.cli.export import ask, runs
from tidegate.cli.options import AsJson, Home
from tidegate.errors import UsageError
from tidegate.run_comparison import compare as compared
from tidegate.settings import Settings

DEFAULT_EXPERIMENT = "imported"
_DRAWINGS = (".png", ".html")


@runs.command("import", epilog="Example: tidegate runs import lightning_logs --register sentiment")
def import_runs(
    path: Annotated[Path, typer.Argument(help="Folder with TensorBoard logs, W&B runs or Trainer checkpoints in it.")],
    experiment: Annotated[str, typer.Option(help="MLflow experiment that the runs go into.")] = DEFAULT_EXPERIMENT,
    register: Annotated[
        str, typer.Option("--register", help="Registered model that every checkpoint becomes a version of.")
    ] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Bring runs of TensorBoard, W&B and the Hugging Face Trainer into MLflow; a second time, only what is new."""
    settings = Settings.load(home=home)
    home_folder.prepare(settings)
    request = {"path": str(path.absolute()), "experiment": experiment, "register": register}
    imported = ask(settings, "import_runs", request)
    if as_json:
        console.json(imported)
    else:
        _show_import(imported)
    if all(row["result"] == "unreadable" for row in imported["runs"]):
        raise typer.Exit(1)


def _show_import(imported: dict[str, Any]) -> None:
    rows = imported["runs"]
    columns = ["run", "from", "result", "run id", "params", "metrics", "new points", "model"]
    cells = [
        [
            row["name"],
            row["kind"],
            row["result"],
            row["run_id"] or "-",
            *(str(row[count]) for count in ("params", "metrics", "points")),
            row["registered"] or row["model"] or "-",
        ]
        for row in rows
    ]
    console.table(f"{len(rows)} runs, experiment {imported['experiment']}", columns, cells)
    for row in rows:
        for fault in row["faults"]:
            console.say(f"{row['name']}: {fault}")
    model = next((row["registered"] or row["model"] for row in rows if row["model"]), None)
    if model:
        console.say(f"next: tidegate export {model} --name NAME --data CSV")


@runs.command("compare", epilog="Example: tidegate runs compare models:/sentiment/1 models:/sentiment/2")
def compare_runs(
    run: Annotated[list[str], typer.Argument(help="Two runs or more: run ids, runs:/ID, models:/NAME@ALIAS, ...")],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", help="Plot this metric; may be repeated.", show_default="the first three with a curve"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Draw it into this file too: .png, or .html with the tables.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Runs side by side: params that differ, final metrics, curves, classes, and the variants of their bundles."""
    if len(run) < 2:
        raise UsageError(f"runs compare takes two runs or more, not {len(run)}; `tidegate runs list` shows some")
    if output and (output.suffix not in _DRAWINGS or not output.absolute().parent.is_dir()):
        raise UsageError(f"--output {output}: name a .png or .html file in a folder that is there")
    settings = Settings.load(home=home)
    documents = ask(settings, "read_runs", {"runs": run})
    comparison = compared(documents, _manifests(BundleStore(settings.bundles_dir)), metric or ())
    if output:
        ask(settings, "draw_comparison", {"comparison": comparison, "file": str(output.absolute())})
        console.say(f"drawn into {output}")
    if as_json:
        console.json(comparison)
    else:
        show(comparison)


def _manifests(store: BundleStore) -> list[Manifest]:
    """Of every bundle version; one that cannot be read is left out, since no run depends on it here."""
    found = []
    for name in store.names():
        for version in store.versions(name):
            with contextlib.suppress(ValidationError, OSError):
                found.append(Manifest.model_validate_json((store.path(name, version) / MANIFEST).read_bytes()))
    return found
