"""Numbers derived from texts and predictions: all that summaries and profiles ever see of a request.

Pure functions from records to `Rows`, columns of derived numbers, whole batches at a time; no column can be turned
back into a text. Before: `tidegate.records`; after: `summary` (exact sums), `profiles` (whylogs), `calibration`.
Which reference a feature is compared with follows from what it depends on: `INPUT` on the text alone (training
texts), `VOCABULARY` and `PREDICTION` on what was fitted to the training texts (evaluation split).
Source for margin and entropy as monitored quantities: Rabanser et al. 2019, "Failing Loudly".
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from monitoring.terms import project
from tidegate.characters import SCRIPTS, Counts
from tidegate.preprocess import Encoded
from tidegate.records import Record

if TYPE_CHECKING:  # 30 MB and a tenth of the start of the gateway, which takes only names from here
    import pandas as pd

INPUT = (
    "chars", "words", "digit_share", "punctuation_share", "upper_share", "non_ascii_share", "repeated_share",
    "truncated", "empty", "duplicate",
)  # fmt: skip
VOCABULARY = ("tokens", "unknown_rate", "tokens_per_word")
PREDICTION = ("top_probability", "margin", "entropy", "abstained")
EMPTY, TRUNCATED, DUPLICATE = "empty", "truncated", "duplicate"
SCRIPT = "script"
LABEL = "label"

_NAMES = np.array(SCRIPTS)
_NEVER = None  # in the place of texts that have not come yet


@dataclass(frozen=True, slots=True)
class Rows:
    """Some records as derived columns, all of one length.

    Attributes:
        numbers: name to float64 (rows,); NaN where a value is missing.
        classes: name to str (rows,), dtype object or str.
        scores: probability per class, float64 (rows, classes); width 0 where the model answers none.
        tokens: ids of all rows' tokens or terms, int64, one row after the other ...
        counts: ... and how many each row has, int64 (rows,).
        embedding: where the model saw each text, float32 (rows, dimensions); width 0 where it does not say.
        mapped: what the reference's kernel makes of the embeddings, float32 (rows, width); None until asked for.
    """

    numbers: Mapping[str, NDArray[np.float64]]
    classes: Mapping[str, NDArray[np.object_]]
    scores: NDArray[np.float64]
    tokens: NDArray[np.int64]
    counts: NDArray[np.int64]
    embedding: NDArray[np.float32]
    mapped: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """How many records."""
        return len(self.counts)

    def part(self, start: int, stop: int) -> "Rows":
        """Rows [start, stop), as views of these."""
        before = int(self.counts[:start].sum())
        tokens = self.tokens[before : before + int(self.counts[start:stop].sum())]
        return self._chosen(slice(start, stop), tokens)

    def where(self, mask: NDArray[np.bool_]) -> "Rows":
        """The rows of a mask, (rows,)."""
        return self if mask.all() else self._chosen(mask, self.tokens[np.repeat(mask, self.counts)])

    def _chosen(self, index: slice | NDArray[np.bool_], tokens: NDArray[np.int64]) -> "Rows":
        return Rows(
            numbers={name: values[index] for name, values in self.numbers.items()},
            classes={name: values[index] for name, values in self.classes.items()},
            scores=self.scores[index],
            tokens=tokens,
            counts=self.counts[index],
            embedding=self.embedding[index],
            mapped=None if self.mapped is None else self.mapped[index],
        )

    def frame(self) -> "pd.DataFrame":
        """The numbers and classes as a frame, as whylogs takes them."""
        import pandas as pd

        text = {name: pd.Series(values, dtype="str") for name, values in self.classes.items()}
        return pd.DataFrame({**self.numbers, **text})


class Seen:
    """The latest texts of a model, to know one that is sent again; not thread-safe, and each process has its own."""

    def __init__(self, most: int = 1_000) -> None:
        self._latest: deque[int | None] = deque([_NEVER] * most)
        self._known: dict[int | None, int] = {_NEVER: most}

    def again(self, text: str) -> bool:
        """Whether the text is among the latest, but for case and white space; takes note of it."""
        known = self._known
        mark = hash(" ".join(text.lower().split()))
        before = known.get(mark, 0)
        known[mark] = before + 1
        self._latest.append(mark)
        oldest = self._latest.popleft()
        if known[oldest] == 1:
            del known[oldest]
        else:
            known[oldest] -= 1
        return before > 0


def derive(records: Sequence[Record], seen: Seen) -> Rows:
    """The derived columns of records of one model version, one record or more.

    Records of embeddings have no probabilities: input and vocabulary columns and the script is all there is.
    """
    encoded = [record.row for record in records]
    numbers, script = input_columns([record.text for record in records], encoded, seen)
    numbers |= vocabulary_columns(encoded)
    classes = {SCRIPT: script}
    scores = np.array([record.scores for record in records], dtype=np.float64).reshape(len(records), -1)
    if scores.shape[1]:
        numbers |= prediction_columns(scores, [record.abstained for record in records])
        classes[LABEL] = np.array([record.label for record in records], dtype=object)
    tokens = [_tokens(row) for row in encoded]
    return Rows(
        numbers=numbers,
        classes=classes,
        scores=scores,
        tokens=np.concatenate(tokens),
        counts=np.array([len(row) for row in tokens], dtype=np.int64),
        embedding=_embeddings(records),
    )


def input_columns(
    texts: Sequence[str], encoded: Sequence[Encoded], seen: Seen
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.object_]]:
    """What depends on the text alone: columns `INPUT`, and the script of each text.

    Shares are of characters, in [0, 1]; 0 for an empty text. Texts may be any strings, lone surrogates included.
    """
    count = Counts(texts)
    most = np.maximum(count.chars, 1.0)
    columns = {
        "chars": count.chars,
        "words": np.array([row.words for row in encoded], dtype=np.float64),
        "digit_share": count.digit / most,
        "punctuation_share": count.punctuation / most,
        "upper_share": count.upper / most,
        "non_ascii_share": count.non_ascii / most,
        "repeated_share": count.repeated / most,
        "truncated": np.array([row.truncated for row in encoded], dtype=np.float64),
        "empty": np.array([row.words == 0 for row in encoded], dtype=np.float64),
        "duplicate": np.array([seen.again(text) for text in texts], dtype=np.float64),
    }
    return columns, _NAMES[count.script].astype(object)


def vocabulary_columns(encoded: Sequence[Encoded]) -> dict[str, NDArray[np.float64]]:
    """What depends on the fitted vocabulary; columns `VOCABULARY`.

    `unknown_rate` is unknown / (length + unknown), in [0, 1): TF-IDF's length counts known terms only and a
    tokenizer's counts unknown ones too, and this is bounded and increasing in the rate for both.
    """
    length = np.array([row.length for row in encoded], dtype=np.float64)
    unknown = np.array([row.unknown for row in encoded], dtype=np.float64)
    words = np.array([row.words for row in encoded], dtype=np.float64)
    return {
        "tokens": length,
        "unknown_rate": unknown / np.maximum(length + unknown, 1.0),
        "tokens_per_word": length / np.maximum(words, 1.0),
    }


def prediction_columns(scores: NDArray[np.float64], abstained: Sequence[bool]) -> dict[str, NDArray[np.float64]]:
    """What depends on the answer; columns `PREDICTION`.

    Args:
        scores: probability per class, shape (rows, classes), classes >= 2; rows need not sum to 1 (sigmoid).
        abstained: whether each answer fell below the bundle's threshold.

    Margin is the gap between the two best; entropy is in units of log(classes), so both lie in [0, 1].
    """
    ordered = np.sort(scores, axis=1)  # (rows, classes), ascending
    return {
        "top_probability": ordered[:, -1],
        "margin": ordered[:, -1] - ordered[:, -2],
        "entropy": _entropy(scores),
        "abstained": np.asarray(abstained, dtype=np.float64),
    }


def _tokens(row: Encoded) -> NDArray[np.int64]:
    """Ids of the tokens (a tokenizer's) or columns of the terms (TF-IDF's)."""
    ids: NDArray[np.int64] = row.arrays["input_ids"] if "input_ids" in row.arrays else row.arrays["indices"]
    return ids


def _embeddings(records: Sequence[Record]) -> NDArray[np.float32]:
    """What the graph said of each text; for TF-IDF, which has no hidden state, a random projection of its terms."""
    known = [record.embedding for record in records if record.embedding is not None]
    if known:  # sessions leave out what is not finite: the mean of its batch stands in, which moves nothing
        usual = known[0] if len(known) == len(records) else np.mean(known, axis=0, dtype=np.float32)
        vectors = [usual if record.embedding is None else record.embedding for record in records]
        return np.array(vectors, dtype=np.float32)
    if "values" in records[0].row.arrays:
        return project([(row.arrays["indices"], row.arrays["values"]) for row in (record.row for record in records)])
    return np.zeros((len(records), 0), dtype=np.float32)


def _entropy(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shannon entropy of each row after normalising it, divided by log(classes); a row of zeros counts as 1."""
    classes = scores.shape[1]
    totals = scores.sum(axis=1, keepdims=True)
    shares = np.divide(scores, totals, out=np.full_like(scores, 1.0 / classes), where=totals > 0)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy: NDArray[np.float64] = np.clip(-(shares * logs).sum(axis=1) / np.log(classes), 0.0, 1.0)
    return entropy
