"""What the registry knows of several runs, their metrics' histories included: what a comparison is made of.

After `sources`, which finds the run behind a URI; `tidegate.run_comparison` takes the documents from here, in the
command line and wherever runs are shown. A long history is thinned to what a plot can show.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from exporters.sources import registry, run_id_of
from tidegate.errors import RunNotFound

MOST_POINTS = 400  # of a curve: more than a plot has columns
_BARE = re.compile(r"(?:runs:/)?([0-9a-f]{32})/?")


def read_runs(uris: Sequence[str], tracking_uri: str) -> list[dict[str, Any]]:
    """The documents of runs, in the order of their URIs.

    Args:
        uris: run ids, runs:/ID, runs:/ID/PATH, models:/NAME@ALIAS, models:/NAME/VERSION or models:/m-ID.
        tracking_uri: MLflow's store.

    Returns:
        `{"uri", "run_id", "name", "status", "started_seconds", "git_commit", "params", "metrics", "curves"}` each;
        a curve is `{"steps", "seconds", "values"}`, of a metric with two values or more.

    Raises:
        RunNotFound: the registry has no such run, or nothing that the URI could name.
    """
    return [_read(uri, tracking_uri) for uri in uris]


def _read(uri: str, tracking_uri: str) -> dict[str, Any]:
    with registry(tracking_uri, uri) as mlflow:
        client = mlflow.MlflowClient()
        bare = _BARE.fullmatch(uri)
        run_id = bare[1] if bare else run_id_of(client, uri)
        if not run_id:
            raise RunNotFound(
                f"{uri!r} names no run; use a run id, runs:/ID, models:/NAME@ALIAS or models:/NAME/VERSION"
            )
        run = client.get_run(run_id)
        histories = {name: client.get_metric_history(run_id, name) for name in sorted(run.data.metrics)}
        return {
            "uri": uri,
            "run_id": run_id,
            "name": run.info.run_name or run_id[:8],
            "status": run.info.status,
            "started_seconds": run.info.start_time / 1000,
            "git_commit": run.data.tags.get("mlflow.source.git.commit", ""),
            "params": dict(run.data.params),
            "metrics": dict(run.data.metrics),
            "curves": {name: _curve(history) for name, history in histories.items() if len(history) > 1},
        }


def _curve(history: Sequence[Any]) -> dict[str, list[float]]:
    points = sorted((point.step, point.timestamp / 1000, point.value) for point in history)
    kept = [points[index] for index in thinned([value for _, _, value in points], MOST_POINTS)]
    steps, seconds, values = zip(*kept, strict=True)
    return {"steps": list(steps), "seconds": list(seconds), "values": list(values)}


def thinned(values: Sequence[float], most: int) -> list[int]:
    """Which points of a curve to keep: of each of `most / 2` stretches its lowest and its highest, and both ends."""
    count = len(values)
    if count <= most:
        return list(range(count))
    kept = {0, count - 1}
    stretches = most // 2 - 1
    for number in range(stretches):
        stretch = range(count * number // stretches, count * (number + 1) // stretches)
        finite = [index for index in stretch if math.isfinite(values[index])]
        if finite:
            kept |= {min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)}
    return sorted(kept)
