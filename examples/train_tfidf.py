"""Trains TF-IDF (word or character n-grams) + a linear classifier, and registers the run in MLflow.

Oversampling touches the training split only, and class weights correct what it leaves; losses are logged per
epoch, and the epoch with the lowest validation loss is kept. Texts whose top probability is below the first
quartile of the validation confidences are answered by the fallback label. Seconds on two cores.

    python examples/train_tfidf.py --data news.csv --register sentiment --alias champion
"""

import argparse
import copy
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from recipe import Row, Splits, decide_threshold, options, read_splits, run, say
from tracking import log_data, log_evaluation, register, start_run

from tidegate.errors import UsageError

OVERSAMPLE_LIMIT = 3  # most copies of one text; more teaches the copies by heart


def train(arguments: argparse.Namespace) -> None:
    """Read, split, fit, evaluate, log, register."""
    splits = read_splits(arguments)
    with start_run(arguments, "tfidf") as active:
        log_data(arguments, splits)
        vectorizer, classifier = _fit(arguments, splits)
        model_uri = _log_model(arguments, splits, vectorizer, classifier)
    register(arguments, model_uri, active.info.run_id)


def _fit(arguments: argparse.Namespace, splits: Splits) -> tuple[Any, Any]:
    """Vectorizer and classifier of the epoch with the lowest validation loss."""
    import mlflow
    import numpy as np
    from sklearn.linear_model import SGDClassifier

    vectorizer = _vectorizer(arguments, splits)
    training = oversample(splits.training, Random(arguments.seed))
    (texts, seen), (validation, unseen) = _columns(training), _columns(splits.validation)
    inputs, held_out = vectorizer.transform(texts), vectorizer.transform(validation)
    classifier = SGDClassifier(
        loss="log_loss", alpha=arguments.alpha, class_weight=_class_weights(training), random_state=arguments.seed
    )
    best, best_loss = classifier, float("inf")
    rng = np.random.default_rng(arguments.seed)
    for epoch in range(1, arguments.epochs + 1):
        order = rng.permutation(len(training))
        classifier.partial_fit(inputs[order], np.array(seen)[order], classes=np.array(splits.labels))
        losses = _losses(classifier, splits.labels, (inputs, seen), (held_out, unseen))
        mlflow.log_metrics(losses, step=epoch)
        told = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
        say(f"epoch {epoch:2d}/{arguments.epochs}  {told}")
        if losses["validation_loss"] < best_loss:
            best, best_loss = copy.deepcopy(classifier), losses["validation_loss"]
    return vectorizer, best


def _vectorizer(arguments: argparse.Namespace, splits: Splits) -> Any:
    """TF-IDF, fitted to the training texts."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer=arguments.analyzer,
        ngram_range=tuple(arguments.ngrams),
        min_df=arguments.min_df,
        sublinear_tf=True,
        dtype=np.float64,
    )
    try:
        return vectorizer.fit(_columns(splits.training)[0])
    except ValueError as error:  # scikit-learn: "empty vocabulary", "no terms remain"
        raise UsageError(f"no term is left to learn from ({error}); lower --min-df or change --ngrams") from None


def _losses(
    classifier: Any, labels: Sequence[str], training: tuple[Any, Any], validation: tuple[Any, Any]
) -> dict[str, float]:
    """What an epoch came to, from inputs and labels of both splits."""
    from sklearn.metrics import f1_score, log_loss

    (inputs, seen), (held_out, unseen) = training, validation
    return {
        "train_loss": log_loss(seen, classifier.predict_proba(inputs), labels=labels),
        "validation_loss": log_loss(unseen, classifier.predict_proba(held_out), labels=labels),
        "validation_macro_f1": f1_score(unseen, classifier.predict(held_out), average="macro"),
    }


def oversample(rows: Sequence[Row], rng: Random) -> list[Row]:
    """Repeat rows of rare classes towards the size of the largest, each at most `OVERSAMPLE_LIMIT` times."""
    counts = Counter(label for _, label in rows)
    largest = max(counts.values())
    grown = list(rows)
    for label, count in sorted(counts.items()):
        own = [row for row in rows if row[1] == label]
        missing = min(largest, OVERSAMPLE_LIMIT * count) - count
        copies = own * (missing // count) + rng.sample(own, missing % count)
        grown += copies
    return grown


def _class_weights(rows: Sequence[Row]) -> dict[str, float]:
    """scikit-learn's "balanced": rows / (classes * rows of the class)."""
    counts = Counter(label for _, label in rows)
    return {label: len(rows) / (len(counts) * count) for label, count in counts.items()}


def _log_model(arguments: argparse.Namespace, splits: Splits, vectorizer: Any, classifier: Any) -> str:
    import mlflow
    import numpy as np
    from mlflow.models import infer_signature
    from sklearn.pipeline import Pipeline

    pipeline = Pipeline([("vectorizer", vectorizer), ("classifier", classifier)])
    confidences = pipeline.predict_proba(_columns(splits.validation)[0]).max(axis=1)
    metadata = decide_threshold(arguments.threshold, confidences, splits, arguments.fallback_label)
    texts, truth = _columns(splits.evaluation)
    probabilities = pipeline.predict_proba(texts)  # (rows, classes)
    answered = [str(label) for label in pipeline.classes_[probabilities.argmax(axis=1)]]
    if metadata:
        low = probabilities.max(axis=1) < metadata["threshold"]
        answered = [metadata["fallback_label"] if low[row] else label for row, label in enumerate(answered)]
        mlflow.log_metrics({"threshold": metadata["threshold"], "evaluation_abstained_share": float(np.mean(low))})
    log_evaluation(splits.labels, truth, answered)
    logged = mlflow.sklearn.log_model(
        pipeline,
        name="model",
        serialization_format="skops",  # no pickle: export then needs no --trust-pickle
        signature=infer_signature(texts[:1], answered[:1]),
        pip_requirements=["scikit-learn", "skops"],
        metadata=metadata,
    )
    return str(logged.model_uri)


def _columns(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    return [text for text, _ in rows], [label for _, label in rows]


def _parser() -> argparse.ArgumentParser:
    parser = options(__doc__.split("\n")[0], threshold="quartile")
    parser.add_argument("--analyzer", choices=("word", "char", "char_wb"), default="char", help="what n-grams are of")
    parser.add_argument("--ngrams", type=int, nargs=2, default=(2, 7), metavar=("LOW", "HIGH"), help="sizes of n-grams")
    parser.add_argument("--min-df", type=int, default=2, help="texts that must hold a term for it to count")
    parser.add_argument("--alpha", type=float, default=1e-5, help="regularisation of SGDClassifier")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training split")
    return parser


if __name__ == "__main__":
    run(train, _parser())
