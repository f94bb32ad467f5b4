"""What the loop's benchmark reckons: labels until a target, rows moved towards neighbours, wrong labels, runs."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from typer.testing import CliRunner

from benchmarks.loop import noise
from benchmarks.loop.command import app
from benchmarks.loop.labels_needed import NEVER, Curve, curve, needed
from benchmarks.loop.neighbours import smoothed
from benchmarks.loop.pools import Pool, pool
from benchmarks.loop.tables import loop_section
from benchmarks.results import read_results

WORDS = {"sport": "goal match team coach league score", "money": "bank profit share market loan price"}
COMMON = "the a new old big small was is today late said first last never"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A CSV of 600 short texts of two topics."""
    rng = np.random.default_rng(0)
    file = tmp_path / "topics.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["text", "label"])
        for _ in range(600):
            label = str(rng.choice(sorted(WORDS)))
            own, common = rng.choice(WORDS[label].split(), 2), rng.choice(COMMON.split(), 5)
            rows.writerow([" ".join([*own, *common]), label])
    return file


def embedded(rows: list[list[float]], test: list[list[float]]) -> Pool:
    """A pool of the embeddings given, with no labels to speak of."""
    inputs = np.array(rows, dtype=np.float32)
    none = np.zeros(len(rows), dtype=np.int64)
    return Pool(inputs, np.array(test, dtype=np.float32), none, none[: len(test)], inputs, ())


@pytest.mark.parametrize(
    ("accuracy", "share"), [([0.5, 0.7, 0.9], 2.5 / 3), ([0.9, 0.5, 0.9], 1 / 3), ([0.5, 0.6, 0.7], NEVER)]
)
def test_labels_needed_are_interpolated_at_the_first_crossing(accuracy: list[float], share: float) -> None:
    found = Curve(np.array([10, 20, 30]), np.array(accuracy))

    assert needed(found, 0.8) == pytest.approx(share)


def test_a_row_moves_half_way_to_its_neighbours_in_the_pool() -> None:
    read = smoothed(embedded([[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [1.0, 0.0]]))

    assert np.linalg.norm(read.test_rows, axis=1) == pytest.approx([1.0, 1.0])
    assert read.test_rows[0] == pytest.approx([0.6, 0.8])  # the mean of both by likeness is its own direction
    assert read.test_rows[1] == pytest.approx([1.0, 0.0])  # the other row is nothing like it
    assert read.rows == pytest.approx(np.eye(2))  # a row is no neighbour of its own


def test_sparse_rows_move_as_dense_ones_do() -> None:
    rng = np.random.default_rng(1)
    rows = np.abs(rng.normal(size=(60, 12))) * (rng.random((60, 12)) < 0.4)
    dense = embedded(rows.tolist(), rows[:7].tolist())
    thin = Pool(sparse.csr_matrix(dense.rows), sparse.csr_matrix(dense.test_rows), *_rest(dense))

    assert smoothed(thin).rows.toarray() == pytest.approx(smoothed(dense).rows, abs=1e-5)
    assert smoothed(thin).test_rows.toarray() == pytest.approx(smoothed(dense).test_rows, abs=1e-5)


def _rest(one: Pool) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[()]]:
    return one.truths, one.test_truths, one.embedding, ()


@pytest.mark.slow
def test_both_arms_begin_with_the_same_labels_and_end_at_half_the_pool(texts: Path, tmp_path: Path) -> None:
    given = smoothed(pool(texts.stem, "tfidf", 0, tmp_path, texts.parent))
    ours, even = (curve(given, 3, chosen=chosen, rounds=4) for chosen in (True, False))

    assert ours.labels.tolist() == even.labels.tolist()
    assert ours.labels[-1] == len(given.truths) // 2
    assert ours.accuracy[0] == even.accuracy[0]
    assert ours.accuracy[-1] > 0.9


@pytest.mark.parametrize("kind", noise.KINDS)
def test_planted_wrong_labels_are_as_many_as_said(kind: str) -> None:
    rng = np.random.default_rng(2)
    truths = rng.integers(0, 3, 400)
    given, aimed = noise.spoil(truths, rng.dirichlet([1.0, 1.0, 1.0], 400), rng.integers(0, 5, 400), kind, rng)

    assert len(aimed) == 20
    assert (given != truths).sum() == 60
    assert (given[aimed] != truths[aimed]).all()


@pytest.mark.slow
def test_every_command_measures_texts_of_ones_own(texts: Path, tmp_path: Path) -> None:
    places = ["--data", str(texts), "--quick", "--models", "tfidf", "--work", str(tmp_path / "work")]
    out = tmp_path / "results.json"
    for command in (["labels-needed", "--out", str(out)], ["coverage", "--out", str(out)], ["noise"]):
        ran = CliRunner().invoke(app, [command[0], *places, *command[1:]], catch_exceptions=False)
        assert ran.exit_code == 0, ran.output
    loop = read_results(out).loop
    assert loop is not None
    found = loop.needed["topics/tfidf"]

    assert len(found.shares) == len(found.against_plain) == 1
    assert 0.0 < found.shares[0] <= NEVER
    assert loop.coverage["topics/tfidf"].simulations == 10
    assert sum("topics/tfidf" in line for line in loop_section(loop)) == 2
