"""The simulated half of `tidegate loop`: traffic, and annotators who claim and answer as people do.

Traffic is one day that ends when the loop began, answered by the live version in this process and written as a server
writes it, so drift, alerts and random draws are the real ones. Annotators hold leases and err by a hash of their name,
the text and the seed: the same wherever the loop was stopped. Answers that need not be given are skipped.
Before: `loop`; after: the steps of `retraining`.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.cli import console
from tidegate.cli.retraining import Step, Work
from tidegate.cli.retraining_steps import answers, doubt_labels
from tidegate.errors import UsageError

if TYPE_CHECKING:
    from monitoring.labels.items import Item
    from tidegate.bundle import Manifest
    from tidegate.records import Record

Row = tuple[str, str]

DAY_SECONDS = 86_400.0
AT_ONCE = 100  # texts a request
CLAIMED_AT_ONCE = 20  # items that an annotator holds
RANDOM_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is simulated.

    Attributes:
        truth: distinct texts with their right labels, in the order in which they are sent.
        annotators: how many people.
        noise: share of answers that are wrong.
        labels: texts to put on the queue.
        seed: of the mistakes.
    """

    truth: Sequence[Row]
    annotators: int
    noise: float
    labels: int
    seed: int

    def steps(self) -> tuple[tuple[str, Step], ...]:
        """What comes before the steps of a retraining."""
        return (
            ("send", self.send),
            ("queue", self.queue),
            ("label", self.label),
            ("doubt", self.doubt),
            ("settle", self.label),
        )

    def send(self, work: Work) -> dict[str, Any]:
        """A day of traffic, from where it was left; what monitoring made of it."""
        from rich.progress import Progress

        from monitoring.alerts import list_alerts

        sent = _sent(work)
        with Progress(console=console.messages, transient=True) as progress:
            task = progress.add_task("sending", total=len(self.truth), completed=sent)
            write = _writer(work, self)
            for start in range(sent, len(self.truth), AT_ONCE):
                write(start, [text for text, _ in self.truth[start : start + AT_ONCE]])
                progress.advance(task, AT_ONCE)
        unresolved = [a for a in list_alerts(work.database, work.model) if a.state != "resolved"]
        for alert in unresolved:
            console.say(f"    alert {alert.id}: {alert.message}")
        return {"sent": len(self.truth), "alerts": [alert.id for alert in unresolved]}

    def queue(self, work: Work) -> dict[str, Any]:
        """What alerts and chance did not queue up to the budget, by selection from the windows that drifted most."""
        from sqlalchemy import select

        from monitoring.labels.items import list_items
        from monitoring.labels.selection import enqueue_drifted
        from monitoring.tables import turn
        from tidegate.store import windows

        missing = self.labels - len(list_items(work.database, model=work.model))
        version = work.retraining.detail["live"]
        of_version = (windows.c.model == work.model, windows.c.version == version)
        with turn(work.database) as connection:
            ids = (
                connection.execute(select(windows.c.id).where(*of_version).order_by(windows.c.id.desc()))
                .scalars()
                .all()
            )
            share = work.settings.relabel_double_share
            added = enqueue_drifted(connection, ids, max(missing, 0), time.time(), double_share=share) if ids else 0
        return {"added": added, "items": len(list_items(work.database, model=work.model))}

    def label(self, work: Work) -> dict[str, Any]:
        """Everybody claims and answers until nothing is left for them."""
        from rich.progress import Progress

        from monitoring.labels.items import digest, stats

        truth = {digest(text): label for text, label in self.truth}
        given, busy = 0, [f"simulated-{number}" for number in range(1, self.annotators + 1)]
        with Progress(console=console.messages, transient=True) as progress:
            task = progress.add_task("labelling", total=None)
            while busy:
                for who in tuple(busy):
                    answered = self._work_through(work, who, truth)
                    progress.advance(task, answered)
                    given += answered
                    if not answered:
                        busy.remove(who)
        states: dict[str, int] = {}
        for row in stats(work.database, work.model):
            states[row["state"]] = states.get(row["state"], 0) + row["items"]
        return {"answers": given, **states}

    def doubt(self, work: Work) -> dict[str, Any]:
        """Labels that are likely wrong are to be answered once more."""
        if not work.options.quality:
            return {"checked": False}
        found = doubt_labels(work)
        return {"judged": found.judged, "asked again": found.asked}

    def _work_through(self, work: Work, who: str, truth: Mapping[str, str]) -> int:
        """One person's next items: claimed, looked at, answered; how many."""
        from monitoring.labels.answers import answer
        from monitoring.labels.claims import claim
        from monitoring.labels.known import KnownLabels
        from monitoring.tables import turn

        known = KnownLabels(work.bundles)
        with turn(work.database) as connection:
            held = claim(connection, work.model, who, time.time(), most=CLAIMED_AT_ONCE)
        with turn(work.database) as connection:
            for item in held:
                labels = known(item.model, item.version)
                verdict, label = self._says(who, item, truth, labels)
                answer(connection, item.id, who, verdict, label, time.time(), known, "simulated")
        return len(held)

    def _says(self, who: str, item: "Item", truth: Mapping[str, str], labels: Sequence[str]) -> tuple[Any, str | None]:
        """Verdict and label of a person who is wrong now and then."""
        from monitoring.labels.items import digest

        text = digest(item.text)
        right = truth.get(text)
        if right is None:
            return "skip", None
        if right not in labels:
            return "none", None
        luck = hashlib.sha256(f"{self.seed}\0{who}\0{text}".encode()).digest()
        others = [label for label in labels if label != right]
        if int.from_bytes(luck[:6]) / 2.0**48 >= self.noise:
            return "label", right
        return "label", others[luck[6] % len(others)]


