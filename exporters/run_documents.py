"""What the registry knows of several runs, their metrics' histories included: what a comparison is made of.

After `sources`, which finds the run behind a URI, and beside `run_list`, which has less of all of them;
`tidegate.run_comparison` takes the documents from here, in the command line and wherever runs are shown. A long
history is thinned to what a plot can show, a long list of artifacts is cut, and so are long tags.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from exporters.run_list import summary
from exporters.sources import registry, run_id_of
from tidegate.errors import RunNotFound

MOST_POINTS = 400  # of a curve: more than a plot has columns
_MOST_ARTIFACTS = 200
_MOST_TAG = 500  # characters
_PARENT_TAG = "tidegate.parent_run"  # of a retraining, a URI; MLflow has one of its own, of a nested run
_BARE = re.compile(r"(?:runs:/)?([0-9a-f]{32})/?")


def read_runs(uris: Sequence[str], tracking_uri: str) -> list[dict[str, Any]]:
    """The documents of runs, in the order of their URIs.

    Args:
        uris: run ids, runs:/ID, runs:/ID/PATH, models:/NAME@ALIAS, models:/NAME/VERSION or models:/m-ID.
        tracking_uri: MLflow's store.

    Returns:
        Of each what `run_list.summary` says, and `{"uri", "git_commit", "params", "metrics", "curves", "tags",
        "parent", "registered", "artifacts"}`. A curve is `{"steps", "seconds", "values"}`, of a metric with two
        values or more; `parent` is the id of the run that this one trains again or belongs to, empty for none that is
        there; an artifact is `{"path", "size_bytes"}`, and `artifacts` is None where their store does not answer.

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
        versions = client.search_model_versions(f"run_id = '{run_id}'")
        return {
            "uri": uri,
            **summary(run, client.get_experiment(run.info.experiment_id).name),
            "git_commit": run.data.tags.get("mlflow.source.git.commit", ""),
            "params": dict(run.data.params),
            "metrics": dict(run.data.metrics),
            "curves": {name: _curve(history) for name, history in histories.items() if len(history) > 1},
            "tags": {
                name: value[:_MOST_TAG] for name, value in run.data.tags.items() if not name.startswith("mlflow.")
            },
            "parent": _parent(client, run.data.tags),
            "registered": [f"models:/{version.name}/{version.version}" for version in versions],
            "artifacts": _artifacts(client, run),
        }


def _parent(client: Any, tags: Mapping[str, str]) -> str:
    from mlflow.exceptions import MlflowException

    trained_again = tags.get(_PARENT_TAG, "")
    try:
        return run_id_of(client, trained_again) or tags.get("mlflow.parentRunId", "")
    except MlflowException:  # it is gone, and its children stay
        return ""


def _artifacts(client: Any, run: Any) -> list[dict[str, Any]] | None:
    """Files of a run, and of the models that it logged, which MLflow 3 keeps beside it."""
    from mlflow.exceptions import MlflowException

    models = run.outputs.model_outputs if run.outputs else []
    places = [("", partial(client.list_artifacts, run.info.run_id))]
    places += [
        (f"{one.model_id}/", partial(client.list_logged_model_artifacts, one.model_id))  # as models:/m-... names it
        for one in models
    ]
    try:
        found = (file for above, listed in places for file in _files(listed, above))
        return list(islice(found, _MOST_ARTIFACTS))
    except (MlflowException, OSError):
        return None


def _files(listed: Callable[..., Any], above: str, folder: str | None = None) -> Iterator[dict[str, Any]]:
    for entry in listed(folder):
        if entry.is_dir:
            yield from _files(listed, above, entry.path)
        else:
            yield {"path": f"{above}{entry.path}", "size_bytes": entry.file_size}


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
