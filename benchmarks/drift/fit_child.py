"""Runs in the export environment: fits TF-IDF classifiers as `examples/train_tfidf.py` does, and writes what serves.

Started by `models` with a JSON file that holds, for each model, its training texts, their labels and its folder. A
folder gets `vectorizer.json`, `model.onnx` and, last, `labels.json`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import onnx

from exporters.linear import coefficients_of, parts, vectorizer_of
from exporters.linear_graph import linear_graph
from tidegate import tfidf
from tidegate.cli import children
from tidegate.errors import TidegateError


def fit(models: list[dict[str, Any]]) -> int:
    """Fit each model that is wanted; answers how many."""
    for model in models:
        _fit(model["texts"], model["labels"], Path(model["folder"]))
    return len(models)


def _fit(texts: list[str], labels: list[str], folder: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import Pipeline

    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(2, 7), min_df=2, sublinear_tf=True)
    classifier = SGDClassifier(loss="log_loss", class_weight="balanced", alpha=1e-5, random_state=0)
    pipeline = Pipeline([("vectorizer", vectorizer), ("classifier", classifier)]).fit(texts, labels)
    fitted, transformer, linear = parts(pipeline)
    coefficients, intercept, squash = coefficients_of(linear)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(linear_graph(coefficients, intercept, squash), str(folder / "model.onnx"))
    tfidf.dump(vectorizer_of(fitted, transformer), folder / "vectorizer.json")
    (folder / "labels.json").write_text(json.dumps([str(label) for label in pipeline.classes_]))


if __name__ == "__main__":
    children.attend_parent()
    try:
        children.answer(fit(**json.loads(Path(sys.argv[1]).read_bytes())))
    except TidegateError as error:
        children.refuse(error)