def read_truth(file: Path, manifest: "Manifest") -> list[Row]:
    """The distinct texts of a file with their labels.

    Raises:
        UsageError: unreadable, or none of its labels is one of the model's.
    """
    from exporters.texts import read_rows
    from monitoring.labels.items import digest

    rows = read_rows(file)
    distinct = list({digest(text): (text, label) for text, label in reversed(rows)}.values())[::-1]
    known = sum(label in manifest.labels for _, label in distinct)
    if not known:
        raise UsageError(f"no label of {file} is one of {manifest.name}'s: {', '.join(manifest.labels)}")
    if known < len(distinct):
        console.say(f"{len(distinct) - known} of {len(distinct)} texts are no case for {manifest.name}'s labels")
    return distinct


def key_of(truth: Sequence[Row], seed: int) -> str:
    """Names a loop: the same for the same texts, labels and seed."""
    hashed = hashlib.sha256(str(seed).encode())
    for text, label in truth:
        hashed.update(f"\0{text}\0{label}".encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()[:16]


def summary(work: Work, truth: Sequence[Row]) -> dict[str, Any]:
    """What the loop came to, with both versions' accuracy on the texts that nobody was asked about."""
    from dataclasses import asdict

    from monitoring.labels.items import digest, list_items

    done = work.retraining
    asked = {digest(item.text) for item in list_items(work.database, model=work.model)}
    rest = [row for row in truth if digest(row[0]) not in asked]
    live, new = (work.bundles.load(work.model, version) for version in (done.detail["live"], done.version or 0))
    before, after = (_accuracy(work, bundle, rest) for bundle in (live, new))
    found: dict[str, Any] = {"retraining": asdict(done), "unasked": {"rows": len(rest), "live": before, "new": after}}
    found["told"] = [
        f"{work.model}: version {live.manifest.version} -> {new.manifest.version}, {done.state}, by "
        f"{done.steps['build_data_set']['labels']} labels in data set {done.data_set}",
        *([f"on the {len(rest)} texts that nobody was asked about: {before:.1%} -> {after:.1%}"] if rest else []),
        f"took {done.updated_at - done.started_at:.0f} s: "
        + ", ".join(f"{name} {step['seconds']:.1f}" for name, step in done.steps.items()),
    ]
    return found


def _accuracy(work: Work, bundle: Any, rows: Sequence[Row]) -> float:
    given = answers(work.settings, bundle, rows) if rows else []
    return sum(one == label for one, (_, label) in zip(given, rows, strict=True)) / max(len(rows), 1)


def _sent(work: Work) -> int:
    """How many texts of this loop are written; whole requests, each in one transaction."""
    from sqlalchemy import func, select

    from tidegate.store import records

    ours = records.c.id.startswith(f"{work.retraining.detail['token']}-", autoescape=True)
    with work.database.connect() as connection:
        last = connection.scalar(select(func.max(records.c.id)).where(ours))
    return 0 if last is None else int(last.rpartition("-")[2]) + 1


def _writer(work: Work, simulation: Simulation) -> Any:
    """A function that answers texts by the live version and writes them with the time at which they would have come."""
    from prometheus_client import CollectorRegistry

    from monitoring.metrics import MonitoringMetrics
    from monitoring.reference import References
    from monitoring.writer import Writer
    from tidegate.cli.answering import Answering

    size, began = len(simulation.truth), work.retraining.started_at - DAY_SECONDS
    budget = round(RANDOM_SHARE * simulation.labels)
    settings = work.settings.model_copy(
        update={
            "relabel_per_alert": simulation.labels - budget,
            "random_labels_per_day": budget,
            "keep_records": max(work.settings.keep_records, size),
            "window_spacing_seconds": 0.0,
        }
    )
    now = [began]
    metrics = MonitoringMetrics(CollectorRegistry(), lambda: now[0])
    writer = Writer(work.database, References(work.bundles), settings, metrics, lambda: now[0])
    writer.resume()
    answer = Answering(work.settings, work.bundles.load(work.model, work.retraining.detail["live"]))
    token = work.retraining.detail["token"]

    def write(start: int, texts: Sequence[str]) -> "Sequence[Record]":
        now[0] = began + DAY_SECONDS * (start + len(texts)) / size
        ids = [f"{token}-{start + place:07d}" for place in range(len(texts))]
        found = answer(ids, texts, now[0])
        writer.write(found)
        if start + len(texts) == size:
            writer.finish()
        return found

    return write
