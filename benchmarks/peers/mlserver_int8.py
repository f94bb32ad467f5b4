"""MLServer with int8: a custom runtime with adaptive batching, two inference workers, at most 64 requests or 5 ms.

`__main__` writes the two settings files that MLServer reads and becomes `mlserver start`. Adaptive batching merges
the string tensors of the requests in one call of `predict`.
Source: docs.seldon.ai/mlserver, "Adaptive Batching", "Parallel Inference", "Custom Inference Runtimes".
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers.int8 import Classifier


class Runtime(MLModel):  # type: ignore[misc]  # not installed beside the type checker
    """Texts in, labels out, as V2 string tensors."""

    async def load(self) -> bool:
        """Load the model, once per worker."""
        self.classifier = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Label of each text; in a thread, because the loop must go on collecting the next batch."""
        texts = StringCodec.decode_input(payload.inputs[0])
        answers = await asyncio.to_thread(self.classifier.classify, texts)
        labels = [answer["label"] for answer in answers]
        return InferenceResponse(
            model_name=self.name, outputs=[StringCodec.encode_output("label", labels, use_bytes=False)]
        )


def write_settings(folder: Path, port: int) -> None:
    """The two files of a model repository with one model."""
    server = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": 2,
        "debug": False,
    }
    model = {
        "name": "model",
        "implementation": "benchmarks.peers.mlserver_int8.Runtime",
        "max_batch_size": 64,
        "max_batch_time": 0.005,
    }
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(model))


if __name__ == "__main__":
    repository = Path(tempfile.mkdtemp(prefix="mlserver-", dir=os.environ["SCRATCH"]))
    write_settings(repository, int(os.environ["PORT"]))
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", str(repository)])  # noqa: S606  # no shell is the point
