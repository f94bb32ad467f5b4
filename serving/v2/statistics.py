"""The statistics documents: what was answered, how often, and in which stage the time went, per live version.

Counted since each version was opened, in the process that answers (`serving.statistics`). Source: Triton, statistics
extension; times there are nanoseconds, the last inference milliseconds since 1970.
"""

from collections.abc import Iterable
from typing import Any

from serving.repository import Repository
from serving.statistics import Span, Statistics
from serving.v2.specs import Target, live, target_of, targets

_NOTHING = Span()


def statistics(repository: Repository, name: str, version: int | None) -> dict[str, Any]:
    """Of one model or, when the name is empty, of all; raises what `target_of` and `Repository.get` do."""
    if not name:
        return {"model_stats": [each for target in targets(repository) for each in _of(repository, target, None)]}
    target = target_of(repository, name)
    repository.get(target.model, version)
    return {"model_stats": list(_of(repository, target, version))}


def _of(repository: Repository, target: Target, version: int | None) -> Iterable[dict[str, Any]]:
    for served in live(repository, target.model):
        number = served.manifest.version
        if version in (None, number):
            counted = served.tensor_statistics if target.tensors else served.statistics
            yield {"name": target.name, "version": str(number), **_document(counted)}


def _document(counted: Statistics) -> dict[str, Any]:
    runs = counted.by_rows()
    output = Span(counted.infer.count)  # encoding an answer is not timed: it is done when the clock has stopped
    stages = {
        "success": counted.success,
        "fail": counted.fail,
        "queue": counted.queue,
        "compute_input": counted.encode,
        "compute_infer": counted.infer,
        "compute_output": output,
        "cache_hit": _NOTHING,
        "cache_miss": _NOTHING,
    }
    return {
        "last_inference": int(counted.last_answer * 1e3),
        "inference_count": counted.rows,
        "execution_count": sum(span.count for _, span in runs),
        "inference_stats": {stage: _duration(span) for stage, span in stages.items()},
        "batch_stats": [
            {
                "batch_size": rows,
                "compute_input": _duration(_NOTHING),
                "compute_infer": _duration(span),
                "compute_output": _duration(_NOTHING),
            }
            for rows, span in runs
        ],
    }


def _duration(span: Span) -> dict[str, int]:
    return {"count": span.count, "ns": int(span.seconds * 1e9)}
