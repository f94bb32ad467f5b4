"""A comparison of runs in the terminal: tables, and curves over each other; `tidegate runs compare` prints it."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from tidegate.cli import console
from tidegate.cli.terminal_plot import letter, plot

_MOST_PLOTS = 3
_WIDTH, _HEIGHT = 100, 12


def show(comparison: Mapping[str, Any]) -> None:
    """Print it on stdout."""
    runs = comparison["runs"]
    letters = [letter(index) for index in range(len(runs))]
    about = [
        [sign, run["name"], run["run_id"], run["status"], run["git_commit"][:8] or "-"]
        for sign, run in zip(letters, runs, strict=True)
    ]
    console.table(f"{len(runs)} runs", ["", "run", "run id", "status", "commit"], about)
    params = [
        [row["name"], *("-" if value is None else value for value in row["values"])] for row in comparison["params"]
    ]
    if params:
        console.table(f"params that differ ({comparison['same_params']} are the same)", ["param", *letters], params)
    else:
        console.out(f"no params differ ({comparison['same_params']} are the same)")
    _show_metrics("final metrics, * the best", comparison["metrics"], letters)
    _show_metrics("by class, * the best", comparison["classes"], letters)
    _show_variants(comparison["variants"], letters)
    for curve in comparison["curves"][:_MOST_PLOTS]:
        _show_curve(curve)
    left = [curve["metric"] for curve in comparison["curves"][_MOST_PLOTS:]]
    if left:
        console.say(f"with --metric NAME, curves of: {', '.join(left)}")


def _show_metrics(title: str, rows: Sequence[Mapping[str, Any]], letters: Sequence[str]) -> None:
    cells = [
        [
            "/".join(filter(None, (row["name"], row.get("label")))),
            *(_number(row, index) for index in range(len(letters))),
        ]
        for row in rows
    ]
    if cells:
        console.table(title, ["metric", *letters], cells)


def _number(row: Mapping[str, Any], index: int) -> str:
    value = row["final"][index]
    return "-" if value is None else f"{value:.6g}{' *' if index in row['best'] else ''}"


def _show_variants(rows: Sequence[Mapping[str, Any]], letters: Sequence[str]) -> None:
    cells = [
        [
            letters[row["run"]],
            row["bundle"],
            row["variant"] + (" (serves)" if row["serves"] else "" if row["accepted"] else " refused"),
            f"{row['accuracy'] * 100:.1f}",
            f"{row['size_bytes'] / 1e6:.1f}",
            f"{row['latency_p50_seconds'] * 1e3:.2f}",
            f"{row['throughput_texts_per_second']:.0f}",
        ]
        for row in rows
    ]
    if cells:
        columns = ["", "bundle", "variant", "accuracy %", "MB", "p50 ms", "texts /s"]
        console.table("bundles made from them", columns, cells)


def _show_curve(curve: Mapping[str, Any]) -> None:
    curves = [list(zip(run["steps"], run["values"], strict=True)) if run else None for run in curve["runs"]]
    printer = Console(file=sys.stdout, highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH)
    lines = plot(curves, min(printer.width, _WIDTH), _HEIGHT)
    if lines:
        printer.print(f"{curve['metric']} by step")
        for line in lines:
            printer.print(line, no_wrap=True)
        printer.print()
