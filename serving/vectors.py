"""The wire form of embeddings: what may be asked of a vector, and vectors to JSON or base64. Shared by all protocols.

Before: a decoded body of `serving.predict` (Hugging Face), `serving.tei_embed` or `serving.openai_embeddings`; after:
arrays of float32, which JSON writes in as few digits as they have. Options stand beside `inputs`, where Hugging Face
and TEI have them, or in `parameters`. Limits: texts are cut at the right; no prompts; what a bundle normalises in its
graph cannot be had otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from serving.body import json_object, json_type
from serving.codec import texts_of
from serving.predictions import Predictions
from tidegate.bundle import Manifest
from tidegate.errors import InvalidInput, PayloadTooLarge
from tidegate.settings import Settings

Vectors = NDArray[np.float32]  # (texts, dimensions)

OPTIONS = ("normalize", "truncate", "truncation_direction", "prompt_name", "dimensions", "encoding_format")
_KNOWN = ("inputs", "parameters", *OPTIONS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked request for embeddings.

    Attributes:
        texts: 1 or more, each within the limits.
        similarity: the first text is compared with the others, and only that is answered.
        normalise: vectors of length 1; None leaves them as the bundle has them.
        dimensions: the first so many numbers of each, brought to length 1; None for all.
        cut: texts that are too long are cut; otherwise they are refused.
        details: answer with ids.
    """

    texts: Sequence[str]
    similarity: bool = False
    normalise: bool | None = None
    dimensions: int | None = None
    cut: bool = True
    details: bool = False

    @classmethod
    def decode(cls, document: Any, manifest: Manifest, settings: Settings, *, normalise: bool | None = None) -> Self:
        """Check a decoded body.

        Args:
            document: `{"inputs": ..., options}`.
            manifest: of an embedding bundle.
            settings: limits.
            normalise: what is meant where the caller does not say.

        Raises:
            InvalidInput: not the shape, or something that the bundle cannot do; carries a JSON pointer.
            PayloadTooLarge: too many texts.
        """
        fields = json_object(document, _KNOWN)
        if "inputs" not in fields:
            raise InvalidInput("inputs is missing; send a text or a list of texts", pointer="/inputs")
        beside = fields.get("parameters")
        options = {**json_object({} if beside is None else beside, ("details", *OPTIONS), "/parameters"), **fields}
        texts, similarity = _inputs(fields["inputs"], settings)
        _check_fixed(options)
        cut = _flag(options, "truncate")
        return cls(
            texts=texts,
            similarity=similarity,
            normalise=check_normalise(_flag(options, "normalize", normalise), manifest),
            dimensions=check_dimensions(options.get("dimensions"), manifest),
            cut=cut is not False,
            details=bool(_flag(options, "details")),
        )

    def shape(self, predictions: Predictions) -> Vectors:
        """The vectors as they were asked for.

        Raises:
            PayloadTooLarge: a text was cut, and the caller wanted none to be.
        """
        if not self.cut:
            _check_whole(predictions)
        return shaped(predictions, normalise=self.normalise, dimensions=self.dimensions)

    def document(self, predictions: Predictions) -> Any:
        """The answer: vectors, or similarities, or an object with ids."""
        vectors = self.shape(predictions)
        if self.similarity:
            return similarities(vectors)
        if not self.details:
            return vectors
        named = [{"id": one, "embedding": row} for one, row in zip(predictions.ids, vectors, strict=True)]
        return {"model": predictions.model, "version": predictions.version, "predictions": named}


def shaped(predictions: Predictions, *, normalise: bool | None, dimensions: int | None) -> Vectors:
    """Vectors cut to `dimensions` and brought to length 1 where that is asked for."""
    vectors = np.asarray(predictions.vectors, dtype=np.float32)[:, :dimensions]
    if normalise or dimensions is not None:
        vectors = _unit(vectors)
    return vectors


def similarities(vectors: Vectors) -> list[float]:
    """Cosine similarity of the first vector to each of the others."""
    unit = _unit(vectors)
    cosines: list[float] = np.clip(unit[1:] @ unit[0], -1.0, 1.0).tolist()
    return cosines


def dumps(document: Any) -> bytes:
    """JSON of a document that may hold arrays."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def check_dimensions(value: Any, manifest: Manifest, pointer: str = "/dimensions") -> int | None:
    """A number of dimensions that the bundle has, or None.

    Raises:
        InvalidInput: it has fewer, or this is no number.
    """
    most = manifest.embedding.dimensions if manifest.embedding else 0
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidInput(f"dimensions must be a whole number from 1 to {most}", pointer=pointer)
    return value


def check_normalise(value: bool | None, manifest: Manifest) -> bool | None:
    """Whether vectors are to be normalised still.

    Raises:
        InvalidInput: they must not be, and the bundle's graph does it.
    """
    in_graph = manifest.embedding is not None and manifest.embedding.normalised
    if value is False and in_graph:
        raise InvalidInput(
            f"normalize is false, and model {manifest.name!r} has vectors of length 1 only; leave it out",
            pointer="/normalize",
        )
    return None if in_graph else value


def _inputs(inputs: Any, settings: Settings) -> tuple[Sequence[str], bool]:
    """The texts, and whether they are a sentence and those that it is compared with."""
    if not isinstance(inputs, dict):
        if isinstance(inputs, list) and inputs and isinstance(inputs[0], int | list):
            raise InvalidInput("token ids are not taken; send texts, they are tokenized here", pointer="/inputs")
        return texts_of(inputs, settings), False
    fields = json_object(inputs, ("source_sentence", "sentences"), "/inputs")
    source, sentences = fields.get("source_sentence"), fields.get("sentences")
    if not isinstance(source, str) or not isinstance(sentences, list) or not sentences:
        raise InvalidInput("expected source_sentence, a text, and sentences, a list of texts", pointer="/inputs")
    return texts_of([source, *sentences], settings), True


def _check_fixed(options: dict[str, Any]) -> None:
    """What stands for itself: there is one way to cut, one way to write numbers, and no prompt."""
    only = {"truncation_direction": "right", "encoding_format": "float", "prompt_name": ""}
    for key, value in only.items():
        sent = options.get(key)
        if sent is not None and (not isinstance(sent, str) or sent.lower() != value):
            shown = repr(sent[:80]) if isinstance(sent, str) else json_type(sent)
            known = f"send {value!r} or leave it out" if value else "put the prompt into the text"
            raise InvalidInput(f"{key} is {shown}; {known}", pointer=f"/{key}")


def _check_whole(predictions: Predictions) -> None:
    for index, row in enumerate(predictions.rows):
        if row.truncated:
            raise PayloadTooLarge(
                f"text {index} has more tokens than the model takes ({row.length}); shorten it, or let it be cut "
                "by leaving out truncate"
            )


def _flag(options: dict[str, Any], key: str, default: bool | None = None) -> bool | None:
    value = options.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidInput(f"{key} is {json_type(value)}; send true or false", pointer=f"/{key}")
    return value


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
