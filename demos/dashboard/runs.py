"""The view `/dashboard/runs`: every run of the registry, to filter, to sort, and to tick for a comparison.

Before: `known_runs`; after: `run_details` and `compare_runs`, which it links to.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from demos.dashboard.content import Cell, Choice, Heading, Link, Mark, Markup, Page, Part, Section, Table, when
from demos.dashboard.curves import interest
from demos.dashboard.forms import Field, Select, Word, form
from demos.dashboard.known_runs import Known, bundles_of, known_runs, reading_page
from demos.dashboard.visit import Visit
from tidegate.bundle import Manifest
from tidegate.errors import InvalidInput
from tidegate.run_comparison import better

Document = Mapping[str, Any]
_MAIN_METRICS = 3
_MOST_ROWS = 200
_ORDERS = {"asc": "ascending", "desc": "descending"}
_SORTED_BY: Mapping[str, Callable[[Document], Any]] = {
    "run": lambda run: run["name"].lower(),
    "state": lambda run: run["status"],
    "started": lambda run: run["started_seconds"],
    "experiment": lambda run: run["experiment"].lower(),
}


async def all_runs(visit: Visit) -> Page:
    """Every run.

    Raises:
        InvalidInput: rows cannot be sorted by what `?sort=` or `?order=` says.
    """
    known = await known_runs(visit)
    if known.pending:
        return reading_page("Runs", [])
    name, experiment, metric = (visit.one(key).strip() for key in ("name", "experiment", "metric"))
    chosen = [
        run
        for run in known.runs
        if name.lower() in f"{run['name']} {run['run_id']}".lower()
        and experiment in ("", run["experiment"])
        and (not metric or metric in run["metrics"])
    ]
    metrics = [metric] if metric else main_metrics(chosen)
    rows = _ordered(visit, chosen, metrics)
    lead = f"{len(rows)} of {len(known.runs)} runs. {known.source}"
    parts: list[Part] = [
        _filters(known.runs, name, experiment, metric),
        _table(visit, rows, metrics, known),
        form([], "Compare the ticked runs", to="compare", name="choices"),
    ]
    return Page("Runs", lead, [Section("", parts if rows else parts[:2])])


def main_metrics(runs: Sequence[Document]) -> list[str]:
    """The metrics that most of the runs have, of those that say how well it does, evaluation's first."""
    named = Counter(metric for run in runs for metric in run["metrics"])
    telling = [metric for metric in named if not any(interest(metric)[:-1])]
    by_use = sorted(telling, key=lambda metric: (not metric.startswith("eval"), -named[metric], interest(metric)))
    return by_use[:_MAIN_METRICS]


def state(run: Document) -> Cell:
    """What became of a run."""
    status = run["status"]
    mood = {"FINISHED": "good", "FAILED": "bad", "KILLED": "bad"}.get(status, "")
    return Mark(status.lower(), mood) if status else None


def data_set(run: Document) -> Cell:
    """The data that it was trained on."""
    return next((f"{used['name']} {used['digest']}" for used in run["datasets"]), None)


def _filters(runs: Sequence[Document], name: str, experiment: str, metric: str) -> Markup:
    experiments = {"": "all"} | {one: one for one in sorted({run["experiment"] for run in runs} - {""})}
    metrics = {"": "the main ones"} | {one: one for one in sorted({one for run in runs for one in run["metrics"]})}
    fields: list[Field] = [
        Word("name", "Name or run id", name),
        Select("experiment", "Experiment", experiments, experiment),
        Select("metric", "Metric", metrics, metric),
    ]
    return form(fields, "Show")


def _ordered(visit: Visit, runs: Sequence[Document], metrics: Sequence[str]) -> list[Document]:
    """By what the address says; those without a value last, either way."""
    sort, order = _order(visit)
    keys = dict(_SORTED_BY) | {metric: partial(_finite, metric=metric) for metric in metrics}
    if sort not in keys:
        raise InvalidInput(f"runs are sorted by {', '.join(keys)}, not {sort[:40]!r}")
    key = keys[sort]
    with_value = [run for run in runs if key(run) is not None]
    without = [run for run in runs if key(run) is None]
    return sorted(with_value, key=key, reverse=order == "desc") + without


def _finite(run: Document, metric: str) -> float | None:
    value = run["metrics"].get(metric)
    return value if value is not None and math.isfinite(value) else None


def _order(visit: Visit) -> tuple[str, str]:
    sort, order = visit.one("sort", "started"), visit.one("order", "desc")
    if order not in _ORDERS:
        raise InvalidInput(f"order is asc or desc, not {order[:40]!r}")
    return sort, order


def _table(visit: Visit, runs: Sequence[Document], metrics: Sequence[str], known: Known) -> Table:
    sortable = [*_SORTED_BY, *metrics]
    headings = [_heading(visit, name) for name in sortable]
    columns: list[str | Heading] = ["id", *headings, "data set", "registered as", "bundle"]
    rows = [_row(run, metrics, known.manifests) for run in runs]
    none_yet = "No run yet; examples/train_tfidf.py makes one, and `tidegate runs import` brings those of other tools."
    empty = "No run matches." if known.runs else none_yet
    return Table("runs", "Runs", columns, rows, empty=empty, first=_MOST_ROWS)


def _heading(visit: Visit, name: str) -> Heading:
    sort, order = _order(visit)
    descends = order == "asc" if sort == name else better(name) != "lower"
    kept = [(key, visit.one(key)) for key in ("name", "experiment", "metric") if visit.one(key)]
    query = urlencode([*kept, ("sort", name), ("order", "desc" if descends else "asc")])
    return Heading(name, f"?{query}", _ORDERS[order] if sort == name else "")


def _row(run: Document, metrics: Sequence[str], manifests: Sequence[Manifest]) -> list[Cell]:
    run_id = run["run_id"]
    made = next(iter(bundles_of(run_id, manifests)), None)
    return [
        Choice("run", run_id, f"compare {run['name']}"),
        Link(run["name"], f"/dashboard/runs/{run_id}"),
        state(run),
        when(run["started_seconds"]),
        run["experiment"] or None,
        *(run["metrics"].get(metric) for metric in metrics),
        data_set(run),
        ", ".join(uri.removeprefix("models:/") for uri in run["registered"]) or None,
        Link(f"{made.name}/{made.version}", f"/dashboard/models/{made.name}") if made else None,
    ]
