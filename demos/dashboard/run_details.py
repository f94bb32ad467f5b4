"""The view `/dashboard/runs/{run_id}`: what a run was given, what it came to, and what was made of it.

Before: `known_runs`; after: `page`. Curves are drawn by `curves`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from demos.dashboard import content, curves
from demos.dashboard.content import Cell, Link, Page, Part, Section, Table
from demos.dashboard.forms import form
from demos.dashboard.known_runs import RUNS, bundles_of, known_runs, reading_page
from demos.dashboard.runs import state
from demos.dashboard.visit import Visit
from tidegate.bundle import Manifest
from tidegate.errors import ItemNotFound
from tidegate.moments import moment
from tidegate.run_comparison import better

Document = Mapping[str, Any]
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_SHORT = 8


async def one_run(visit: Visit) -> Page:
    """A run.

    Raises:
        ItemNotFound: neither the registry nor a bundle knows it.
        InvalidInput: curves cannot be drawn as `?x=` or `?smooth=` says.
    """
    run_id, how = checked(visit.path["run_id"]), curves.look(visit)
    known = await known_runs(visit, [run_id])
    if known.pending:
        return reading_page(f"Run {run_id[:_SHORT]}", [RUNS])
    if not known.runs:
        raise ItemNotFound(f"no run {run_id}. {known.source.rstrip('.')}")
    run = known.runs[0]
    sections = [
        _curves(visit, run, how),
        Section("What it came to", [_metrics(run)]),
        Section("What it was given", [_params(run), _data_sets(run)]),
        Section("What was made of it", [_bundles(bundles_of(run_id, known.manifests))]),
        Section("About it", [_about(run), _artifacts(run)]),
    ]
    return Page(run["name"], f"{_lead(run)} {known.source}", [one for one in sections if one is not None], [RUNS])


def checked(run_id: str) -> str:
    """The run id, if it is one.

    Raises:
        ItemNotFound: it is none.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise ItemNotFound(f"no run {run_id[:80]!r}: ids of runs are 32 hexadecimal digits")
    return run_id


def _lead(run: Document) -> str:
    started, ended = run["started_seconds"], run["ended_seconds"]
    if started is None:
        return ""
    took = f" in {_duration(ended - started)}" if ended and ended > started else ""
    return f"{run['status'].capitalize()}{took}, started {moment(started)} in experiment {run['experiment']}."


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 3_600 else f"{seconds / 3_600:.3g} h"


def _curves(visit: Visit, run: Document, how: curves.Look) -> Section | None:
    if not run["curves"]:
        return None
    figures = curves.of_one_run(run["curves"], how)
    parts: list[Part] = [form(curves.controls(visit), "Draw"), *figures, curves.table([(run["name"], run["curves"])])]
    return Section("Curves", parts)


def _metrics(run: Document) -> Table:
    words = {"higher": "higher is better", "lower": "lower is better"}
    rows: list[list[Cell]] = [
        [name, value, words.get(better(name) or "")] for name, value in sorted(run["metrics"].items())
    ]
    return Table("metrics", "Metrics, as logged last", ["metric", "value", "which way"], rows, empty="It logged none.")


def _params(run: Document) -> Table:
    rows = [[name, value] for name, value in sorted(run["params"].items())]
    return Table("params", "Params", ["param", "value"], rows, empty="It logged none.")


def _data_sets(run: Document) -> Table:
    rows = [[used["context"] or "data set", used["name"], used["digest"]] for used in run["datasets"]]
    empty = "It logged none; `mlflow.log_input` would."
    return Table("data-sets", "Data sets", ["used for", "name", "digest"], rows, empty=empty)


def _bundles(made: Sequence[Manifest]) -> Table:
    columns = ["bundle", "published", "serves", "accuracy", "size", "task"]
    empty = "No bundle yet; `tidegate export` makes one."
    return Table("bundles", "Bundles, newest first", columns, [_bundle_row(one) for one in made], empty=empty)


def _bundle_row(manifest: Manifest) -> list[Cell]:
    chosen = next((each for each in manifest.evidence if each.variant == manifest.chosen), None)
    return [
        Link(
            f"{manifest.name}/{manifest.version}",
            f"/dashboard/models/{manifest.name}/health?version={manifest.version}",
        ),
        content.when(manifest.created_at.timestamp()),
        manifest.chosen,
        content.share(chosen.accuracy) if chosen and manifest.labels else None,
        content.megabytes(chosen.size_bytes) if chosen else None,
        manifest.task,
    ]


def _about(run: Document) -> Table:
    parent, tags = run["parent"], run["tags"]
    both = urlencode([("run", parent), ("run", run["run_id"])])
    links: list[list[Cell]] = [
        ["trained again from", Link(parent[:_SHORT], f"/dashboard/runs/{parent}")],
        ["beside its parent", Link("compare", f"/dashboard/compare?{both}")],
    ]
    known: list[list[Cell]] = [
        ["run id", run["run_id"]],
        *(links if parent else []),
        *_alerts(tags),
        ["git commit", run["git_commit"] or None],
        ["registered as", ", ".join(run["registered"]) or None],
        ["experiment", run["experiment"] or None],
        ["state", state(run)],
        ["started", content.when(run["started_seconds"])],
        ["ended", content.when(run["ended_seconds"])],
    ]
    known += [[name, value] for name, value in sorted(tags.items())]
    rows = [row for row in known if row[1] is not None]
    return Table("about", "Where it comes from", ["what", "value"], rows, note="Names with dots are tags of the run.")


def _alerts(tags: Mapping[str, str]) -> list[list[Cell]]:
    """Of a retraining: reports of the alerts that were open, by the tags that it carries."""
    model = tags.get("tidegate.data_set", "").rpartition("/")[0]
    numbers = [number for number in tags.get("tidegate.alerts", "").split(",") if number.isdecimal()]
    return [
        [
            "alert that asked for it",
            Link(f"alert {number}", f"/dashboard/models/{model}/drift?{urlencode({'alert': number})}"),
        ]
        for number in numbers
        if model
    ]


def _artifacts(run: Document) -> Table:
    files = run["artifacts"]
    rows: list[list[Cell]] = [[file["path"], content.megabytes(file["size_bytes"])] for file in files or []]
    empty = "It logged none." if files is not None else "Its store did not say what there is."
    note = "m-... are models that the run logged: models:/m-... names one."
    has_models = any(file["path"].startswith("m-") for file in files or [])
    return Table("artifacts", "Artifacts", ["file", "size"], rows, note if has_models else "", empty)
