"""The peers: what each needs, how it is started, what it is asked and how its answer is read.

Read by `server` (start, readiness), `load` and `agreement` (bodies, labels). Versions are pinned to the newest that
installed together on Python 3.11 when this was written; to try others, change them here. Standard library only.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Bodies = Callable[[Sequence[str]], Any]
Labels = Callable[[Any], list[str]]


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that can be started and asked.

    Attributes:
        name: as on the command line.
        title: as in tables.
        requirements: pip's, for an environment of its own; none for Tidegate, which runs in this one.
        command: argv after the environment's interpreter, or one of its programs; `{port}` and `{root}` (the work
            folder) are filled in.
        path: where texts are posted.
        ready_path: answers 200 once the model is loaded.
        body: JSON document of a request of several texts (of one, too, where `single` is not given).
        single: JSON document of a request of one text.
        labels: from the answer's document, one label a text.
        bar: which rows of the table of bars it stands for: "pipeline", "simple" or "framework".
        environment: variables to set.
        folder: where it is started, below the work folder; empty means the checkout.
    """

    name: str
    title: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    path: str
    ready_path: str
    body: Bodies
    labels: Labels
    bar: str
    single: Callable[[str], Any] | None = None
    environment: tuple[tuple[str, str], ...] = ()
    folder: str = ""

    def encode(self, texts: Sequence[str]) -> bytes:
        """A request body, on one line."""
        document = self.single(texts[0]) if self.single and len(texts) == 1 else self.body(texts)
        return json.dumps(document, separators=(",", ":")).encode()

    def decode(self, answer: bytes) -> list[str]:
        """The labels of an answer."""
        return self.labels(json.loads(answer))

    def argv(self, python: Path, port: int, root: Path) -> list[str]:
        """The command that starts it; programs of its environment stand beside the interpreter."""
        filled = [word.format(port=port, root=root) for word in self.command]
        if filled[0].startswith("-"):
            return [str(python), *filled]
        return [str(python.parent / filled[0]), *filled[1:]]


def _inputs(texts: Sequence[str]) -> Any:
    return {"inputs": list(texts)}


def _one_input(text: str) -> Any:
    return {"inputs": text}


def _flat(answer: Any) -> list[str]:
    return [row["label"] for row in answer]


def _best_first(answer: Any) -> list[str]:
    return [row[0]["label"] for row in answer]


def _v2(texts: Sequence[str]) -> Any:
    tensor = {"name": "text", "shape": [len(texts), 1], "datatype": "BYTES", "data": list(texts)}
    return {"inputs": [tensor | {"parameters": {"content_type": "str"}}]}


_INT8 = ("onnxruntime==1.31.1", "tokenizers==0.23.3", "numpy==2.4.6")
# Ray lacks a fast loop of its own; each of the others brings uvloop and httptools or gets them here.
_UVICORN = ("uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")

TIDEGATE = Peer(
    name="tidegate",
    title="Tidegate",
    requirements=(),
    command=("-m", "tidegate", "serve", "--home", "{root}/home", "--port", "{port}"),
    path="/models/sentiment/predict",
    ready_path="/readyz",
    body=_inputs,
    single=_one_input,
    labels=_best_first,
    bar="",
)

