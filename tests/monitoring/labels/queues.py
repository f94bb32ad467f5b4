"""A queue on either database, filled without a model; and annotators that work it from processes of their own."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from monitoring.labels import relabel
from monitoring.tables import turn as turn
from tests import postgres
from tidegate import store

MODEL = "topics"
LABELS = ("down", "flat", "up")

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]


def allowed(_model: str, _version: int) -> Sequence[str]:
    return LABELS


@contextmanager
def database_url(kind: str, folder: Path) -> Iterator[str]:
    """Of an empty database of that kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'queue.db'}"
        return
    with postgres.server() as url:
        yield url


def fill(
    database: Engine, count: int, *, prefix: str = "text", double_share: float = 0.0, at: float = 0.0
) -> list[str]:
    """Queue distinct texts; their items' ids, in order."""
    with turn(database) as connection:
        return [str(put(connection, f"{prefix} {n}", at + n, double_share)) for n in range(count)]


def put(
    connection: Connection, text: str, at: float, double_share: float = 0.0, scores: Sequence[float] = (0.3, 0.3, 0.4)
) -> str | None:
    """Queue one text as if it had been served."""
    record: Any = SimpleNamespace(
        model=MODEL, version=1, id=f"p-{text}"[:64], text=text, label="up", score=0.4, scores=list(scores),
        window_id=None, caller="", embedding=None,
    )  # fmt: skip
    return relabel.enqueue(connection, record, reason="margin", at=at, probability=0.5, double_share=double_share)


def answers_of(database: Engine) -> list[tuple[str, str]]:
    """Item and annotator of every answer there is."""
    with database.connect() as connection:
        rows = connection.execute(select(store.annotations.c.item_id, store.annotations.c.annotator))
        return sorted((row.item_id, row.annotator) for row in rows)


_ANNOTATOR = """
import sys, time
from monitoring.labels import answers, claims
from tests.monitoring.labels.queues import MODEL, allowed, turn
from tidegate import store

url, name, ahead, holds, answered = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4] == "holds", 0
database = store.open_database(url)
while True:
    with turn(database) as connection:
        held = claims.claim(connection, MODEL, name, time.time() + ahead)
    if not held:
        break
    if holds and answered:
        print("holds", flush=True)
        time.sleep(600)
    with turn(database) as connection:
        answers.answer(connection, held[0].id, name, "label", "up", time.time(), allowed, "page")
    answered += 1
"""


def annotator(url: str, name: str, ahead_seconds: float = 0.0, *, holds: bool = False) -> "subprocess.Popen[str]":
    """A person who answers "up" to all there is, or answers one and then holds another; their clock may be ahead."""
    command = [sys.executable, "-c", _ANNOTATOR, url, name, str(ahead_seconds), "holds" if holds else "works"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
