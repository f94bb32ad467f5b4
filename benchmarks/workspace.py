"""The work folder (`.bench/`): what `prepare` makes and every measurement reads.

    home/                     Tidegate's home: registry, bundle `sentiment`
    model/                    the same model for the peers: model.onnx (fp32), model.int8-dynamic.onnx, tokenizer.json,
                              model.json (labels, max_tokens), checkpoint/ (save_pretrained), mlflow/ (MLflow model)
    texts.json                evaluation texts with the source model's label, in PyTorch fp32
    logs/, scratch/           of the servers

The folder ignores itself in git. After: `server`, `load` and the measurements.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.errors import UsageError

MODEL = "sentiment"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths below one work folder."""

    root: Path

    @property
    def home(self) -> Path:
        """Tidegate's home folder."""
        return self.root / "home"

    @property
    def model(self) -> Path:
        """What the peers serve."""
        return self.root / "model"

    @property
    def texts(self) -> Path:
        """Texts and the source model's labels."""
        return self.root / "texts.json"

    @property
    def logs(self) -> Path:
        """What servers print."""
        return own_folder(self.root / "logs")

    @property
    def scratch(self) -> Path:
        """Where servers may write."""
        return own_folder(self.root / "scratch")

    def bundle(self) -> Bundle:
        """The bundle that Tidegate serves."""
        return BundleStore(self.home / "bundles").load(MODEL)

    def read_texts(self) -> list[tuple[str, str]]:
        """(text, label of the source model), in a fixed order.

        Raises:
            UsageError: `prepare` has not run here.
        """
        if not self.texts.is_file():
            raise UsageError(f"{self.root} is not prepared; run: python -m benchmarks prepare")
        return [(row["text"], row["label"]) for row in json.loads(self.texts.read_text(encoding="utf-8"))]

    def write_texts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Keep (text, label of the source model) rows; last of what `prepare` makes, so that it stands for all."""
        document = [{"text": text, "label": label} for text, label in rows]
        own_folder(self.root)
        self.texts.write_text(json.dumps(document, ensure_ascii=False, indent=0), encoding="utf-8")


def own_folder(folder: Path) -> Path:
    """Make a folder that git never sees: a `.gitignore` in it ignores everything, itself included."""
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return folder
