"""The views `/dashboard/relabel` and `/dashboard/models/{model}/relabel`: the queue, who labels it, and what for.

Before: `tidegate.annotation.Desk`, asked in a thread; after: `page`. What is costly may be minutes old. Texts of
disputed items are shown, as everywhere for keys that may annotate. Limits: the parts that tell accuracy and labels
saved are of the newest version that has labels.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool

from demos.dashboard.content import Cell, Figure, Link, Mark, Markup, Number, Page, Section, Table, text
from demos.dashboard.models import MODELS
from demos.dashboard.plots import Series, lines
from demos.dashboard.relabel_outcome import data_sets, gates, worth
from demos.dashboard.relabel_people import disputed, people
from demos.dashboard.visit import Visit
from tidegate.annotation import Document
from tidegate.moments import moment

_QUEUES = Link("Relabel", "/dashboard/relabel")
# In the order in which an item goes through them.
_STATES = ("new", "claimed", "labelled", "disputed", "accepted", "in_data_set", "discarded")
_WAITING = ("new", "claimed", "labelled", "disputed")
_SLOTS = ("random", "margin", "diverse", "witness", "reported", "drift", "gold")
_MEANINGS = (
    "random: drawn blindly, tells the true accuracy; margin: the model is unsure; diverse: unlike the rest; witness: "
    "pulls traffic away from the reference; reported: by callers, or two versions differ; drift: explains an alert; "
    "gold: tests annotators. New, claimed, labelled and disputed items wait for people; a labelled one has an answer "
    "and wants another person's."
)
_PLACE = {slot: place for place, slot in enumerate(_SLOTS)}
_NO_QUEUE = (
    "Items come by themselves as traffic does: a daily budget (TIDEGATE_RELABEL_PER_DAY), drift alerts, and callers "
    "who report a wrong label."
)


async def all_queues(visit: Visit) -> Page:
    """Every model's queue in a line."""
    desk = visit.gateway.desk
    queues = {queue["model"]: queue for queue in await run_in_threadpool(desk.queues)} if desk else {}
    names = [name for name in visit.gateway.repository.states if visit.gateway.bundles.task(name) != "embedding"]
    now = time.time()
    rows = [_queue_row(name, queues.get(name, {}), now) for name in sorted({*names, *queues})]
    columns = ["model", "waiting", "oldest waits", "disputed", "labelled in 7 days", "labels agreed", "label"]
    table = Table(
        "queues", "Queues", columns, rows, empty="No model has labels yet; `tidegate up RUN` exports and serves one."
    )
    waiting = sum(queue["waiting"] for queue in queues.values())
    week = sum(queue["labelled_this_week"] for queue in queues.values())
    lead = f"{waiting:,} {_items(waiting)} for people; {week:,} answers in the last seven days."
    return Page("Relabel", lead, [Section("", [table], lead=_NO_QUEUE if not queues else "")])


async def one_queue(visit: Visit) -> Page:
    """A model's queue: how deep, how it goes, who labels how well, what is disputed, and what became of labels.

    Raises:
        ModelNotFound: it is not served.
    """
    model = visit.path["model"]
    visit.gateway.repository.state(model)
    crumbs = [MODELS, Link(model, f"/dashboard/models/{model}"), _QUEUES]
    title = f"{model}: relabel"
    if visit.gateway.bundles.task(model) == "embedding":
        return Page(title, "It answers vectors, and nobody labels those.", [], crumbs, model=model)
    if visit.gateway.desk is None:
        return Page(title, "This server has no relabel queue.", [], crumbs, model=model)
    told = await run_in_threadpool(visit.gateway.desk.stats, model)
    sections = [
        _queue(told, visit.gateway.settings.root_path),
        _progress(told["days"]),
        worth(told["worth"]),
        people(told),
        disputed(told["disputed"]),
        Section("From labels to a model", [data_sets(told["data_sets"]), gates(model, told["retrainings"])]),
    ]
    return Page(title, _lead(told, time.time()), sections, crumbs, model=model)


