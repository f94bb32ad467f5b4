import json
from pathlib import Path

import pytest
import yaml

from exporters.layouts import recognise
from tidegate.errors import UnsupportedSource


def _mlmodel(folder: Path, flavours: dict[str, object], **document: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours, **document}))
    return folder


def test_threshold_fallback_and_run_come_from_the_models_metadata(tmp_path: Path) -> None:
    folder = _mlmodel(
        tmp_path / "m",
        {"python_function": {}, "sklearn": {"pickled_model": "model.skops"}},
        metadata={"threshold": 0.4, "fallback_label": "neutral"},
        run_id="abc",
    )
    (folder / "model.skops").touch()
    layout = recognise(folder)
    assert (layout.flavour, layout.threshold, layout.fallback_label, layout.run_id) == (
        "sklearn",
        0.4,
        "neutral",
        "abc",
    )


def test_transformers_flavour_finds_weights_and_tokenizer_in_their_own_folders(tmp_path: Path) -> None:
    folder = _mlmodel(tmp_path / "m", {"transformers": {"task": "text-classification", "model_binary": "model"}})
    (folder / "model").mkdir()
    (folder / "components" / "tokenizer").mkdir(parents=True)
    layout = recognise(folder)
    assert layout.model.name == "model"
    assert layout.tokenizer.name == "tokenizer"


@pytest.mark.parametrize(
    ("flavours", "message"),
    [
        ({"python_function": {}, "xgboost": {}}, "flavour xgboost cannot be exported. Supported: transformers"),
        ({"python_function": {}}, "flavour python_function"),
        ({"transformers": {"task": "summarization", "model_binary": "model"}}, "'summarization'"),
        ({"transformers": {"task": "text-classification", "peft_adaptor": "peft"}}, "PEFT"),
        ({"transformers": {"source_model_name": "org/name"}}, "org/name"),
        ({"sklearn": {"pickled_model": "../../secrets.pkl"}}, "not in the folder"),
        ({"sklearn": {"pickled_model": "gone.pkl"}}, "not in the folder"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(tmp_path: Path, flavours: dict[str, object], message: str) -> None:
    (tmp_path / "secrets.pkl").touch()
    with pytest.raises(UnsupportedSource, match=message):
        recognise(_mlmodel(tmp_path / "m", flavours))


@pytest.mark.parametrize("content", ["", "[1, 2", "just text", "flavors: [sklearn]"])
def test_a_broken_mlmodel_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "MLmodel").write_text(content)
    with pytest.raises(UnsupportedSource):
        recognise(tmp_path)


@pytest.mark.parametrize(
    ("files", "flavour"),
    [
        (("vectorizer.pkl", "model.pkl", "label_encoder.json"), "pickles"),
        (("model.onnx", "tokenizer.json", "config.json"), "onnx"),
        (("config.json", "model.safetensors"), "transformers"),
        (("config.json", "pytorch_model.bin"), "transformers"),
    ],
)
def test_plain_folders_are_recognised(tmp_path: Path, files: tuple[str, ...], flavour: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert recognise(tmp_path).flavour == flavour


def test_an_unknown_folder_names_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").touch()
    with pytest.raises(UnsupportedSource, match=r"weights\.h5.*Supported"):
        recognise(tmp_path)


@pytest.mark.parametrize("threshold", ["0.5", 1.5, -0.1, True])
def test_a_threshold_that_is_no_probability_is_refused(tmp_path: Path, threshold: object) -> None:
    for name in ("vectorizer.pkl", "model.pkl", "label_encoder.json"):
        (tmp_path / name).touch()
    (tmp_path / "performance.json").write_text(json.dumps({"threshold": threshold}))
    with pytest.raises(UnsupportedSource, match="threshold"):
        recognise(tmp_path)
