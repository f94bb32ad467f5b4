"""Deliveries: the outbox between alerts and their receivers, a table, so that a killed process loses none of them.

An event is written with the change that it tells of (`announce`), then sorted into a delivery per receiver (`sort`) by
a server: only servers know their receivers. A delivery is `pending` until it is `delivered`, or `dead` when it was
given up. Several processes share the work: each claims what it sends for `LEASE_SECONDS`, and what a dead one had
claimed is due again after that, so a receiver gets everything at least once, under one `key` each time. Of one alert a
receiver hears in the order in which things happened.
Before: `alerts`; after: `webhook`, `tidegate alerts deliveries`. Limits: 1,000 ended ones are kept, dead ones a week.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, case, delete, exists, func, insert, or_, select, update

from monitoring.receivers import Receiver
from tidegate.errors import ItemNotFound
from tidegate.store import deliveries as table

State = Literal["new", "pending", "delivered", "dead"]
STATES: tuple[State, ...] = ("new", "pending", "delivered", "dead")
LEASE_SECONDS = 60.0  # several times what one try takes at most
KEEP_ENDED = 1_000
KEEP_DEAD_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one receiver; times are Unix seconds.

    Attributes:
        key: the same at each try, and nobody else's: receivers know by it what they have had.
        event, document: what happened, and the alert as it was then; for a follower the latest.
        receiver: its name, which holds no secret; empty for an event that is not sorted yet.
        attempts: tries begun.
        error: why the last one failed; empty when it did not.
    """

    id: int
    key: str
    alert_id: int
    event: str
    document: dict[str, Any]
    receiver: str
    state: State
    attempts: int
    created_at: float
    due_at: float
    leased_until: float | None
    ended_at: float | None
    error: str


_COLUMNS = [table.c[field.name] for field in fields(Delivery)]


def announce(connection: Connection, alert_id: int, event: str, document: dict[str, Any], at: float) -> None:
    """Write an event for whoever listens, in the transaction of the change that it tells of."""
    _add(connection, [""], "new", alert_id, event, document, at)


def sort(database: Engine, receivers: Collection[Receiver], at: float) -> int:
    """Give each new event to each receiver; without receivers it is nobody's and goes. Several processes may call it.

    A receiver that follows an alert (see `Receiver.follows`) has one delivery per alert: an event goes into it, and
    makes it due.

    Returns:
        How many events were sorted.
    """
    done = 0
    with database.connect() as connection:
        events = [_delivery(row) for row in connection.execute(_all("new"))]
    for event in events:
        with database.begin() as connection:
            if not connection.execute(delete(table).where(table.c.id == event.id)).rowcount:
                continue  # another process was here first
            done += 1
            due_again = {r.name for r in receivers if r.follows and _due_again(connection, r.name, event, at)}
            names = [receiver.name for receiver in receivers if receiver.name not in due_again]
            _add(connection, names, "pending", event.alert_id, event.event, event.document, event.created_at)
    return done


def claim(database: Engine, receiver: str, at: float) -> Delivery | None:
    """Take the receiver's next due delivery for `LEASE_SECONDS`; None when nothing is due, or another was faster."""
    earlier = table.alias()
    waits = exists().where(
        earlier.c.alert_id == table.c.alert_id,
        earlier.c.receiver == table.c.receiver,
        earlier.c.state == "pending",
        earlier.c.id < table.c.id,
    )
    free = or_(table.c.leased_until.is_(None), table.c.leased_until <= at)
    due = (table.c.state == "pending", table.c.receiver == receiver, table.c.due_at <= at, free)
    query = select(*_COLUMNS).where(*due, ~waits).order_by(table.c.due_at, table.c.id).limit(1)
    with database.connect() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    taken = {"attempts": row.attempts + 1, "leased_until": at + LEASE_SECONDS}
    mine = (table.c.id == row.id, *due, table.c.attempts == row.attempts)
    with database.begin() as connection:
        if not connection.execute(update(table).where(*mine).values(**taken)).rowcount:
            return None
    return Delivery(**(dict(row._mapping) | taken))


def delivered(database: Engine, delivery: Delivery, at: float) -> None:
    """The receiver has it."""
    _end(database, delivery, {"state": "delivered", "ended_at": at, "error": ""})


def put_off(database: Engine, delivery: Delivery, due_at: float, error: str) -> None:
    """This try failed; the next one is due at a time."""
    _end(database, delivery, {"due_at": due_at, "error": error})