def _queue_row(model: str, queue: Mapping[str, Any], now: float) -> list[Cell]:
    disputed = queue.get("disputed", 0)
    return [
        Link(model, f"/dashboard/models/{model}/relabel"),
        queue.get("waiting", 0),
        _age(queue.get("oldest_at"), now),
        Mark(str(disputed), "bad") if disputed else 0,
        queue.get("labelled_this_week", 0),
        queue.get("accepted", 0),
        Link("label now", f"/relabel/{quote(model)}"),
    ]


def _lead(told: Document, now: float) -> str:
    waiting = _count(told["items"], lambda row: row["state"] in _WAITING and row["slot"] != "gold")
    if not told["items"]:
        return f"Nothing was queued yet. {_NO_QUEUE}"
    oldest = f"; the oldest has waited {_ago(now - told['oldest_at'])}" if told["oldest_at"] else ""
    today = told["days"][-1]["labelled"]
    return f"{waiting:,} {_items(waiting)} for people{oldest}; {today:,} answered today."


def _queue(told: Document, root: str) -> Section:
    """Items by slot and state, and who holds what."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in told["items"]:
        counts[row["slot"]][row["state"]] = row["items"]
    rows: list[list[Cell]] = [
        [slot, *(states.get(state, 0) for state in _STATES)]
        for slot, states in sorted(
            counts.items(), key=lambda each: list(_SLOTS).index(each[0]) if each[0] in _SLOTS else 99
        )
    ]
    if len(rows) > 1:
        rows.append(["all", *(sum(states.get(state, 0) for states in counts.values()) for state in _STATES)])
    columns = ["slot", *(state.replace("_", " ") for state in _STATES)]
    table = Table(
        "queue", "Items by slot and state", columns, rows, empty="Nothing was queued yet.",
        note=_MEANINGS,
    )  # fmt: skip
    held = [[one["annotator"] or "-", one["items"], moment(one["until"])] for one in told["leases"]]
    leases = Table(
        "leases", "On somebody's screen", ["annotator", "items", "first lease ends"], held,
        empty="Nobody has an item on the screen.",
    )  # fmt: skip
    at = text(f"{root}/relabel/{quote(told['model'])}")
    return Section("Queue", [Markup(f'<p><a class="do" href="{at}">Label now</a></p>'), table, leases])


def _progress(days: Sequence[Document]) -> Section:
    """What came and what people answered, by day."""
    ago = [float(place - len(days) + 1) for place in range(len(days))]
    series = [
        Series("answers", ago, [float(day["labelled"]) for day in days]),
        Series("queued", ago, [float(day["queued"]) for day in days]),
    ]
    summed = [Series(one.name, ago, list(accumulate(one.ys))) for one in series]
    rows = [[day["day"], day["labelled"], day["queued"]] for day in reversed(days) if day["labelled"] or day["queued"]]
    table = Table(
        "days", "By day, of the last 30", ["day", "answers", "queued"], rows,
        empty="Nothing was queued or answered in the last 30 days.",
    )  # fmt: skip
    if not rows:
        return Section("Progress", [table])
    figures = [
        Figure(title, lines(title, drawn, "days ago (0: today)", "items", from_zero=True))
        for title, drawn in (("Answers and new items, each day", series), ("The same, added up", summed))
    ]
    return Section("Progress", [*figures, table])


def _count(items: Sequence[Document], chosen: Callable[[Document], bool]) -> int:
    return sum(row["items"] for row in items if chosen(row))


def _items(count: int) -> str:
    return "item waits" if count == 1 else "items wait"


def _age(at: float | None, now: float) -> Cell:
    return None if at is None else Number(round(now - at), _ago(now - at))


def _ago(seconds: float) -> str:
    """A duration in its largest unit."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"
