"""The view `/dashboard/compare?run=...&run=...`: runs side by side, as `tidegate runs compare` has them.

Before: `known_runs` and `tidegate.run_comparison`, whose document this shows; after: `page`. Up to eight runs, which
can be told apart in a plot; each has a letter, a colour and a mark, the same everywhere on the page.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from demos.dashboard import content, curves
from demos.dashboard.content import Cell, Figure, Link, Number, Page, Section, Table
from demos.dashboard.forms import Select, form
from demos.dashboard.known_runs import RUNS, bundles_of, known_runs, reading_page
from demos.dashboard.plots import MOST_SERIES, Dot, dots
from demos.dashboard.run_details import checked
from demos.dashboard.runs import data_set, state
from demos.dashboard.visit import Visit
from tidegate.bundle import Manifest
from tidegate.errors import InvalidInput, ItemNotFound
from tidegate.run_comparison import compare

Document = Mapping[str, Any]
_LETTERS = "ABCDEFGH"
_MOST_PLOTS = 12


async def some_runs(visit: Visit) -> Page:
    """Runs side by side.

    Raises:
        InvalidInput: fewer than two runs are named, or more than eight, or a way to draw curves that there is not.
        ItemNotFound: a name is no run id, or nothing knows the run.
    """
    wanted = list(dict.fromkeys(checked(run_id) for run_id in visit.query.get("run", ())))
    if not 2 <= len(wanted) <= MOST_SERIES:
        raise InvalidInput(f"tick two to {MOST_SERIES} runs to compare at /dashboard/runs, not {len(wanted)}")
    how = curves.look(visit)
    known = await known_runs(visit, wanted)
    if known.pending:
        return reading_page("Compare runs", [RUNS])
    by_id = {run["run_id"]: run for run in known.runs}
    missing = [run_id for run_id in wanted if run_id not in by_id]
    if missing:
        raise ItemNotFound(f"no run {', '.join(missing)}. {known.source.rstrip('.')}")
    runs = [by_id[run_id] for run_id in wanted]
    names = [f"{letter} {run['name']}" for letter, run in zip(_LETTERS, runs, strict=False)]
    compared = compare(runs, known.manifests, [one for one in visit.query.get("metric", ()) if one])
    sections = [
        Section("", [_runs(runs, known.manifests)]),
        _curves(visit, runs, names, compared, how),
        _trade_off(compared["variants"], names),
        Section("Final metrics", [_metrics("metrics", "Metrics, the best marked", compared["metrics"], names)]),
        _classes(compared["classes"], names),
        Section("Params", [_params(compared, names)]),
    ]
    lead = f"{_verdict(compared, names)} {known.source}"
    return Page("Compare runs", lead, [one for one in sections if one is not None], [RUNS])


def _verdict(compared: Mapping[str, Any], names: Sequence[str]) -> str:
    """Who is best at how much: what a visitor came for, in a sentence."""
    wins = [sum(number in row["best"] for row in compared["metrics"]) for number in range(len(names))]
    judged = sum(bool(row["best"]) for row in compared["metrics"])
    if not judged:
        return "No metric of these runs tells which is better."
    most = max(wins)
    best = " and ".join(name for name, won in zip(names, wins, strict=True) if won == most)
    return f"{best}: best at {most} of the {judged} metrics that tell better from worse."


def _runs(runs: Sequence[Document], manifests: Sequence[Manifest]) -> Table:
    rows = [[letter, *_run_row(run, manifests)] for letter, run in zip(_LETTERS, runs, strict=False)]
    columns = ["", "run", "state", "started", "experiment", "data set", "git commit", "bundle"]
    return Table("runs", "The runs", columns, rows)


def _run_row(run: Document, manifests: Sequence[Manifest]) -> list[Cell]:
    made = next(iter(bundles_of(run["run_id"], manifests)), None)
    return [
        Link(run["name"], f"/dashboard/runs/{run['run_id']}"),
        state(run),
        content.when(run["started_seconds"]),
        run["experiment"] or None,
        data_set(run),
        run["git_commit"][:8] or None,
        Link(f"{made.name}/{made.version}", f"/dashboard/models/{made.name}") if made else None,
    ]


def _curves(
    visit: Visit, runs: Sequence[Document], names: Sequence[str], compared: Mapping[str, Any], how: curves.Look
) -> Section | None:
    every = sorted({metric for run in runs for metric in run["curves"]})
    if not every:
        return None
    shown = sorted(compared["curves"], key=lambda curve: curves.interest(curve["metric"]))[:_MOST_PLOTS]
    choices = {"": "all" if len(every) <= _MOST_PLOTS else f"the first {_MOST_PLOTS}"} | {one: one for one in every}
    fields = [Select("metric", "Metric", choices, visit.one("metric")), *curves.controls(visit)]
    figures = [curves.of_runs(curve["metric"], names, curve["runs"], how) for curve in shown]
    table = curves.table([(name, run["curves"]) for name, run in zip(names, runs, strict=True)])
    asked = form(fields, "Draw", kept=[("run", run["run_id"]) for run in runs])
    return Section("Curves", [asked, *figures, table])


def _trade_off(variants: Sequence[Document], names: Sequence[str]) -> Section | None:
    """Accuracy against latency and size, of what was exported."""
    if not variants:
        return None
    figures = [
        _dots(variants, "latency", "p50 of one text, ms", "latency_p50_seconds", 1e3),
        _dots(variants, "size", "size, MB", "size_bytes", 1e-6),
    ]
    rows = [_variant_row(row, names) for row in variants]
    columns = ["bundle", "run", "variant", "accuracy", "macro-F1", "agreement", "size", "p50, one text", "texts/s"]
    table = Table("variants", "Variants of the bundles made from them", columns, [*rows])
    lead = "What serving each of them would cost, as measured at export. Towards the upper left is better."
    return Section("Accuracy, size and latency", [*figures, table], lead)


def _dots(variants: Sequence[Document], cost: str, x_name: str, key: str, times: float) -> Figure:
    title = f"Accuracy against {cost}"
    points = [
        Dot(
            f"{_LETTERS[row['run']]} {row['variant']}",
            row[key] * times,
            row["accuracy"] * 100,
            row["run"],
            row["serves"],
        )
        for row in variants
    ]
    svg = dots(title, points, x_name, "accuracy, %", log_x=True, least_y=2.0)
    return Figure(title, svg, "Filled: the variant that its bundle serves.")


def _variant_row(row: Document, names: Sequence[str]) -> list[Cell]:
    model, _, version = row["bundle"].rpartition("/")
    refused = "" if row["accepted"] else ", refused"
    return [
        Link(row["bundle"], f"/dashboard/models/{model}/health?version={version}"),
        names[row["run"]],
        f"{row['variant']}{', serves' if row['serves'] else refused}",
        content.share(row["accuracy"]),
        content.share(row["macro_f1"]),
        content.share(row["agreement"]),
        content.megabytes(row["size_bytes"]),
        content.milliseconds(row["latency_p50_seconds"]),
        round(row["throughput_texts_per_second"]),
    ]


def _metrics(name: str, caption: str, rows: Sequence[Document], names: Sequence[str]) -> Table:
    cells = [[row["name"], *_finals(row), row["better"]] for row in rows]
    return Table(name, caption, ["metric", *names, "better is"], cells, empty="They logged none.")


def _finals(row: Document) -> list[Cell]:
    return [
        None if value is None else Number(value, f"{value:.4g}", "good" if number in row["best"] else "")
        for number, value in enumerate(row["final"])
    ]


def _classes(rows: Sequence[Document], names: Sequence[str]) -> Section | None:
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: (row["label"], row["name"]))
    cells = [[row["label"], row["name"], *_finals(row)] for row in ordered]
    return Section("By class", [Table("classes", "Metrics of each class", ["class", "metric", *names], cells)])


def _params(compared: Mapping[str, Any], names: Sequence[str]) -> Table:
    rows = [[row["name"], *row["values"]] for row in compared["params"]]
    same = f"{compared['same_params']} more are the same in all of them."
    return Table("params", "Params that differ", ["param", *names], rows, same, empty=f"None differ. {same}")
