"""Visits to the dashboard in this process: the views on a real gateway, with runs as the registry would tell them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from demos.dashboard.app import mount_dashboard
from demos.dashboard.content import Page
from demos.dashboard.visit import NoRuns, Reading, Runs, Visit
from tests.serving.apps import Running, on_gateway

HOSTILE = "<script>alert('x')</script>\"&"
RUN, OTHER, THIRD = ("a" * 32, "b" * 32, "c" * 32)


class ToldRuns:
    """A registry that is known already."""

    def __init__(self, *documents: Mapping[str, Any]) -> None:
        self._documents = documents

    def listed(self) -> Reading:
        """All of them."""
        return Reading(self._documents, 1_700_000_000.0)

    def documents(self, run_ids: Sequence[str]) -> Reading:
        """Those that are named, or why not."""
        by_id = {document["run_id"]: document for document in self._documents}
        if not set(run_ids) <= set(by_id):
            return Reading(failure="no such run")
        return Reading([by_id[run_id] for run_id in run_ids], 1_700_000_000.0)


class SlowRuns:
    """A registry that has not answered yet."""

    def listed(self) -> Reading:
        """Nothing yet."""
        return Reading()

    def documents(self, run_ids: Sequence[str]) -> Reading:  # the protocol's
        """Nothing yet."""
        return Reading()


def run(run_id: str = RUN, **fields: Any) -> dict[str, Any]:
    """What is known of a run, with nothing logged to it but these fields."""
    known: dict[str, Any] = {
        "uri": run_id, "run_id": run_id, "name": f"run-{run_id[0]}", "status": "FINISHED",
        "started_seconds": 1_700_000_000.0, "ended_seconds": 1_700_000_090.0, "experiment": "news", "datasets": [],
        "git_commit": "", "params": {}, "metrics": {}, "curves": {}, "tags": {}, "parent": "", "registered": [],
        "artifacts": [],
    }  # fmt: skip
    return known | fields


def curve(*values: float, step: int = 10) -> dict[str, list[float]]:
    """A curve of these values, a second and `step` steps apart."""
    numbers = range(len(values))
    return {"steps": [n * step for n in numbers], "seconds": [1e9 + n for n in numbers], "values": list(values)}


def on_dashboard(
    home: Path, scenario: Callable[[Running], Awaitable[None]], runs: Runs | None = None, **settings: Any
) -> None:
    """Run a scenario on a started gateway that has the dashboard."""

    async def with_dashboard(running: Running) -> None:
        mount_dashboard(running.app, runs)
        await scenario(running)

    on_gateway(home, with_dashboard, **settings)


def seen(
    home: Path,
    view: Callable[[Visit], Awaitable[Page]],
    path: Mapping[str, str] | None = None,
    query: Mapping[str, Sequence[str]] | None = None,
    runs: Runs | None = None,
) -> Page:
    """The page that a view answers on a started gateway."""
    found: list[Page] = []

    async def ask(running: Running) -> None:
        visit = Visit(running.app.state.gateway, runs or NoRuns(), path or {}, query or {})
        found.append(await view(visit))

    on_gateway(home, ask)
    return found[0]


async def html(client: httpx.AsyncClient, path: str) -> str:
    """A page, as a browser gets it."""
    answer = await client.get(path, headers={"accept": "text/html"})
    assert answer.headers["content-type"].startswith("text/html"), answer.text
    return answer.text
