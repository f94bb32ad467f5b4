"""Runs in the export environment: what only it can make of the registered run, for the peers and for agreement.

Started by `prepare` with a JSON file that names the run and the folders. Copies the MLflow model and its checkpoint,
quantizes the exported graph to dynamic int8 (the usual recipe, which Tidegate's gate may well refuse), and asks the
source model in PyTorch fp32 for the labels of the run's own evaluation texts.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from exporters.layouts import Layout
from exporters.sources import fetch_run
from exporters.texts import read_rows
from tidegate.cli import children
from tidegate.errors import TidegateError, UnsupportedSource
from tidegate.home import tracking_uri

INT8 = "model.int8-dynamic.onnx"


def make(run: str, home: str, tokenizer: str, folder: str) -> list[tuple[str, str]]:
    """Fill the peers' model folder; answers the texts with the source model's labels."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as work:
        fetched = fetch_run(run, tracking_uri(Path(home)), Path(work))
        if fetched.layout.flavour != "transformers" or fetched.evaluation is None:
            raise UnsupportedSource(f"{run} is no transformers model with an evaluation split; train it with prepare")
        place = Path(folder)
        _copy(fetched.layout, Path(work) / "model", place)
        shutil.copyfile(tokenizer, place / "tokenizer.json")
        _export(place)
        _quantize(place)
        return _label(place, [text for text, _ in read_rows(fetched.evaluation)])


def _copy(layout: Layout, mlflow_model: Path, place: Path) -> None:
    """`mlflow/` as it was logged, `checkpoint/` and `infinity/` as save_pretrained would have it."""
    found = next(path.parent for path in mlflow_model.rglob("MLmodel"))
    shutil.copytree(found, place / "mlflow")
    for name in ("checkpoint", "infinity"):
        shutil.copytree(layout.tokenizer, place / name)
        shutil.copytree(layout.model, place / name, dirs_exist_ok=True)


def _export(place: Path) -> None:
    """The graph as optimum exports it, which is what a peer's user has: Tidegate's own is rewritten."""
    from optimum.exporters.onnx import main_export

    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
        main_export(str(place / "checkpoint"), scratch, task="text-classification", do_validation=False)
        shutil.move(Path(scratch) / "model.onnx", place / "model.onnx")


def _quantize(place: Path) -> None:
    """Dynamic int8 beside the fp32 graph, and under the name that Infinity prefers."""
    from exporters.quantize import dynamic_int8

    made = next(dynamic_int8(place, []))
    (place / made.file).replace(place / INT8)
    shutil.copyfile(place / INT8, place / "infinity" / "model_quantized.onnx")


def _label(place: Path, texts: list[str]) -> list[tuple[str, str]]:
    """Each different text with the label of the source model, in PyTorch fp32."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from exporters.checkpoint import predict

    model = AutoModelForSequenceClassification.from_pretrained(place / "checkpoint", dtype="float32").eval()
    tokenizer = AutoTokenizer.from_pretrained(place / "checkpoint")
    different = list(dict.fromkeys(texts))
    best = predict(model, tokenizer, different, tokenizer.model_max_length).argmax(axis=1)
    names = model.config.id2label
    return [(text, names[int(index)]) for text, index in zip(different, best, strict=True)]


if __name__ == "__main__":
    children.attend_parent()
    try:
        children.answer(make(**json.loads(Path(sys.argv[1]).read_bytes())))
    except TidegateError as error:
        children.refuse(error)
