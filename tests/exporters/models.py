"""Tiny real models for the exporters' tests: a fitted TF-IDF pipeline and a random two-layer BERT."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from examples.headlines import generate

Row = tuple[str, str]
ROWS: list[Row] = generate(260, seed=5)
TRAINING, EVALUATION = ROWS[:200], ROWS[200:]
LABELS = ("negative", "neutral", "positive")


def write_rows(file: Path, rows: Sequence[Row]) -> Path:
    """A CSV with the columns text and label."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return file


def fitted(vectorizer: Any = None, classifier: Any = None, rows: Sequence[Row] = tuple(TRAINING)) -> Any:
    """A fitted scikit-learn pipeline, word bigrams and SGD by default."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import Pipeline

    vectorizer = vectorizer or TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    classifier = classifier or SGDClassifier(loss="log_loss", random_state=0, max_iter=20, tol=None)
    pipeline = Pipeline([("vectorizer", vectorizer), ("classifier", classifier)])
    return pipeline.fit([text for text, _ in rows], [label for _, label in rows])


def plain_folder(folder: Path, threshold: float | None = None) -> Path:
    """vectorizer.pkl + model.pkl + label_encoder.json + performance.json, with the splits beside them."""
    import joblib
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier

    folder.mkdir(parents=True, exist_ok=True)
    index = {label: number for number, label in enumerate(reversed(LABELS))}  # not alphabetical, on purpose
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))
    inputs = vectorizer.fit_transform([text for text, _ in TRAINING])
    classifier = SGDClassifier(loss="log_loss", random_state=0).fit(inputs, [index[label] for _, label in TRAINING])
    joblib.dump(vectorizer, folder / "vectorizer.pkl")
    joblib.dump(classifier, folder / "model.pkl")
    (folder / "label_encoder.json").write_text(json.dumps({"class_to_index": index}))
    (folder / "performance.json").write_text(json.dumps({"threshold": threshold, "fallback_label": "neutral"}))
    write_rows(folder / "training.csv", TRAINING)
    write_rows(folder / "evaluation.csv", EVALUATION)
    return folder


def tiny_bert(folder: Path, *, safe: bool = True, scale: float = 0.2) -> Path:
    """A random two-layer BERT with a word-piece tokenizer, as `save_pretrained` writes it."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=max(1200, len(tokenizer)),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=48,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
        initializer_range=scale,
    )
    model = BertForSequenceClassification(config)
    model.save_pretrained(folder, safe_serialization=safe)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_encoder(folder: Path, *, mode: str = "mean", normalised: bool = True, max_tokens: int | None = 24) -> Path:
    """A random two-layer BERT without a head, in the layout of sentence-transformers."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=max(1200, len(tokenizer)),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=48,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalised else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": index, "name": str(index), "path": paths[index], "type": f"sentence_transformers.models.{kind}"}
        for index, kind in enumerate(kinds)
    ]
    switches = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "max": "pooling_mode_max_tokens"}
    pooling = {"word_embedding_dimension": 64} | {key: name == mode for name, key in switches.items()}
    (folder / "1_Pooling").mkdir()
    (folder / "2_Normalize").mkdir()
    for name, document in (
        ("modules.json", modules),
        ("1_Pooling/config.json", pooling),
        ("sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": False}),
    ):
        (folder / name).write_text(json.dumps(document))
    return folder


def tiny_tokenizer() -> Any:
    """A fast BERT tokenizer whose vocabulary is the training words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = sorted({word for text, _ in TRAINING for word in text.lower().split() if word.isalpha()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
