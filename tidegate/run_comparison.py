"""Runs side by side, as one document: the command line prints it, the dashboard shows it.

A pure function of what the registry knows of the runs (`exporters.run_documents`) and of the manifests in the bundle
store, so that it is here in the core, where both find it without MLflow. Params that are the same everywhere are
counted, not listed. Which of several values is best is said only of metrics whose names tell which way is better.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from tidegate.bundle import Manifest

Better = Literal["higher", "lower"]
# Words of a metric's name; the first of the two that has one decides, so that `error_rate_recall` is an error.
_LOWER = re.compile(r"loss|error|perplexity|ppl|\bmae\b|mse\b|latency|seconds|runtime|brier|\becel?\b|flips|toxicity")
_HIGHER = re.compile(
    r"acc|f1|precision|recall|\bauc|auroc|roc|\bap\b|\bmap\b|bleu|rouge|\bem\b|exact|per_second|agreement"
)
_OF_A_CLASS = re.compile(r"(.*(?:precision|recall|f1|f1-score|f1_score|support))/(.+)")


def compare(
    runs: Sequence[Mapping[str, Any]], manifests: Iterable[Manifest], metrics: Sequence[str] = ()
) -> dict[str, Any]:
    """Compare runs.

    Args:
        runs: their documents, as `exporters.run_documents.read_runs` answers them.
        manifests: of the bundles that may come from them.
        metrics: whose curves to give; all where empty.

    Returns:
        `runs`: uri, run_id, name, status, git_commit of each; every list of values below is in their order, None
        where a run has none. `params`: `{"name", "values"}` of those that differ; `same_params`: how many do not.
        `metrics`: `{"name", "better", "final", "best"}`, best being the indexes of the best runs. `classes`: the same
        with `label`, for metrics of one class. `curves`: `{"metric", "runs"}`, of `{"steps", "seconds", "values"}`.
        `variants`: one row a variant of a bundle that a run was exported to, `run` being its index.
    """
    names = sorted({name for run in runs for name in run["params"]})
    params = [{"name": name, "values": [run["params"].get(name) for run in runs]} for name in names]
    differing = [row for row in params if len(set(row["values"])) > 1]
    rows = [_metric(name, runs) for name in sorted({name for run in runs for name in run["metrics"]})]
    with_curves = {name for run in runs for name in run["curves"]}
    return {
        "runs": [{key: run[key] for key in ("uri", "run_id", "name", "status", "git_commit")} for run in runs],
        "params": differing,
        "same_params": len(params) - len(differing),
        "metrics": [row for row in rows if not is_of_a_class(row["name"])],
        "classes": [_class(row) for row in rows if is_of_a_class(row["name"])],
        "curves": [
            {"metric": name, "runs": [run["curves"].get(name) for run in runs]}
            for name in (metrics or sorted(with_curves, key=lambda name: (-_shared(name, runs), name)))
            if name in with_curves
        ],
        "variants": [row for manifest in manifests for row in _variants(manifest, runs)],
    }


def is_of_a_class(metric: str) -> bool:
    """Whether it is a metric of one class, as `evaluation_recall/positive`."""
    return _OF_A_CLASS.fullmatch(metric) is not None


def better(metric: str) -> Better | None:
    """Which way a metric is better, as far as its name tells."""
    name = metric.lower().replace("_", " ").replace("/", " ").replace("per second", "per_second")
    name = name.replace("exact match", "exact")
    if _LOWER.search(name) and "per_second" not in name:
        return "lower"
    return "higher" if _HIGHER.search(name) else None


def _metric(name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    final = [run["metrics"].get(name) for run in runs]
    way = better(name)
    return {"name": name, "better": way, "final": final, "best": _best(final, way)}


def _best(values: Sequence[float | None], way: Better | None) -> list[int]:
    """Indexes of the best values, to what a float32 can tell; none where there is nothing to choose from."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    if way is None or len(known) < 2:
        return []
    best = max(known) if way == "higher" else min(known)
    ties = [
        index for index, value in enumerate(values) if value is not None and math.isclose(value, best, rel_tol=1e-6)
    ]
    return ties if len(ties) < len(known) else []


def _class(row: dict[str, Any]) -> dict[str, Any]:
    named = _OF_A_CLASS.fullmatch(row["name"])
    return row | ({"name": named[1], "label": named[2]} if named else {})


def _shared(name: str, runs: Sequence[Mapping[str, Any]]) -> int:
    """How many runs have a curve of it: those that can be laid over each other come first."""
    return sum(name in run["curves"] for run in runs)


def _variants(manifest: Manifest, runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    made_from = [index for index, run in enumerate(runs) if run["run_id"] == manifest.lineage.run_id]
    return [
        {
            "run": index,
            "bundle": f"{manifest.name}/{manifest.version}",
            "variant": each.variant,
            "serves": each.variant == manifest.chosen,
            "accepted": each.accepted,
            "accuracy": each.accuracy,
            "macro_f1": each.macro_f1,
            "agreement": each.agreement,
            "size_bytes": each.size_bytes,
            "latency_p50_seconds": each.latency_p50_seconds,
            "throughput_texts_per_second": each.throughput_texts_per_second,
            "hardware": each.hardware,
        }
        for index in made_from
        for each in manifest.evidence
    ]
