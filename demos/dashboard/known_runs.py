"""What is known of runs, from the registry or, where it cannot be read, from the bundles that were made of them.

Before: `visit.Runs` and the bundle store; after: the views of runs, which show either in the same way.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from demos.dashboard.content import Link, Page
from demos.dashboard.visit import Reading, Visit, every_manifest
from tidegate.bundle import Manifest
from tidegate.errors import NotReady
from tidegate.moments import moment

RUNS = Link("Runs", "/dashboard/runs")
_LONGEST_WAIT_SECONDS = 60.0  # of a program that asks for CSV; people get a page that loads itself again


@dataclass(frozen=True, slots=True)
class Known:
    """Runs and bundles.

    Attributes:
        runs: documents of `exporters.run_documents` or `run_list`; what is not known is empty or None in them.
        manifests: of every bundle version.
        source: a sentence that says where this is from, and of when.
        pending: the registry is being asked for the first time: there is nothing to show yet.
    """

    runs: Sequence[Mapping[str, Any]]
    manifests: Sequence[Manifest]
    source: str
    pending: bool = False


async def known_runs(visit: Visit, run_ids: Sequence[str] = ()) -> Known:
    """What is known of some runs, or in brief of all where none is named.

    Raises:
        NotReady: a CSV file was asked for, and the registry does not answer for long.
    """
    reading = await _reading(visit, run_ids)
    manifests = await run_in_threadpool(every_manifest, visit.gateway.bundles)
    if reading.documents is not None:
        return Known(reading.documents, manifests, f"From the registry, as of {moment(reading.as_of)}.")
    if reading.pending:
        return Known([], manifests, "", pending=True)
    documents = list(of_bundles(manifests).values())
    wanted = [document for document in documents if not run_ids or document["run_id"] in run_ids]
    why = f"The registry could not be read: {reading.failure}. This is what bundles keep of their runs."
    return Known(wanted, manifests, why)


async def _reading(visit: Visit, run_ids: Sequence[str]) -> Reading:
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while True:
        reading = visit.runs.documents(run_ids) if run_ids else visit.runs.listed()
        if not reading.pending or "csv" not in visit.query:
            return reading
        if time.monotonic() > deadline:
            raise NotReady("the registry is still being read; ask again in a minute")
        await asyncio.sleep(0.2)


def of_bundles(manifests: Sequence[Manifest]) -> dict[str, dict[str, Any]]:
    """Documents of the runs that bundles were made from, by run id, the newest bundle's first."""
    documents: dict[str, dict[str, Any]] = {}
    for manifest in sorted(manifests, key=lambda one: one.created_at, reverse=True):
        if manifest.lineage.run_id:
            documents.setdefault(manifest.lineage.run_id, _of_bundle(manifest))
    return documents


def _of_bundle(manifest: Manifest) -> dict[str, Any]:
    lineage = manifest.lineage
    data_set = {"name": lineage.dataset_name, "digest": lineage.dataset_digest, "context": "training"}
    return {
        "uri": lineage.source_uri,
        "run_id": lineage.run_id,
        "name": f"run of {manifest.name}/{manifest.version}",
        "status": "",
        "started_seconds": None,
        "ended_seconds": None,
        "experiment": "",
        "datasets": [data_set] if lineage.dataset_name else [],
        "git_commit": lineage.git_commit,
        "params": dict(lineage.params),
        "metrics": dict(lineage.metrics),
        "curves": {},
        "tags": {},
        "parent": "",
        "registered": [lineage.source_uri] if lineage.source_uri.startswith("models:/") else [],
        "artifacts": None,
    }


def reading_page(title: str, crumbs: Sequence[Link]) -> Page:
    """What to show while the registry is read for the first time; the browser loads it again."""
    lead = "Reading the registry, which takes some seconds. This page loads itself again when there is more to see."
    return Page(title, lead, [], crumbs, reload_seconds=2)


def bundles_of(run_id: str, manifests: Sequence[Manifest]) -> list[Manifest]:
    """The bundles that were made from a run, newest first."""
    made = [manifest for manifest in manifests if manifest.lineage.run_id == run_id]
    return sorted(made, key=lambda manifest: manifest.created_at, reverse=True)
