"""TF-IDF bundles against scikit-learn itself: parity and speed, one text at a time and in lists. Export environment.

    .venv-export/bin/python -m benchmarks.tfidf [CSV]

Trains the pipelines of the TF-IDF recipe (word bigrams; character n-grams inside words) on a CSV with the columns text
and label, or on the synthetic headlines, exports each as a bundle would hold it, and times both on the same texts in
turn. Prints the largest difference of a probability, and the ratio of the median times: above 1, Tidegate is faster.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx

from examples.headlines import generate
from exporters.linear import coefficients_of, parts, vectorizer_of
from exporters.linear_graph import linear_graph
from exporters.texts import Row, read_rows
from tidegate import tfidf
from tidegate.devices import choose
from tidegate.preprocess import collate
from tidegate.session import Session

_KINDS: dict[str, dict[str, Any]] = {
    "word (1, 2)": {"ngram_range": (1, 2), "sublinear_tf": True},
    "char_wb (2, 5)": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}
_REPEATS, _TEXTS, _LIST = 7, 300, 32

Predict = Callable[[Sequence[str]], Any]


def main(arguments: Sequence[str]) -> None:
    """Print a line for each kind of pipeline and each size of request."""
    rows = read_rows(Path(arguments[0])) if arguments else generate(3_000, seed=1)
    for kind, options in _KINDS.items():
        pipeline = _fit(rows[_TEXTS:], options)
        ours = _served(pipeline)
        texts = [text for text, _ in rows[:_TEXTS]]
        difference = float(np.abs(ours(texts) - pipeline.predict_proba(texts)).max())
        for size in (1, _LIST):
            theirs, mine = _in_turn(pipeline.predict_proba, ours, texts, size)
            print(  # noqa: T201 - the report of a script
                f"{kind:15} {size:3} a call   scikit-learn {theirs:7.1f} us a text   Tidegate {mine:7.1f}   "
                f"ratio {theirs / mine:.2f}   largest difference {difference:.1e}"
            )


def _fit(rows: Sequence[Row], options: dict[str, Any]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import Pipeline

    classifier = SGDClassifier(loss="log_loss", class_weight="balanced", alpha=1e-5, random_state=0)
    pipeline = Pipeline([("vectorizer", TfidfVectorizer(**options)), ("classifier", classifier)])
    return pipeline.fit([text for text, _ in rows], [label for _, label in rows])


def _served(pipeline: Any) -> Predict:
    """What a bundle of the pipeline computes: data for the features, a small graph for the rest."""
    vectorizer, transformer, classifier = parts(pipeline)
    coefficients, intercept, squash = coefficients_of(classifier)
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(linear_graph(coefficients, intercept, squash), f"{folder}/model.onnx")
        tfidf.dump(vectorizer_of(vectorizer, transformer), Path(folder) / "vectorizer.json")
        session = Session.open(Path(folder) / "model.onnx", choose("cpu", ()), 1)
        encoder = tfidf.TfidfPreprocessor(Path(folder) / "vectorizer.json")
    return lambda texts: session.run(collate(encoder.encode(texts), encoder.pad_values)).first


def _in_turn(one: Predict, other: Predict, texts: Sequence[str], size: int) -> tuple[float, float]:
    """Median microseconds a text of each, taking turns."""
    lists = [list(texts[start : start + size]) for start in range(0, len(texts), size)]
    timed: tuple[list[float], list[float]] = ([], [])
    for _ in range(_REPEATS):
        for predict, seconds in zip((one, other), timed, strict=True):
            started = time.perf_counter()
            for each in lists:
                predict(each)
            seconds.append((time.perf_counter() - started) / len(texts) * 1e6)
    return median(timed[0]), median(timed[1])


if __name__ == "__main__":
    main(sys.argv[1:])
