"""The report of a load test, as JSON and as one HTML page that loads nothing from anywhere.

Last step: after `locust_child` gave the result. The JSON parses back into `Report`; `page` draws the HTML.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal

from loadtests.conditions import Conditions
from loadtests.measured import Part, Result
from loadtests.page import render
from tidegate.errors import UsageError


class Report(Part):
    """`loadtest-*.json`."""

    schema_version: Literal[1] = 1
    conditions: Conditions
    result: Result


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write both files into a folder, which is made if it is not there; their paths, JSON first.

    Raises:
        UsageError: the folder cannot be written to.
    """
    stem = f"loadtest-{report.conditions.model}-{_stamp(report.conditions.date)}"
    document, page = folder / f"{stem}.json", folder / f"{stem}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        document.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        page.write_text(render(report.conditions, report.result), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the report into {folder}: {error.strerror}; choose another --report") from None
    return document, page


def check_folder(folder: Path) -> None:
    """Fail now rather than after minutes of load.

    Raises:
        UsageError: the path is there and is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--report {folder} is a file; name a folder")


def _stamp(date: datetime) -> str:
    return date.strftime("%Y%m%d-%H%M%S")
