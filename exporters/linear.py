"""A scikit-learn text pipeline to ONNX: TF-IDF as data (`tidegate.tfidf`), the classifier as a small graph.

Takes TfidfVectorizer, or CountVectorizer with or without TfidfTransformer, and SGDClassifier(loss="log_loss")
or LogisticRegression. Whatever cannot be written down as data (callables given to the vectorizer, other steps)
is refused by name. One quantization: int8 coefficients with one scale a class.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from exporters.convert import GRAPH, Draft
from exporters.layouts import Layout
from exporters.linear_graph import Squash, linear_graph
from exporters.pickles import load_pipeline
from tidegate import tfidf
from tidegate.bundle import Postprocessing, TensorSpec, TfidfPreprocessing, Variant
from tidegate.errors import UnsupportedSource
from tidegate.preprocess import Feeds

_VECTORIZERS = ("TfidfVectorizer", "CountVectorizer")
_CLASSIFIERS = ("SGDClassifier(loss='log_loss')", "LogisticRegression")


def draft_linear(layout: Layout, folder: Path, *, trust_pickle: bool) -> Draft:
    """Export a scikit-learn pipeline; see `convert.to_onnx`."""
    pipeline, labels = load_pipeline(layout, trust_pickle=trust_pickle)
    vectorizer, transformer, classifier = parts(pipeline)
    coefficients, intercept, squash = coefficients_of(classifier)
    tfidf.dump(vectorizer_of(vectorizer, transformer), folder / "vectorizer.json")
    onnx.save(linear_graph(coefficients, intercept, squash), str(folder / GRAPH))

    def int8(folder: Path, _feeds: Sequence[Feeds]) -> Iterator[Variant]:
        onnx.save(linear_graph(coefficients, intercept, squash, int8=True), str(folder / "model.int8.onnx"))
        yield Variant(name="int8", file="model.int8.onnx", precision="int8")

    def predict(texts: Sequence[str]) -> NDArray[np.float64]:
        return np.asarray(pipeline.predict_proba(list(texts)), dtype=np.float64)

    return Draft(
        labels=labels,
        inputs=(
            TensorSpec(name="indices", datatype="INT64", shape=(-1, -1)),
            TensorSpec(name="values", datatype="FP32", shape=(-1, -1)),
        ),
        outputs=(TensorSpec(name="probabilities", datatype="FP32", shape=(-1, len(labels))),),
        preprocessing=TfidfPreprocessing(),
        postprocessing=Postprocessing(
            activation="none", threshold=layout.threshold, fallback_label=layout.fallback_label
        ),
        variant=Variant(name="fp32", file=GRAPH, precision="fp32"),
        rewrites=(int8,),
        predict=predict,
    )


def parts(pipeline: Any) -> tuple[Any, Any | None, Any]:
    """Vectorizer, TfidfTransformer (or None) and classifier of a fitted pipeline.

    Raises:
        UnsupportedSource: not a pipeline, or a step that cannot be exported; names it.
    """
    if type(pipeline).__name__ != "Pipeline":
        raise UnsupportedSource(f"{type(pipeline).__name__} is not a text pipeline; {_supported()}")
    steps = [step for _, step in pipeline.steps if step is not None and step != "passthrough"]
    names = [type(step).__name__ for step in steps]
    middle = [name for name in names[1:-1] if name != "TfidfTransformer"]
    if len(steps) < 2 or names[0] not in _VECTORIZERS or middle or len(steps) > 3:
        raise UnsupportedSource(f"pipeline of {' -> '.join(names) or 'no steps'} cannot be exported; {_supported()}")
    if len(steps) == 3 and names[0] == "TfidfVectorizer":
        raise UnsupportedSource("TfidfVectorizer followed by TfidfTransformer weighs twice; use CountVectorizer first")
    return steps[0], steps[1] if len(steps) == 3 else None, steps[-1]


def _supported() -> str:
    return f"{' or '.join(_VECTORIZERS)} (+ TfidfTransformer) with {' or '.join(_CLASSIFIERS)} can"


def vectorizer_of(vectorizer: Any, transformer: Any | None) -> tfidf.Vectorizer:
    """The fitted parameters as data.

    Raises:
        UnsupportedSource: a callable, or a vectorizer that was never fitted.
    """
    _refuse_callables(vectorizer)
    if not hasattr(vectorizer, "vocabulary_"):
        raise UnsupportedSource(f"{type(vectorizer).__name__} was never fitted: it has no vocabulary_")
    if vectorizer.input != "content":
        raise UnsupportedSource(
            f"the vectorizer reads input={vectorizer.input!r}; only 'content' (texts) can be served"
        )
    weights = transformer if transformer is not None else vectorizer
    is_weighted = hasattr(weights, "use_idf")  # a bare CountVectorizer counts, and neither weighs nor scales
    if is_weighted and weights.use_idf and not hasattr(weights, "idf_"):
        raise UnsupportedSource(f"{type(weights).__name__} was never fitted: it has no idf_")
    return tfidf.Vectorizer(
        analyzer=vectorizer.analyzer,
        ngram_range=tuple(map(int, vectorizer.ngram_range)),
        lowercase=bool(vectorizer.lowercase),
        strip_accents=vectorizer.strip_accents,
        token_pattern=vectorizer.token_pattern if vectorizer.analyzer == "word" else None,
        stop_words=frozenset((vectorizer.get_stop_words() or ()) if vectorizer.analyzer == "word" else ()),
        binary=bool(vectorizer.binary),
        sublinear_tf=bool(weights.sublinear_tf) if is_weighted else False,
        norm=weights.norm if is_weighted else None,
        vocabulary=tuple(sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)),
        idf=tuple(map(float, weights.idf_)) if is_weighted and weights.use_idf else None,
    )


def _refuse_callables(vectorizer: Any) -> None:
    for name in ("tokenizer", "preprocessor", "analyzer", "strip_accents"):
        value = getattr(vectorizer, name)
        if callable(value):
            called = getattr(value, "__name__", type(value).__name__)
            raise UnsupportedSource(
                f"the vectorizer's {name} is a function ({called}), which cannot be written down as data; "
                "use analyzer='word', 'char' or 'char_wb' with token_pattern and strip_accents"
            )


def coefficients_of(classifier: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], Squash]:
    """Coefficients (classes or 1, terms), intercept (classes or 1,) and how scores become probabilities.

    Raises:
        UnsupportedSource: another classifier or loss, or one that was never fitted.
    """
    name = type(classifier).__name__
    if name not in ("SGDClassifier", "LogisticRegression"):
        raise UnsupportedSource(f"{name} cannot be exported; {_supported()}")
    if name == "SGDClassifier" and classifier.loss != "log_loss":
        raise UnsupportedSource(f"SGDClassifier(loss={classifier.loss!r}) has no such probabilities; {_supported()}")
    if not hasattr(classifier, "coef_"):
        raise UnsupportedSource(f"{name} was never fitted: it has no coef_")
    coefficients = classifier.coef_
    dense = coefficients.toarray() if hasattr(coefficients, "toarray") else coefficients  # after clf.sparsify()
    one_vs_rest = name == "SGDClassifier" or classifier.solver == "liblinear"
    intercept = np.broadcast_to(np.asarray(classifier.intercept_, dtype=np.float64), (len(dense),))
    return np.asarray(dense, dtype=np.float64), intercept, "one_vs_rest" if one_vs_rest else "softmax"
