"""The int8 model as a careful user of a framework would call it: bare tokenizer, one-thread runs, padded batches.

Shared by the rivals that serve the dynamic int8 file; needs onnxruntime, tokenizers and numpy. A batch is sorted by
length and run in pieces of `PIECE`, each padded to its longest. Of 1, 4, 8, 16 and 32 on two cores and sentences,
8 was the fastest.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PIECE = 8


class Classifier:
    """Texts to labels. Thread-safe: onnxruntime's `Run` is."""

    def __init__(self, folder: Path | None = None) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        folder = folder or Path(os.environ["MODEL_FOLDER"])
        document = json.loads((folder / "model.json").read_text())
        self._labels: list[str] = document["labels"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(document["max_tokens"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.int8-dynamic.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [node.name for node in self._session.get_inputs()]

    def classify(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Label and score of each text, at least one."""
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
        answers: list[dict[str, Any]] = [{}] * len(encoded)
        for start in range(0, len(order), PIECE):
            indices = order[start : start + PIECE]
            for index, row in zip(indices, self._run([encoded[index] for index in indices]), strict=True):
                best = int(row.argmax())
                answers[index] = {"label": self._labels[best], "score": float(row[best])}
        return answers

    def _run(self, rows: list[list[int]]) -> Any:
        """Probabilities of shape (rows, classes)."""
        shape = (len(rows), max(map(len, rows)))
        ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)  # (batch, tokens); 0 is BERT's [PAD]
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(shape, np.int64)}
        logits = self._session.run(None, {name: known[name] for name in self._inputs})[0]
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)


def as_list(inputs: str | Sequence[str]) -> list[str]:
    """One text or several, as a list."""
    return [inputs] if isinstance(inputs, str) else list(inputs)
