"""Ray Serve with int8: two replicas of one core each, `@serve.batch` of at most 64 requests that wait at most 5 ms.

Two replicas because a replica is one process and there are two cores. `max_ongoing_requests` is above the batch
size, as the documentation asks for, or batches could never fill.
Source: docs.ray.io, "Dynamic Request Batching", "Configure Ray Serve deployments", "Performance Tuning".
"""

import os
import signal
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from benchmarks.peers.int8 import Classifier, as_list


@serve.deployment(num_replicas=2, max_ongoing_requests=128, ray_actor_options={"num_cpus": 0.5})
class Texts:
    """A batch is a list of requests; each of them is a list of texts."""

    def __init__(self) -> None:
        self.classifier = Classifier()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.005)  # type: ignore[untyped-decorator]
    async def classify(self, requests: list[list[str]]) -> list[list[dict[str, Any]]]:
        """Run the texts of all requests together and deal the answers out again."""
        answers = iter(self.classifier.classify([text for request in requests for text in request]))
        return [[next(answers) for _ in request] for request in requests]

    async def __call__(self, request: Request) -> Any:
        """Label and score of each text."""
        if request.method == "GET":
            return "ready"
        return await self.classify(as_list((await request.json())["inputs"]))


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=os.environ["SCRATCH"])
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Texts.bind())  # type: ignore[attr-defined]  # the decorator makes it a deployment
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
