"""A bad batch is asked again and never learned from alone; a good one goes through."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine

from examples.headlines import LABELS, generate
from monitoring.labels import answers, items
from monitoring.labels.doubts import Doubts, doubt_labels
from tests.monitoring.labels.queues import MODEL, put, turn
from tidegate import store

pytestmark = pytest.mark.slow

TRUSTED, BATCH = 1_200, 300


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = store.open_database(f"sqlite:///{tmp_path / 'queue.db'}")
    yield engine
    engine.dispose()


def known(_model: str, _version: int) -> Sequence[str]:
    return LABELS


def given(database: Engine, wrong: float, seed: int) -> tuple[dict[str, str], set[str]]:
    """Queue headlines and answer them, some wrongly: the true label of each item, and the items answered wrongly."""
    rng = Random(seed)
    spoiled = set(rng.sample(range(BATCH), round(wrong * BATCH)))
    truth, bad = dict[str, str](), set[str]()
    with turn(database) as connection:
        for number, (text, label) in enumerate(rows(seed)[TRUSTED:]):
            likely = label if rng.random() < 0.8 else rng.choice(LABELS)  # what a fair model would have answered
            item_id = put(connection, text, float(number), scores=[0.7 if each == likely else 0.15 for each in LABELS])
            assert item_id is not None
            truth[item_id] = said = label
            if number in spoiled:
                said = rng.choice([each for each in LABELS if each != label])
                bad.add(item_id)
            answers.answer(connection, item_id, f"a{number % 5}", "label", said, 1.0, known, "import")
    return truth, bad


def rows(seed: int) -> list[tuple[str, str]]:
    return generate(TRUSTED + BATCH, seed)


def judged(database: Engine, seed: int) -> Doubts:
    return doubt_labels(database, MODEL, rows(seed)[:TRUSTED], known)


@pytest.mark.parametrize("seed", range(4))
def test_a_bad_batch_is_not_learned_from_until_others_have_looked_at_it(database: Engine, seed: int) -> None:
    truth, bad = given(database, 0.25, seed)
    first = judged(database, seed)
    asked = {item.id for item in items.list_items(database, state="disputed")}
    for person in ("second", "third"):  # who answer right; the third only where the first two disagree
        with turn(database) as connection:
            for item in items.list_items(database, state="disputed"):
                answers.answer(connection, item.id, person, "label", truth[item.id], 2.0, known, "import")
    settled = {item.id: item for item in items.list_items(database)}

    assert first.too_many
    assert len(asked) == first.asked == first.waiting
    assert len(asked & bad) >= 0.5 * len(asked), "most doubts are right"
    assert {item.state for item in settled.values()} == {"accepted"}
    assert all(settled[item_id].label == truth[item_id] for item_id in asked)
    assert not judged(database, seed).too_many


@pytest.mark.parametrize("seed", range(4))
def test_a_good_batch_goes_through(database: Engine, seed: int) -> None:
    given(database, 0.0, seed)

    assert not judged(database, seed).too_many