PEERS = (
    Peer(
        name="fastapi_pipeline",
        title="FastAPI + transformers pipeline",
        requirements=("torch==2.13.0", "transformers==4.57.6", "fastapi==0.165.0", *_UVICORN),
        command=("-m", "benchmarks.peers.fastapi_pipeline"),
        path="/predict",
        ready_path="/ready",
        body=_inputs,
        single=_one_input,
        labels=_flat,
        bar="pipeline",
    ),
    Peer(
        name="fastapi_int8",
        title="FastAPI + int8, one-thread runs",
        requirements=("fastapi==0.165.0", *_UVICORN, *_INT8),
        command=("-m", "benchmarks.peers.fastapi_int8"),
        path="/predict",
        ready_path="/ready",
        body=_inputs,
        single=_one_input,
        labels=_flat,
        bar="simple",
    ),
    Peer(
        name="litserve",
        title="LitServe, int8",
        requirements=("litserve==0.2.19", *_UVICORN, *_INT8),
        command=("-m", "benchmarks.peers.litserve_int8"),
        path="/predict",
        ready_path="/health",
        body=_inputs,
        single=_one_input,
        labels=_flat,
        bar="framework",
    ),
    Peer(
        name="mlserver",
        title="MLServer, int8",
        requirements=("mlserver==1.7.1", "uvloop==0.21.0", *_INT8),  # its workers die with a newer uvloop
        command=("-m", "benchmarks.peers.mlserver_int8"),
        path="/v2/models/model/infer",
        ready_path="/v2/models/model/ready",
        body=_v2,
        labels=lambda answer: [str(label) for label in answer["outputs"][0]["data"]],
        bar="framework",
    ),
    Peer(
        name="bentoml",
        title="BentoML, int8",
        requirements=("bentoml==1.4.39", *_UVICORN, *_INT8),
        command=("bentoml", "serve", "benchmarks.peers.bentoml_int8:Texts", "--host", "127.0.0.1", "--port", "{port}"),
        path="/predict",
        ready_path="/readyz",
        body=lambda texts: {"texts": list(texts)},
        labels=_flat,
        bar="framework",
        environment=(("BENTOML_DO_NOT_TRACK", "True"),),
    ),
    Peer(
        name="ray_serve",
        title="Ray Serve, int8",
        requirements=("ray[serve]==2.60.0", *_INT8),
        command=("-m", "benchmarks.peers.ray_int8"),
        path="/",
        ready_path="/",
        body=_inputs,
        single=_one_input,
        labels=_flat,
        bar="framework",
        environment=(("RAY_USAGE_STATS_ENABLED", "0"),),
    ),
    # Infinity batches on its own, 32 texts at a time by default; its optimum engine prefers a quantized file. Its
    # warm-up sends more tokens than this model has positions, so the first requests warm it up.
    Peer(
        name="infinity",
        title="Infinity, optimum int8",
        requirements=("infinity-emb[server,optimum]==0.0.78", "torch==2.13.0"),
        command=("infinity_emb", "v2", "--model-id", ".", "--served-model-name", "model",
                 "--engine", "optimum", "--device", "cpu", "--no-model-warmup",
                 "--log-level", "warning", "--port", "{port}", "--host", "127.0.0.1"),
        path="/classify",
        ready_path="/health",
        body=lambda texts: {"model": "model", "input": list(texts)},
        labels=lambda answer: [row[0]["label"] for row in answer["data"]],
        bar="framework",
        environment=(("DO_NOT_TRACK", "1"),),
        folder="model/infinity",  # it finds the ONNX file of a folder only where it stands in it
    ),
    # MLflow's scoring server over the logged transformers model: a worker a core, as its documentation advises.
    Peer(
        name="mlflow",
        title="mlflow models serve",
        requirements=("mlflow==3.17.2", "torch==2.13.0", "transformers==4.57.6"),
        command=("mlflow", "models", "serve", "--model-uri", "{root}/model/mlflow", "--env-manager", "local",
                 "--workers", "2", "--port", "{port}", "--host", "127.0.0.1"),
        path="/invocations",
        ready_path="/ping",
        body=_inputs,
        labels=lambda answer: [row["label"] for row in answer["predictions"]],
        bar="framework",
        environment=(("MLFLOW_DISABLE_TELEMETRY", "true"),),
    ),
)  # fmt: skip


def find(name: str) -> Peer:
    """The peer of that name.

    Raises:
        KeyError: no such peer; carries the names there are.
    """
    known = {peer.name: peer for peer in (TIDEGATE, *PEERS)}
    if name not in known:
        raise KeyError(f"no peer {name!r}; there are: {', '.join(peer.name for peer in PEERS)}")
    return known[name]
