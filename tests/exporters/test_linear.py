"""Exact parity with scikit-learn: `tidegate.tfidf` + `linear_graph` against `predict_proba`."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline

from exporters.linear import coefficients_of, parts, vectorizer_of
from exporters.linear_graph import linear_graph
from tests.exporters.models import EVALUATION, TRAINING, fitted
from tidegate import tfidf
from tidegate.devices import choose
from tidegate.errors import UnsupportedSource
from tidegate.preprocess import collate
from tidegate.session import Session

UNICODE = st.text(max_size=40)
SNIPPETS = st.sampled_from(
    ["Ünïcödé ÀÇ", "ﬁne ½", "e\u0301te\u0301", "\u2003 wide", "a\tb\n c", "ŉ", "İstanbul", "日本 語", "x"]
)
TEXTS = st.lists(st.one_of(UNICODE, SNIPPETS, st.lists(SNIPPETS, max_size=4).map(" ".join)), min_size=6, max_size=12)


def converted(pipeline: Any, texts: list[str], folder: Path, *, int8: bool = False) -> NDArray[np.float32]:
    """Probabilities of the exported pipeline, all texts in one padded batch."""
    vectorizer, transformer, classifier = parts(pipeline)
    tfidf.dump(vectorizer_of(vectorizer, transformer), folder / "vectorizer.json")
    onnx.save(linear_graph(*coefficients_of(classifier), int8=int8), str(folder / "model.onnx"))
    session = Session.open(folder / "model.onnx", choose("cpu", ()), 1)
    preprocessor = tfidf.TfidfPreprocessor(folder / "vectorizer.json")
    return session.run(collate(preprocessor.encode(texts), preprocessor.pad_values)).first


@given(
    texts=TEXTS,
    unseen=TEXTS,
    analyzer=st.sampled_from(["word", "char", "char_wb"]),
    low=st.integers(1, 3),
    more=st.integers(0, 2),
    lowercase=st.booleans(),
    accents=st.sampled_from([None, "unicode", "ascii"]),
    sublinear=st.booleans(),
    binary=st.booleans(),
    norm=st.sampled_from(["l1", "l2", None]),
    use_idf=st.booleans(),
    classes=st.integers(2, 3),
    logistic=st.booleans(),
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_parity_with_scikit_learn_is_exact(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    unseen: list[str],
    analyzer: str,
    low: int,
    more: int,
    lowercase: bool,
    accents: str | None,
    sublinear: bool,
    binary: bool,
    norm: str | None,
    use_idf: bool,
    classes: int,
    logistic: bool,
) -> None:
    vectorizer = TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=(low, low + more),
        lowercase=lowercase,
        strip_accents=accents,
        sublinear_tf=sublinear,
        binary=binary,
        norm=norm,
        use_idf=use_idf,
        token_pattern=r"(?u)\b\w+\b" if analyzer == "word" else r"(?u)\b\w\w+\b",
    )
    classifier = LogisticRegression() if logistic else SGDClassifier(loss="log_loss", alpha=0.01, random_state=0)
    rows = [(text, "abc"[index % classes]) for index, text in enumerate(texts)]
    try:
        pipeline = fitted(vectorizer, classifier, rows)
    except ValueError as error:  # scikit-learn: no term is left to learn from
        assume("vocabulary" not in str(error))
        raise
    asked = [*texts, *unseen, ""]
    expected = pipeline.predict_proba(asked)
    np.testing.assert_allclose(converted(pipeline, asked, tmp_path_factory.mktemp("m")), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("vectorizer", "classifier"),
    [
        (TfidfVectorizer(stop_words="english", ngram_range=(1, 2)), SGDClassifier(loss="log_loss", random_state=0)),
        (
            TfidfVectorizer(analyzer="char", ngram_range=(2, 7), min_df=2),
            SGDClassifier(loss="log_loss", random_state=0),
        ),
        (TfidfVectorizer(vocabulary=["profit", "fell", "rose"]), LogisticRegression()),
        (CountVectorizer(), LogisticRegression(max_iter=300)),
        (CountVectorizer(binary=True, token_pattern=r"[a-z]+"), SGDClassifier(loss="log_loss", random_state=0)),
    ],
)
def test_usual_pipelines_agree_on_headlines(tmp_path: Path, vectorizer: Any, classifier: Any) -> None:
    pipeline = fitted(vectorizer, classifier)
    texts = [text for text, _ in EVALUATION]
    np.testing.assert_allclose(converted(pipeline, texts, tmp_path), pipeline.predict_proba(texts), atol=1e-5)


def test_count_vectorizer_with_a_tfidf_transformer_agrees(tmp_path: Path) -> None:
    texts, labels = zip(*TRAINING, strict=True)
    steps = [
        ("c", CountVectorizer()),
        ("t", TfidfTransformer(sublinear_tf=True, norm="l1")),
        ("m", LogisticRegression()),
    ]
    pipeline = Pipeline(steps).fit(texts, labels)
    asked = [text for text, _ in EVALUATION]
    np.testing.assert_allclose(converted(pipeline, asked, tmp_path), pipeline.predict_proba(asked), atol=1e-5)


def test_liblinear_and_sparse_coefficients_agree(tmp_path: Path) -> None:
    rows = [(text, label) for text, label in TRAINING if label != "neutral"]
    pipeline = fitted(TfidfVectorizer(), LogisticRegression(solver="liblinear"), rows)
    pipeline[-1].sparsify()
    asked = [text for text, _ in EVALUATION]
    np.testing.assert_allclose(converted(pipeline, asked, tmp_path), pipeline.predict_proba(asked), atol=1e-5)


def test_a_text_that_is_far_from_every_class_gets_probabilities_and_not_nan(tmp_path: Path) -> None:
    pipeline = fitted(CountVectorizer(), SGDClassifier(loss="log_loss", random_state=0))
    pipeline[-1].coef_ -= 25.0
    asked = [TRAINING[0][0], " ".join(text for text, _ in TRAINING)]
    assert pipeline.decision_function(asked[:1]).max() < -104  # where a float32 sigmoid is 0
    answers = converted(pipeline, asked, tmp_path)
    np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(answers[0], pipeline.predict_proba(asked)[0], atol=1e-4)


def test_int8_coefficients_stay_close_and_never_see_their_batch_mates(tmp_path: Path) -> None:
    pipeline = fitted()
    texts = [text for text, _ in EVALUATION]
    together = converted(pipeline, texts, tmp_path, int8=True)
    alone = np.concatenate([converted(pipeline, [text], tmp_path, int8=True) for text in texts[:5]])
    np.testing.assert_allclose(alone, together[:5], atol=1e-6)
    assert np.abs(together - pipeline.predict_proba(texts)).max() < 0.05


def my_tokenizer(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    ("vectorizer", "message"),
    [
        (TfidfVectorizer(tokenizer=my_tokenizer, token_pattern=None), "tokenizer is a function \\(my_tokenizer\\)"),
        (TfidfVectorizer(preprocessor=str.upper), "preprocessor is a function \\(upper\\)"),
        (TfidfVectorizer(analyzer=my_tokenizer), "analyzer is a function"),
        (TfidfVectorizer(strip_accents=str.lower), "strip_accents is a function"),
    ],
)
def test_callables_in_the_vectorizer_are_refused_by_name(vectorizer: Any, message: str) -> None:
    with pytest.raises(UnsupportedSource, match=message):
        vectorizer_of(parts(fitted(vectorizer))[0], None)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (SGDClassifier(), "SGDClassifier is not a text pipeline"),
        (Pipeline([("h", HashingVectorizer()), ("m", SGDClassifier())]), "HashingVectorizer -> SGDClassifier"),
        (Pipeline([("m", SGDClassifier())]), "pipeline of SGDClassifier"),
        (Pipeline([("t", TfidfVectorizer()), ("u", TfidfTransformer()), ("m", SGDClassifier())]), "weighs twice"),
    ],
)
def test_other_steps_are_refused_by_name(pipeline: Any, message: str) -> None:
    with pytest.raises(UnsupportedSource, match=message):
        parts(pipeline)


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (MultinomialNB(), "MultinomialNB cannot be exported"),
        (SGDClassifier(loss="modified_huber"), "modified_huber"),
        (SGDClassifier(loss="log_loss"), "never fitted"),
    ],
)
def test_other_classifiers_are_refused_by_name(classifier: Any, message: str) -> None:
    with pytest.raises(UnsupportedSource, match=message):
        coefficients_of(classifier)
    with pytest.raises(UnsupportedSource, match="never fitted"):
        vectorizer_of(TfidfVectorizer(), None)
