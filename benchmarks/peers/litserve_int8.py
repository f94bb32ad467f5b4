"""LitServe with int8: two workers of one thread, batches of at most 64 requests that wait at most 5 ms.

Two workers because there are two cores and a LitServe worker is one process; the requests of a batch are run
together. Source: lightning.ai/docs/litserve, "Batching" (max_batch_size, batch_timeout) and "LitServer"
(workers_per_device, fast_queue).
"""

import os
from typing import Any

import litserve

from benchmarks.peers.int8 import Classifier, as_list


class Api(litserve.LitAPI):  # type: ignore[misc]  # not installed beside the type checker
    """A batch is a list of requests; each of them is a list of texts."""

    def setup(self, device: str) -> None:  # noqa: ARG002  # LitServe names it
        """Load the model, once per worker."""
        self.classifier = Classifier()

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        """The texts of one request."""
        return as_list(request["inputs"])

    def batch(self, inputs: list[list[str]]) -> list[list[str]]:
        """Requests stay apart, so that their answers can be."""
        return list(inputs)

    def predict(self, requests: list[list[str]]) -> list[list[dict[str, Any]]]:
        """Run the texts of all requests together and deal the answers out again."""
        answers = iter(self.classifier.classify([text for request in requests for text in request]))
        return [[next(answers) for _ in request] for request in requests]

    def unbatch(self, output: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        """One entry a request already."""
        return output

    def encode_response(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Label and score of each text."""
        return output


if __name__ == "__main__":
    api = Api(max_batch_size=64, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2, fast_queue=True)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
