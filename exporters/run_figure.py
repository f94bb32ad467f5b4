"""A comparison of runs as a picture (.png) or as a page of its own (.html): curves overlaid, and the tables.

Takes the document of `tidegate.run_comparison`; runs in the export environment, where matplotlib is. The page loads
nothing: its plots are SVG inside it. Runs differ by colour and by dash, so that a print in grey reads too.
"""

import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito's
_DASHES = ("-", "--", "-.", ":")
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Comparison of runs</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }}
table {{ border-collapse: collapse; margin: 1rem 0 2rem }} caption {{ text-align: left; font-weight: 600 }}
th, td {{ text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #ddd; overflow-wrap: anywhere }}
.best {{ font-weight: 700 }} svg {{ max-width: 100%; height: auto }}
</style></head><body>
<h1>Comparison of {count} runs</h1>
{body}
</body></html>
"""


class _Best(str):
    """The text of a cell that is to stand out."""


def draw(comparison: Mapping[str, Any], file: Path) -> Path:
    """Write the picture or the page, by the file's suffix; answers the file."""
    if file.suffix == ".html":
        file.write_text(_page(comparison), encoding="utf-8")
    else:
        figure = _figure(comparison)
        figure.savefig(file, dpi=144)
    return file


def _figure(comparison: Mapping[str, Any]) -> Any:
    """One plot a metric; where no run has a curve, the final metrics as dots."""
    from matplotlib.figure import Figure

    curves = comparison["curves"]
    rows = max(1, (len(curves) + 1) // 2)
    figure = Figure(figsize=(11, 3.4 * rows), layout="constrained")
    for place, curve in enumerate(curves, start=1):
        axes = figure.add_subplot(rows, min(2, len(curves)), place)
        for index, run in enumerate(curve["runs"]):
            if run:
                style = {"color": _COLOURS[index % len(_COLOURS)], "linestyle": _DASHES[index % len(_DASHES)]}
                axes.plot(run["steps"], run["values"], label=_name(comparison, index), **style)
        axes.set_title(curve["metric"], loc="left")
        axes.set_xlabel("step")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    if not curves:
        axes = figure.add_subplot()
        for index in range(len(comparison["runs"])):
            known = [row for row in comparison["metrics"] if row["final"][index] is not None]
            values, names = [row["final"][index] for row in known], [row["name"] for row in known]
            axes.plot(values, names, "o", color=_COLOURS[index % len(_COLOURS)], label=_name(comparison, index))
        axes.legend(frameon=False, fontsize=8)
    return figure


def _name(comparison: Mapping[str, Any], index: int) -> str:
    run = comparison["runs"][index]
    return f"{run['name']} ({run['run_id'][:8]})".replace("$", r"\$").lstrip("_")


def _page(comparison: Mapping[str, Any]) -> str:
    stream = io.StringIO()
    _figure(comparison).savefig(stream, format="svg", metadata={"Date": None})
    svg = re.sub(r"^.*?(?=<svg)", "", stream.getvalue(), flags=re.DOTALL)
    names = [run["name"] for run in comparison["runs"]]
    about = [[run["name"], run["run_id"], run["status"], run["git_commit"]] for run in comparison["runs"]]
    parts = [
        _table("Runs", ["run", "run id", "status", "commit"], about),
        _table(
            "Params that differ", ["param", *names], [[row["name"], *row["values"]] for row in comparison["params"]]
        ),
        _table("Final metrics, the best in bold", ["metric", *names], [_cells(row) for row in comparison["metrics"]]),
        _table("By class", ["metric", *names], [_cells(row) for row in comparison["classes"]]),
        _table(
            "Bundles made from them",
            ["run", "bundle", "variant", "accuracy %", "MB", "p50 ms", "texts /s"],
            [_variant(row, names) for row in comparison["variants"]],
        ),
    ]
    return _PAGE.format(count=len(names), body="\n".join(filter(None, [*parts, svg])))


def _cells(row: Mapping[str, Any]) -> list[Any]:
    values = ["" if value is None else f"{value:.6g}" for value in row["final"]]
    marked = [_Best(value) if index in row["best"] else value for index, value in enumerate(values)]
    return ["/".join(filter(None, (row["name"], row.get("label")))), *marked]


def _variant(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [
        names[row["run"]],
        row["bundle"],
        row["variant"],
        f"{row['accuracy'] * 100:.1f}",
        f"{row['size_bytes'] / 1e6:.1f}",
        f"{row['latency_p50_seconds'] * 1e3:.2f}",
        f"{row['throughput_texts_per_second']:.0f}",
    ]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><caption>{html.escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    mark = ' class="best"' if isinstance(value, _Best) else ""
    return f"<td{mark}>{html.escape('' if value is None else str(value))}</td>"
