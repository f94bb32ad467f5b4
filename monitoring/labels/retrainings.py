"""Retrainings: what each has done, step by step, so that one that was killed goes on where it was.

A row a retraining: `running` until it ends as `canary`, `promoted`, `refused` or `failed`. A step is written down when
it is done; what it did can be found again by whoever does it anew (a data set by its digest, a run by its tag, a bundle
by its lineage), so a kill between doing and writing costs nothing either.
Before: `tidegate retrain` and `tidegate loop`; after: their lists.
"""

import uuid
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine, insert, select, update

from monitoring.tables import clean, turn
from tidegate.store import retrainings as table

State = Literal["running", "canary", "promoted", "refused", "failed"]
RUNNING: State = "running"
FAILED: State = "failed"
BEGUN = "begin"


@dataclass(frozen=True, slots=True)
class Retraining:
    """One retraining.

    Attributes:
        step: the last that is done.
        run: what was trained; version: the bundle that was exported from it.
        detail: token (its tag in MLflow), live (the version that answered), steps (by name, what each found), and why
            it ended.
    """

    id: int
    model: str
    state: State
    step: str
    data_set: int | None
    parent_run: str
    run: str
    version: int | None
    started_at: float
    updated_at: float
    ended_at: float | None
    detail: dict[str, Any]

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """What each step that is done has found."""
        found: dict[str, dict[str, Any]] = self.detail["steps"]
        return found


def begin(database: Engine, model: str, live: int, at: float, loop: str = "") -> Retraining:
    """Go on with the model's retraining that is running, or begin one; a loop goes on, too, where it failed.

    Args:
        database: the state database.
        model: which.
        live: the version that answers now.
        at: Unix time in seconds.
        loop: what names a simulated loop; empty for none.
    """
    with turn(database) as connection:
        newest = select(table).where(table.c.model == model).order_by(table.c.id.desc()).limit(1)
        row = connection.execute(newest).one_or_none()
        if row is not None and row.state == FAILED and loop and row.detail.get("loop") == loop:
            connection.execute(update(table).where(table.c.id == row.id).values(state=RUNNING, ended_at=None))
        elif row is None or row.state != RUNNING:
            values = {"model": model, "state": RUNNING, "step": BEGUN, "started_at": at, "updated_at": at}
            detail = clean({"token": uuid.uuid4().hex, "steps": {}, "loop": loop, "live": live})
            connection.execute(insert(table).values(**values, detail=detail))
        return Retraining(**connection.execute(newest).one()._mapping)


def advance(
    database: Engine, retraining: Retraining, step: str, at: float, found: dict[str, Any], **columns: Any
) -> Retraining:
    """Write down that a step is done, and what it found; `columns` are those of the row that it fills."""
    detail = retraining.detail | {"steps": retraining.steps | {step: clean(found)}}
    return _write(database, retraining.id, step=step, updated_at=at, detail=detail, **columns)


def end(database: Engine, retraining: Retraining, state: State, at: float, why: str = "") -> Retraining:
    """Write down how it ended."""
    detail = retraining.detail | ({"why": clean(why)} if why else {})
    return _write(database, retraining.id, state=state, updated_at=at, ended_at=at, detail=detail)


def list_retrainings(database: Engine, model: str | None = None) -> list[Retraining]:
    """Retrainings of one model or all, newest first."""
    query = select(table).order_by(table.c.id.desc())
    if model is not None:
        query = query.where(table.c.model == model)
    with database.connect() as connection:
        return [Retraining(**row._mapping) for row in connection.execute(query)]


def _write(database: Engine, retraining_id: int, **values: Any) -> Retraining:
    with database.begin() as connection:
        connection.execute(update(table).where(table.c.id == retraining_id).values(**values))
        row = connection.execute(select(table).where(table.c.id == retraining_id)).one()
    return Retraining(**row._mapping)
