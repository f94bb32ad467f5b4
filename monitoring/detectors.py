"""Detectors: the alarm's state of each model version, in the state database with the windows that led to it.

Read and written in the transaction that closes a window, by whichever process closes it; so it is never ahead of the
windows nor behind them, and a restart goes on where the last close was. Before: `alarm`; after: `closing`, `alerts`.
"""

from sqlalchemy import Connection, delete, insert, select, update

from monitoring.alarm import Detector
from monitoring.summary import Summary
from tidegate.store import detectors as table


def read(connection: Connection, key: tuple[str, int], width: int) -> tuple[Detector, float | None]:
    """The state of a model version, and when its last window was closed, in Unix seconds; None before the first.

    A window of another width belongs to another reference, and is forgotten.
    """
    found = connection.execute(select(table).where(table.c.model == key[0], table.c.version == key[1])).one_or_none()
    if found is None:
        return Detector(), None
    recent, slow = (None if sums is None else Summary.from_bytes(sums) for sums in (found.recent, found.slow))
    detector = Detector.load(found.document, recent, slow)
    if slow is not None and len(slow.sums) != width:
        detector = detector.renewed()
    return detector, float(found.closed_at)


def write(connection: Connection, key: tuple[str, int], detector: Detector, closed_at: float) -> None:
    """Replace the state of a model version."""
    connection.execute(delete(table).where(table.c.model == key[0], table.c.version == key[1]))
    recent, slow = (
        None if memory.summary is None else memory.summary.to_bytes() for memory in (detector.recent, detector.slow)
    )
    connection.execute(
        insert(table).values(
            model=key[0],
            version=key[1],
            closed_at=closed_at,
            document=detector.document(),
            recent=recent,
            slow=slow,
        )
    )


def renew(connection: Connection, key: tuple[str, int]) -> None:
    """Forget what has drifted so far, as somebody has seen to it; else the slow window would find it for long after."""
    of_key = (table.c.model == key[0], table.c.version == key[1])
    document = connection.scalar(select(table.c.document).where(*of_key))
    if document is not None:
        fresh = Detector.load(document, None, None).renewed()
        connection.execute(update(table).where(*of_key).values(document=fresh.document(), recent=None, slow=None))
