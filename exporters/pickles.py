"""Loads scikit-learn models from files, and decides which files may be loaded at all.

skops files hold no code: they load when every type in them is one that skops itself trusts (scikit-learn,
numpy, scipy and Python's own data types); any other type is refused by name. Pickles run code when they load:
only in this process (the export child, which holds no secrets and serves nobody), and only with --trust-pickle.
"""

import json
from pathlib import Path
from typing import Any

from exporters.layouts import Layout
from tidegate.errors import UnsupportedSource, UntrustedPickle


def load_pipeline(layout: Layout, *, trust_pickle: bool) -> tuple[Any, tuple[str, ...]]:
    """A fitted pipeline, and its labels in the order of its probabilities.

    Raises:
        UntrustedPickle: a pickle without `trust_pickle`.
        UnsupportedSource: the file cannot be loaded, or holds types that are not trusted.
    """
    if layout.flavour == "pickles":
        return _load_plain(layout.model, trust_pickle=trust_pickle)
    pipeline = _load(layout.model, trust_pickle=trust_pickle)
    classes = getattr(pipeline, "classes_", None)
    if classes is None:
        raise UnsupportedSource(f"{type(pipeline).__name__} in {layout.model.name} has no classes_: not a classifier")
    return pipeline, tuple(str(label) for label in classes)


def _load_plain(folder: Path, *, trust_pickle: bool) -> tuple[Any, tuple[str, ...]]:
    """vectorizer.pkl + model.pkl + label_encoder.json."""
    vectorizer = _load(folder / "vectorizer.pkl", trust_pickle=trust_pickle)
    classifier = _load(folder / "model.pkl", trust_pickle=trust_pickle)
    names = _class_names(folder / "label_encoder.json")
    classes = getattr(classifier, "classes_", ())
    try:
        labels = tuple(names[int(index)] for index in classes)
    except (KeyError, ValueError, TypeError):
        known = ", ".join(f"{name} = {index}" for index, name in sorted(names.items()))
        raise UnsupportedSource(
            f"model.pkl answers classes {list(classes)}, label_encoder.json knows: {known}; they must be the same"
        ) from None
    from sklearn.pipeline import Pipeline

    steps = list(vectorizer.steps) if isinstance(vectorizer, Pipeline) else [("vectorizer", vectorizer)]
    return Pipeline([*steps, ("classifier", classifier)]), labels


def _class_names(file: Path) -> dict[int, str]:
    try:
        return {int(index): str(name) for name, index in json.loads(file.read_text())["class_to_index"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsupportedSource(f'{file} is not {{"class_to_index": {{NAME: INDEX}}}}: {error!r}') from None


def _load(file: Path, *, trust_pickle: bool) -> Any:
    if file.suffix == ".skops":
        return _load_skops(file)
    if not trust_pickle:
        raise UntrustedPickle(
            f"{file.name} is a pickle and may run any code when loaded; log the model with "
            'serialization_format="skops", or say --trust-pickle if you trust who made it'
        )
    import joblib

    try:
        return joblib.load(file)
    except Exception as error:  # a pickle can raise anything
        raise UnsupportedSource(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error


def _load_skops(file: Path) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(file, trusted=[])
    except UntrustedTypesFoundException as error:
        unknown = ", ".join(sorted(set(skops.io.get_untrusted_types(file=file))))
        raise UntrustedPickle(f"{file.name} holds types that are not trusted: {unknown}") from error
    except Exception as error:  # zip, JSON and import errors of a damaged or foreign file
        raise UnsupportedSource(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
