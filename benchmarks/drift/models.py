"""The models that are watched, and their answers as the server would record them.

Two kinds: TF-IDF, fitted anew for every split, and the transformer that `python -m benchmarks prepare` made, which
was fitted once: its reference and its fresh rows come from the rows that its recipe held back. Fitted models and the
transformer's answers are kept in the work folder. Before: `sources`; after: `ours` and `rivals` see the records.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.sources import Index, Split, Universe, recipe_unseen, split, universe
from benchmarks.opening import open_engine
from benchmarks.workspace import Workspace, own_folder
from examples import recipe
from tidegate.cli import children, console
from tidegate.devices import choose
from tidegate.engine import Engine
from tidegate.errors import UsageError
from tidegate.preprocess import Encoded, collate
from tidegate.records import Record
from tidegate.session import Session
from tidegate.settings import Settings
from tidegate.tfidf import TfidfPreprocessor

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Case:
    """A data set and the kind of model that is watched on it: `financial/tfidf`."""

    data: str
    model: str

    @property
    def title(self) -> str:
        """As in tables and on the command line."""
        return f"{self.data}/{self.model}"


class Model(Protocol):
    """A fitted model."""

    labels: tuple[str, ...]

    def records(self, texts: Sequence[str]) -> list[Record]:
        """What the server would record of these texts, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """One split of a case with its model."""

    case: Case
    universe: Universe
    split: Split
    model: Model

    def records(self, rows: Index) -> list[Record]:
        """What the server would record of these rows of the universe, in order."""
        return self.model.records([self.universe.texts[row] for row in rows])


class TfidfModel:
    """A TF-IDF classifier that `fit_child` wrote into a folder."""

    def __init__(self, folder: Path) -> None:
        self.labels = tuple(json.loads((folder / "labels.json").read_bytes()))
        self._encoder = TfidfPreprocessor(folder / "vectorizer.json")
        self._session = Session.open(folder / "model.onnx", choose("cpu", ()), 1)

    def records(self, texts: Sequence[str]) -> list[Record]:
        """See `Model`."""
        records: list[Record] = []
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            rows = self._encoder.encode(batch)
            scores = self._session.run(collate(rows, self._encoder.pad_values)).first
            records += [_record(self.labels, *each, None) for each in zip(batch, rows, scores, strict=True)]
        return records


class TransformerModel:
    """The bench's own bundle; its answers to the whole universe are computed once and kept."""

    def __init__(self, of: Universe, workspace: Workspace) -> None:
        self._texts = of.texts
        self._workspace = workspace
        self._bundle = workspace.bundle()
        self.labels = tuple(self._bundle.manifest.labels)

    def records(self, texts: Sequence[str]) -> list[Record]:
        """See `Model`."""
        known, scores, embedding = self._answers
        strange = [text for text in dict.fromkeys(texts) if text not in known]
        if strange:
            more_scores, more_embedding = _answer(self._engine, strange)
            known = known | {text: len(scores) + place for place, text in enumerate(strange)}
            scores, embedding = np.vstack([scores, more_scores]), np.vstack([embedding, more_embedding])
        places = [known[text] for text in texts]
        rows = self._engine.encode(texts)
        return [
            _record(self.labels, text, row, scores[place], embedding[place])
            for text, row, place in zip(texts, rows, places, strict=True)
        ]

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self._workspace)

    @cached_property
    def _answers(self) -> tuple[dict[str, int], NDArray[np.float64], NDArray[np.float32]]:
        """Place of each text of the universe, and probabilities and embeddings by place."""
        texts = list(dict.fromkeys(self._texts))
        content = [self._bundle.manifest.model_dump_json(), *texts]
        name = hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]
        file = own_folder(self._workspace.root / "drift") / f"answers-{name}.npz"
        if not file.is_file():
            console.say(f"  answers of the transformer to {len(texts)} texts, once")
            scores, embedding = _answer(self._engine, texts)
            np.savez(file, scores=scores, embedding=embedding)
        with np.load(file) as kept:
            return {text: place for place, text in enumerate(texts)}, kept["scores"], kept["embedding"]


def trials(case: Case, seeds: Sequence[int], workspace: Workspace) -> list[Trial]:
    """A trial for each seed; what has to be fitted is fitted first.

    Raises:
        UsageError: the transformer was trained on something else.
    """
    of = universe(case.data)
    if case.model == "transformer":
        held = _unseen(of, workspace)
        model = TransformerModel(of, workspace)
        return [Trial(case, of, split(of, seed, held), model) for seed in seeds]
    splits = [split(of, seed) for seed in seeds]
    folders = [_fitted(of, one, workspace) for one in splits]
    _fit(of, splits, folders, workspace)
    return [Trial(case, of, one, TfidfModel(folder)) for one, folder in zip(splits, folders, strict=True)]


def _unseen(of: Universe, workspace: Workspace) -> Index:
    """The rows that the bench's model was not fitted to, by the split of its own recipe."""
    if of.name != "financial" or not workspace.texts.is_file():
        raise UsageError(f"no transformer of {of.name}; run `python -m benchmarks prepare` for that of financial")
    parts = recipe.split(list(zip(of.texts[: of.own], of.truths[: of.own], strict=True)), 0)
    held = [text for text, _ in parts.evaluation]
    if {text for text, _ in workspace.read_texts()} != set(held):
        raise UsageError(
            f"{workspace.root} was prepared on other data; remove it and run `python -m benchmarks prepare`"
        )
    return recipe_unseen(of, held, [text for text, _ in parts.validation])


def _fitted(of: Universe, one: Split, workspace: Workspace) -> Path:
    """The folder of a fitted model, named by what it is fitted to."""
    content = [of.name, *(of.texts[row] for row in sorted(one.training))]
    name = hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]
    return own_folder(workspace.root / "drift") / f"{of.name}-{name}"


def _fit(of: Universe, splits: Sequence[Split], folders: Sequence[Path], workspace: Workspace) -> None:
    wanted = [
        {
            "texts": [of.texts[row] for row in one.training],
            "labels": [of.truths[row] for row in one.training],
            "folder": str(folder.absolute()),
        }
        for one, folder in zip(splits, folders, strict=True)
        if not (folder / "labels.json").is_file()
    ]
    if wanted:
        console.say(f"  fitting {len(wanted)} TF-IDF models of {of.name}")
        child = str(Path(__file__).with_name("fit_child.py"))
        settings = Settings(home=workspace.home.absolute())
        children.run_child(settings, [child], {"models": wanted}, embedded_store=True)


def _answer(engine: Engine, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Probabilities (texts, classes) and embeddings (texts, dimensions); run sorted by length, for speed.

    Raises:
        UsageError: the bundle gives no embeddings.
    """
    rows = engine.encode(texts)
    order = np.array(sorted(range(len(rows)), key=lambda row: rows[row].length))
    back = np.argsort(order)
    given = engine.answer([rows[row] for row in order])
    if given.embedding is None:
        raise UsageError("the bench's bundle gives no embeddings; remove the work folder and run prepare again")
    return given.probabilities[back], given.embedding[back]


def _record(
    labels: tuple[str, ...],
    text: str,
    row: Encoded,
    scores: NDArray[np.floating[Any]],
    embedding: NDArray[np.float32] | None,
) -> Record:
    best = int(scores.argmax())
    return Record(
        id="",
        model="watched",
        version=1,
        variant="fp32",
        text=text,
        label=labels[best],
        score=float(scores[best]),
        abstained=False,
        scores=tuple(map(float, scores)),
        row=row,
        embedding=embedding,
        created_at=0.0,
    )
