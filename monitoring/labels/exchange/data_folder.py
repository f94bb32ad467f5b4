"""A data set folder of Hugging Face: `data.jsonl` and a card, as `datasets.load_dataset(FOLDER)` reads it.

The card names the type of each column, so that an empty one is no surprise. Back: any folder of JSON lines, which is
what `Dataset.to_json` writes. Limits: no Parquet and no Arrow, whose library is larger than this program.
Source: https://huggingface.co/docs/hub/datasets-manual-configuration, datasets 5.2.0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from monitoring.labels.exchange.plain import from_jsonl
from monitoring.labels.exchange.rows import Found, Sheet
from tidegate.errors import UsageError

DATA = "data.jsonl"
_STRINGS = (
    *("id", "label", "annotator", "verdict", "agreed", "model", "prediction_id", "text", "predicted", "reason"),
    *("state", "comment", "suggested", "claimed_by", "gold", "doubt"),
)
_INTEGERS = ("version", "window_id", "alert_id", "wanted", "data_set")
_FLOATS = ("score", "created_at", "labelled_at", "selection_score", "selection_probability", "leased_until")
_ANSWER = {
    **dict.fromkeys(("annotator", "verdict", "label", "comment", "source"), "string"),
    **dict.fromkeys(("seconds", "created_at"), "float64"),
}
COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(_STRINGS, "string"),
    **dict.fromkeys(_INTEGERS, "int64"),
    **dict.fromkeys(_FLOATS, "float64"),
}


def card(sheet: Sheet) -> Mapping[str, str]:
    """The folder's `README.md`."""
    features = "".join(f"  - name: {name}\n    dtype: {kind}\n" for name, kind in COLUMNS.items())
    answer = "".join(f"    - name: {name}\n      dtype: {kind}\n" for name, kind in _ANSWER.items())
    text = (
        f"---\nconfigs:\n- config_name: default\n  data_files: {DATA}\ndataset_info:\n  features:\n{features}"
        f"  - name: scores\n    list: float64\n  - name: annotations\n    list:\n{answer}"
        "task_categories:\n- text-classification\n---\n\n"
        f"# Texts of `{sheet.model}` for people to label\n\nFill `label` in, or `verdict` with `none` or `skip`, and "
        "say who you are as `annotator`.\nLabels: "
    )
    return {"README.md": text + ", ".join(f"`{label}`" for label in sheet.labels) + ".\n"}


def from_folder(path: Path) -> Iterator[Found]:
    """Answers of every file of JSON lines in a folder, or of one such file.

    Raises:
        UsageError: it cannot be read, or holds none.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"{path} holds no .jsonl file; write one into it with `Dataset.to_json`")
    for file in files:
        for found in from_jsonl(file):
            yield found if len(files) == 1 else _within(file.name, found)


def _within(file: str, found: Found) -> Found:
    return f"{file}, {found}" if isinstance(found, str) else replace(found, place=f"{file}, {found.place}")
