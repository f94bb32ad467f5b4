"""Slots: fills the daily budget of the relabel queue from recent predictions, a few at a time.

Once a window of a model has closed, and a minute after the last time at the earliest: what the budget leaves is divided
among the slots, candidates are read and picked outside the writers' turn, and within a turn, where the budget is read
again, what it still allows goes on the queue. So several workers may do this at once and spend it once.
No caller with a key takes more than its cap, of which others get the rest later; versions' disagreements come from
serving, and are forgotten where nobody asks for them soon. Before: `writer`; after: `relabel`.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence

import numpy as np
from sqlalchemy import Connection, Engine, select

from monitoring.labels import budget, candidates, picks, relabel
from monitoring.labels.budget import Budget, Spent
from monitoring.labels.picks import Pool
from monitoring.labels.policies import Pick
from monitoring.tables import turn
from tidegate.settings import Settings
from tidegate.store import records

EVERY_SECONDS = 60.0
MOST_DISPUTED = 1_000  # that wait for a selection, of all models


class Slots:
    """One in each process; `disagreed` may be called from any thread, the rest from one."""

    def __init__(
        self, database: Engine, settings: Settings, clock: Callable[[], float], rng: np.random.Generator | None = None
    ) -> None:
        self._database = database
        self._settings = settings
        self._budget = Budget.of(settings)
        self._clock = clock
        self._rng = rng or np.random.default_rng()
        self._disputed: deque[tuple[str, str]] = deque(maxlen=MOST_DISPUTED)
        self._due: set[str] = set()
        self._selected_at: dict[str, float] = {}

    def disagreed(self, model: str, ids: Sequence[str]) -> None:
        """Remember predictions that two versions of a model answered differently."""
        self._disputed.extend((model, prediction_id) for prediction_id in ids)

    def closed(self, model: str) -> None:
        """A window of the model has closed: there is something to choose from."""
        self._due.add(model)

    def select(self) -> int:
        """Fill the slots of the models that are due; returns how many items were added."""
        now = self._clock()
        ready = [model for model in self._due if abs(now - self._selected_at.get(model, -np.inf)) >= EVERY_SECONDS]
        added = 0
        for model in ready:
            self._due.discard(model)
            self._selected_at[model] = now
            added += self._select(model, now)
        return added

    def _select(self, model: str, at: float) -> int:
        with self._database.connect() as connection:
            spent = budget.read(connection, model, at)
            if not budget.left(self._budget, spent):
                return 0
            disputed = {prediction_id for name, prediction_id in list(self._disputed) if name == model}
            pool = candidates.read(connection, model, disputed, self._rng)
        if pool is None:
            return 0
        chosen = self._within_caps(pool, spent, self._choose(pool, spent))
        with turn(self._database) as connection:
            return self._enqueue(connection, model, pool, chosen, at)

    def _choose(self, pool: Pool, spent: Spent) -> list[Pick]:
        room = budget.divide(self._budget, spent, pool.slots(), self._rng)
        floor = self._settings.relabel_class_floor * (spent.day + sum(room.values()))
        lacking = [label for label in set(pool.labels) if spent.classes.get(label, 0) < floor]
        return picks.fill(pool, room, lacking, int(self._rng.integers(2**63)))

    def _within_caps(self, pool: Pool, spent: Spent, chosen: Sequence[Pick]) -> list[Pick]:
        """Without those that are too many of one caller; among few callers each may have an even part."""
        callers = {caller for caller in (*pool.callers, *spent.callers) if caller}
        share = max(self._settings.relabel_caller_cap, 1.0 / max(len(callers), 1))
        cap = max(1, int(share * self._budget.selected))
        taken = Counter(spent.callers)
        kept = []
        for pick in chosen:
            caller = pool.callers[pick.row]
            if caller and taken[caller] >= cap:
                continue
            taken[caller] += 1
            kept.append(pick)
        return kept

    def _enqueue(self, connection: Connection, model: str, pool: Pool, chosen: Sequence[Pick], at: float) -> int:
        """Queue what the budget still allows, whatever other workers have done since it was read."""
        left = budget.left(self._budget, budget.read(connection, model, at))
        ids = [pool.candidates.ids[pick.row] for pick in chosen]
        rows = {row.id: row for row in connection.execute(select(records).where(records.c.id.in_(ids)))}
        added = 0
        for pick, prediction_id in zip(chosen, ids, strict=True):
            if added == left or prediction_id not in rows:
                continue
            item_id = relabel.enqueue(
                connection,
                rows[prediction_id],
                reason=pick.slot,
                at=at,
                probability=pick.probability * pool.share,
                score=pick.score,
                double_share=self._settings.relabel_double_share,
            )
            added += item_id is not None
        return added