def give_up(database: Engine, delivery: Delivery, at: float, error: str) -> None:
    """No further try is worth it: it is dead until somebody has it tried again."""
    _end(database, delivery, {"state": "dead", "ended_at": at, "error": error})


def repeat(database: Engine, delivery: Delivery, due_at: float) -> None:
    """A follower heard how the alert stands: it is told again at a time, or at once if something happened meanwhile."""
    mine = (table.c.id == delivery.id, table.c.leased_until == delivery.leased_until)
    at_once = table.c.event != delivery.event
    with database.begin() as connection:
        connection.execute(
            update(table)
            .where(*mine)
            .values(attempts=0, leased_until=None, error="", due_at=case((at_once, table.c.due_at), else_=due_at))
        )


def retry(database: Engine, delivery_id: int | None, at: float) -> int:
    """Make a dead delivery due again, or with None all of them; returns how many.

    Raises:
        ItemNotFound: no dead delivery with that id.
    """
    dead = [table.c.state == "dead"]
    if delivery_id is not None:
        dead.append(table.c.id == delivery_id)
    again = {"state": "pending", "due_at": at, "attempts": 0, "leased_until": None, "ended_at": None}
    found = 0
    if delivery_id is None or abs(delivery_id) < 2**31:  # more than PostgreSQL's integers hold
        with database.begin() as connection:
            found = connection.execute(update(table).where(*dead).values(**again)).rowcount
    if delivery_id is not None and not found:
        raise ItemNotFound(f"no dead delivery {delivery_id}; `tidegate alerts deliveries --state dead` shows them")
    return found


def list_deliveries(database: Engine, state: State | None = None) -> list[Delivery]:
    """Deliveries, newest first: all, or those in a state."""
    with database.connect() as connection:
        return [_delivery(row) for row in connection.execute(_all(state))][::-1]


def counts(connection: Connection) -> dict[str, int]:
    """Deliveries per state, zeros too."""
    rows = connection.execute(select(table.c.state, func.count()).group_by(table.c.state))
    return dict.fromkeys(STATES, 0) | {row[0]: row[1] for row in rows}


def tidy(database: Engine, receivers: Collection[Receiver], at: float) -> None:
    """Give up what waits for a receiver that is not set any more; forget what ended long ago."""
    strays = (table.c.state == "pending", table.c.receiver.not_in([receiver.name for receiver in receivers]))
    error = "webhook_url no longer names this receiver"
    with database.begin() as connection:
        connection.execute(
            update(table).where(*strays).values(state="dead", ended_at=at, error=error, leased_until=None)
        )
        for state in ("delivered", "dead"):
            newest_first = (table.c.ended_at.desc(), table.c.id.desc())
            old = select(table.c.id).where(table.c.state == state).order_by(*newest_first).offset(KEEP_ENDED).subquery()
            connection.execute(delete(table).where(table.c.id.in_(select(old.c.id))))
        late = (table.c.state == "dead", table.c.ended_at < at - KEEP_DEAD_SECONDS)
        connection.execute(delete(table).where(*late))


def _all(state: State | None) -> Any:
    query = select(*_COLUMNS).order_by(table.c.id)
    return query if state is None else query.where(table.c.state == state)


def _add(
    connection: Connection,
    receivers: Collection[str],
    state: State,
    alert_id: int,
    event: str,
    document: dict[str, Any],
    at: float,
) -> None:
    values = {"alert_id": alert_id, "event": event, "document": document, "state": state, "attempts": 0, "error": ""}
    times = {"created_at": at, "due_at": at}
    for receiver in receivers:
        connection.execute(insert(table).values(**values, **times, receiver=receiver, key=uuid.uuid4().hex))


def _due_again(connection: Connection, receiver: str, event: Delivery, at: float) -> bool:
    """Whether a receiver follows the alert already; if so its delivery is due, whatever it waited for."""
    same = (table.c.alert_id == event.alert_id, table.c.receiver == receiver, table.c.state == "pending")
    again = {"due_at": at, "attempts": 0, "event": event.event, "document": event.document}
    return bool(connection.execute(update(table).where(*same).values(**again)).rowcount)


def _end(database: Engine, delivery: Delivery, values: dict[str, Any]) -> None:
    """Write how a try ended, unless another process has taken the delivery over meanwhile."""
    mine = (table.c.id == delivery.id, table.c.leased_until == delivery.leased_until)
    with database.begin() as connection:
        connection.execute(update(table).where(*mine).values(leased_until=None, **values))


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**row._mapping)
