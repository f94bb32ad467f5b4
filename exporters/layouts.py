"""What kind of model a folder holds, told from its files and, where there is one, from its MLmodel file.

After `sources` has fetched the folder, before `convert` turns it into ONNX. Nothing is loaded here: a folder
that cannot be exported is refused by the name of what it holds before any code of a stranger's could run.
Sources: MLflow's MLmodel format; transformers' `save_pretrained` layout.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml  # comes with MLflow and transformers

from tidegate.errors import UnsupportedSource

Flavour = Literal["transformers", "encoder", "sklearn", "pickles", "onnx"]
SUPPORTED = (
    "transformers sequence classification (MLflow flavour, or a save_pretrained folder); "
    "encoders for embeddings (a sentence-transformers folder or flavour, or an AutoModel's save_pretrained folder); "
    "scikit-learn text pipelines (MLflow flavour); "
    "vectorizer.pkl + model.pkl + label_encoder.json; "
    "model.onnx + tokenizer.json + config.json"
)
_TASKS = ("text-classification", "sentiment-analysis", "feature-extraction")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True, slots=True)
class Layout:
    """A model folder that can be exported.

    Attributes:
        flavour: which converter takes it.
        model: the checkpoint folder, or the file of a scikit-learn pipeline.
        tokenizer: folder of the tokenizer (transformers, encoder and onnx only; elsewhere the model folder).
        threshold: top probability below which the fallback label answers, in [0, 1]; None: no threshold.
        fallback_label: that label.
        run_id: the MLflow run that logged it, or empty.
    """

    flavour: Flavour
    model: Path
    tokenizer: Path
    threshold: float | None = None
    fallback_label: str | None = None
    run_id: str = ""


def recognise(folder: Path) -> Layout:
    """Tell what a model folder holds.

    Raises:
        UnsupportedSource: nothing that can be exported; the message names what was found and what is supported.
    """
    names = {entry.name for entry in folder.iterdir()}
    if "MLmodel" in names:
        return _mlflow(folder)
    if {"vectorizer.pkl", "model.pkl", "label_encoder.json"} <= names:
        return Layout("pickles", folder, folder, *_plain_threshold(folder / "performance.json"))
    if {"model.onnx", "tokenizer.json", "config.json"} <= names:
        return Layout("onnx", folder, folder)
    if "modules.json" in names:
        return Layout("encoder", folder, folder)
    if "config.json" in names and names.intersection(_WEIGHTS):
        return Layout("encoder" if _has_no_head(folder / "config.json") else "transformers", folder, folder)
    found = ", ".join(sorted(names)[:12]) or "nothing"
    raise UnsupportedSource(f"{folder} holds {found}: no layout that can be exported. Supported: {SUPPORTED}")


def _mlflow(folder: Path) -> Layout:
    try:
        document = yaml.safe_load((folder / "MLmodel").read_text())
        flavours: Mapping[str, Mapping[str, Any]] = {name: dict(of) for name, of in document["flavors"].items()}
        metadata: Mapping[str, Any] = dict(document.get("metadata") or {})
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnsupportedSource(f"{folder / 'MLmodel'} cannot be read ({error}); log the model again") from None
    threshold, fallback = _checked(metadata, folder / "MLmodel")
    run_id = str(document.get("run_id") or "")
    if "sentence_transformers" in flavours:
        data = flavours.get("python_function", {}).get("data", "model.sentence_transformer")
        model = _inside(folder, str(data))
        return Layout("encoder", model, model, run_id=run_id)
    if flavours.get("transformers", {}).get("task") == "feature-extraction":
        model, tokenizer = _transformers(folder, flavours["transformers"])
        return Layout("encoder", model, tokenizer, run_id=run_id)
    if "transformers" in flavours:
        model, tokenizer = _transformers(folder, flavours["transformers"])
        return Layout("transformers", model, tokenizer, threshold, fallback, run_id)
    if "sklearn" in flavours:
        file = _inside(folder, str(flavours["sklearn"].get("pickled_model", "model.pkl")))
        return Layout("sklearn", file, folder, threshold, fallback, run_id)
    named = ", ".join(sorted(set(flavours) - {"python_function"})) or "python_function"
    raise UnsupportedSource(f"MLflow flavour {named} cannot be exported. Supported: {SUPPORTED}")


def _transformers(folder: Path, flavour: Mapping[str, Any]) -> tuple[Path, Path]:
    task = flavour.get("task", "text-classification")
    if task not in _TASKS:
        raise UnsupportedSource(f"transformers task {task!r} cannot be exported; only {', '.join(_TASKS)} can")
    if "peft_adaptor" in flavour:
        raise UnsupportedSource("a PEFT adapter cannot be exported; merge it into its base model and log that")
    if "model_binary" not in flavour:
        source = flavour.get("source_model_name", "another place")
        raise UnsupportedSource(f"the run only refers to weights in {source}; log it with save_pretrained=True")
    model = _inside(folder, str(flavour["model_binary"]))
    tokenizer = folder / "components" / "tokenizer"
    return model, tokenizer if tokenizer.is_dir() else model


def _has_no_head(file: Path) -> bool:
    """Whether a checkpoint is an encoder alone (BertModel), not one for a task (BertForSequenceClassification)."""
    try:
        architectures = json.loads(file.read_text()).get("architectures") or [""]
    except (ValueError, AttributeError):
        return False  # transformers will say what is wrong with it
    return str(architectures[0]).endswith("Model")


def _inside(folder: Path, name: str) -> Path:
    """A path that an MLmodel file names; it may not lead out of its folder."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.exists():
        raise UnsupportedSource(f"{folder / 'MLmodel'} names {name!r}, which is not in the folder; log the model again")
    return path


def _plain_threshold(file: Path) -> tuple[float | None, str | None]:
    if not file.is_file():
        return None, None
    try:
        document = json.loads(file.read_text())
    except ValueError as error:
        raise UnsupportedSource(f"{file} is not JSON: {error}") from None
    return _checked(document if isinstance(document, dict) else {}, file)


def _checked(document: Mapping[str, Any], file: Path) -> tuple[float | None, str | None]:
    """`threshold` and `fallback_label` of a metadata document."""
    threshold, fallback = document.get("threshold"), document.get("fallback_label")
    if threshold is None:
        return None, None
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise UnsupportedSource(f"{file}: threshold {threshold!r} is not a number from 0 to 1")
    return float(threshold), str(fallback) if fallback is not None else None
