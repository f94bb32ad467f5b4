"""Doubts: labels on their way into a data set that are likely wrong go to one more annotator first.

The quality check judges the labels that no data set holds yet, by the rows that the live version learned from and by
each other. Texts whose words those rows hardly know are judged by each other alone, for where the world has changed
neither the rows nor the model's answers tell what is right. What is suspected becomes disputed; a batch of which too
much is in doubt, asked again or still to be answered, is not learned from at all.
Before: accepted items; after: `answers.doubt`, then `data_sets`. Limits: two people who agree are believed; where a
model has one annotator alone, doubts wait for a second one; a few hundred strange texts hardly tell their wrong labels.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, func, select

from monitoring.labels.answers import Allowed, doubt
from monitoring.labels.data_sets import labelled
from monitoring.labels.items import DISPUTED, IN_DATA_SET
from monitoring.labels.mixing import Labelled
from monitoring.labels.mixing import Row as Example
from monitoring.labels.quality import Given, audit
from monitoring.tables import turn
from tidegate.errors import UsageError
from tidegate.store import relabel_items as table

# Of headlines with right labels 0 to 5 % are doubted, of those with 15 % wrong ones 8 to 19 % (tests, four seeds).
MOST_DOUBTED = 0.1
LEAST_LABELS = 20  # of a batch; of fewer, a single suspect would be too much
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Doubts:
    """What a check came to.

    Attributes:
        judged: labels that no data set holds yet.
        suspects: of them, likely wrong; asked: of these, given to one more annotator now.
        waiting: doubted now or before, and not settled.
    """

    judged: int
    suspects: int
    asked: int
    waiting: int

    @property
    def share(self) -> float:
        """Of the batch, what is in doubt."""
        return self.waiting / max(self.judged - self.asked + self.waiting, 1)

    @property
    def too_many(self) -> bool:
        """Whether nothing should be learned from this batch yet."""
        return self.judged >= LEAST_LABELS and self.share > MOST_DOUBTED


def doubt_labels(
    database: Engine, model: str, trusted: Sequence[Example], allowed: Allowed, step: Callable[[], None] = lambda: None
) -> Doubts:
    """Judge the labels that are to be learned from next, and ask one more person about suspects.

    Args:
        database: the state database.
        model: whose labels.
        trusted: rows that the live version learned from.
        allowed: model and version to labels, in the order of the items' probabilities.
        step: called after each model that is trained on the way.
    """
    with database.connect() as connection:
        rows = {row.id: row for row in connection.execute(select(table).where(table.c.model == model))}
        batch = [item for item in labelled(connection, model) if rows[item.id].state != IN_DATA_SET]
    known = familiar([item.text for item in batch], [text for text, _ in trusted])
    suspects: dict[str, str] = {}
    for usual in (True, False):
        part = [item for item, is_known in zip(batch, known, strict=True) if is_known is usual]
        answered = [_answered(rows[item.id], allowed) if usual else None for item in part]
        suspects |= _judge(part, answered, trusted if usual else (), step)
    with turn(database) as connection:
        asked = sum(doubt(connection, item_id, why) for item_id, why in suspects.items())
        open_doubts = (table.c.model == model, table.c.state == DISPUTED, table.c.doubt != "")
        waiting = connection.scalar(select(func.count()).where(*open_doubts)) or 0
    return Doubts(len(batch), len(suspects), asked, int(waiting))


def familiar(texts: Sequence[str], trusted: Sequence[str]) -> list[bool]:
    """Whether most words of each text are known from the trusted ones, as they are of three in four of those."""
    words = [frozenset(_WORD.findall(text.casefold())) for text in (*trusted, *texts)]
    counts = Counter(word for each in words[: len(trusted)] for word in each)
    own = sorted(_share(each, counts, 2) for each in words[: len(trusted)])  # its own occurrence does not count
    least = own[len(own) // 4] if own else 1.0
    return [bool(own) and _share(each, counts, 1) >= least for each in words[len(trusted) :]]


def _share(words: frozenset[str], counts: Mapping[str, int], least: int) -> float:
    return sum(counts.get(word, 0) >= least for word in words) / max(len(words), 1)


def _answered(row: Row[Any], allowed: Allowed) -> dict[str, float]:
    """What the model answered, by class; the fallback label, which `allowed` may end with, has no probability."""
    return dict(zip(allowed(row.model, row.version), row.scores, strict=False))


def _judge(
    part: Sequence[Labelled],
    answered: Sequence[Mapping[str, float] | None],
    trusted: Sequence[Example],
    step: Callable[[], None],
) -> dict[str, str]:
    """Item id to what speaks against its label."""
    given = [
        Given(item.text, item.label, item.annotator, served=served) for item, served in zip(part, answered, strict=True)
    ]
    try:
        found = audit([*given, *(Given(text, label, trusted=True) for text, label in trusted)], step=step)
    except UsageError:  # too few to learn anything from; so few are not stopped either
        return {}
    return {part[each.row].id: "; ".join(each.why) for each in found.suspects}
