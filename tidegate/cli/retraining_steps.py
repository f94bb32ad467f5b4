"""The steps of a retraining: from labels that people gave to a version that callers get.

    check_labels -> build_data_set -> train -> export -> gate -> deploy

A step that was done and not yet written down is found, not done again: the data set by its digest, the run by its tag,
the bundle by its lineage. Before: `retraining.carry_out` calls them; after: what each found, as a dictionary.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tidegate.aliases import CHAMPION
from tidegate.cli import console
from tidegate.cli.retraining import Step, Work
from tidegate.cli.training import Order, fetch_parent, train
from tidegate.errors import GateRefused
from tidegate.settings import Settings

if TYPE_CHECKING:
    from monitoring.labels.data_sets import Source
    from monitoring.labels.doubts import Doubts
    from tidegate.bundle import Bundle, Lineage

MIN_RANDOM = 10  # held-out random labels; fewer are told and decide nothing


def check_labels(work: Work) -> dict[str, Any]:
    """Suspects among the labels go to one more annotator; a batch with too many of them stops here."""
    from monitoring.labels.doubts import MOST_DOUBTED

    if not work.options.quality:
        return {"checked": False}
    found = doubt_labels(work)
    if found.too_many:
        raise GateRefused(
            f"{found.share:.0%} of the new labels of {work.model} are in doubt, {MOST_DOUBTED:.0%} are bearable; "
            f"{found.waiting} wait for another annotator (tidegate relabel export {work.model} --state disputed). "
            "When they are settled, run this again"
        )
    return asdict(found)


def doubt_labels(work: Work) -> "Doubts":
    """Ask one more person about labels that are likely wrong."""
    from rich.progress import Progress

    from monitoring.labels.doubts import doubt_labels
    from monitoring.labels.known import KnownLabels
    from monitoring.labels.quality_models import FOLDS

    with parent_rows(work) as source, Progress(console=console.messages, transient=True) as progress:
        trusted = [row for name in ("training", "validation") for row in source.splits.get(name, ())]
        task = progress.add_task("checking labels", total=2 * FOLDS)
        known = KnownLabels(work.bundles)
        return doubt_labels(work.database, work.model, trusted, known, lambda: progress.advance(task))


def build_data_set(work: Work) -> dict[str, Any]:
    """The parent run's rows and the accepted labels, as the next data set."""
    from monitoring.alerts import list_alerts
    from monitoring.labels.data_sets import build

    with parent_rows(work) as source:
        made = build(work.database, work.folder, work.model, source, time.time())
    unresolved = {alert.id for alert in list_alerts(work.database, work.model) if alert.state != "resolved"}
    found = {"data_set": made.number, "parent_run": made.parent_run, "digest": made.digest, "added": made.added}
    told = {name: made.detail[name] for name in ("labels", "rows", "conflicts", "left_out")}
    return found | told | {"alerts": sorted(unresolved | set(made.detail["alerts"]))}


def train_run(work: Work) -> dict[str, Any]:
    """The parent run's recipe, or the command, on the data set."""
    lineage, before = work.lineage(), work.retraining.steps["build_data_set"]
    registered = lineage.source_uri.removeprefix("models:/").partition("@")[0].partition("/")[0]
    named = lineage.source_uri.startswith("models:/") and not registered.startswith("m-")
    tags = {
        "tidegate.retraining": work.retraining.detail["token"],
        "tidegate.parent_run": before["parent_run"],
        "tidegate.data_set": f"{work.model}/{before['data_set']}",
        "tidegate.data_set_digest": before["digest"],
        "tidegate.alerts": ",".join(map(str, before["alerts"])),
    }
    with TemporaryDirectory(prefix="tidegate-parent-") as folder:
        recipe = None if work.options.command else fetch_parent(work.settings, _parent(lineage), Path(folder))["recipe"]
    name = registered if named else work.model if work.options.command else ""
    seed = lineage.params.get("seed", "0")
    trained = train(work.settings, Order(work.splits, recipe, work.options.command, name, seed, tags))
    return {"run": trained.run, "run_id": trained.run_id} | ({"found": True} if trained.again else {})


def export(work: Work) -> dict[str, Any]:
    """The bundle of the run; export's own gates are part of it."""
    from tidegate.cli.export import export_run

    trained = work.retraining.steps["train"]
    for version in work.bundles.versions(work.model)[::-1]:
        lineage = work.bundles.load(work.model, version).manifest.lineage
        if (trained["run_id"] and lineage.run_id == trained["run_id"]) or lineage.source_uri == trained["run"]:
            return {"version": version, "found": True}
    bundle = export_run(work.settings, trained["run"], work.model, data=work.splits / "evaluation.csv")
    return {"version": bundle.manifest.version, "variant": bundle.manifest.chosen}


def gate(work: Work) -> dict[str, Any]:
    """The new version against the live one, on the same evaluation rows and on random labels that neither has seen."""
    from exporters.texts import read_rows
    from monitoring.labels.paired import compare, refusal

    live, new = work.bundles.load(work.model), work.bundles.load(work.model, work.retraining.version or CHAMPION)
    found: dict[str, Any] = {"live": live.manifest.version}
    faults = []
    for name in ("evaluation", "random"):
        file = work.splits / f"{name}.csv"
        rows = read_rows(file) if len(file.read_text(encoding="utf-8").splitlines()) > 1 else []
        if not rows:
            found[name] = {"rows": 0}
            continue
        compared = compare(_right(work.settings, live, rows), _right(work.settings, new, rows))
        found[name] = asdict(compared)
        console.say(f"    {name}: {_numbers(found[name])}")
        fault = refusal(compared, work.options.margin)
        if fault and (name == "evaluation" or len(rows) >= MIN_RANDOM):
            faults.append(f"on the {name} rows {fault}")
    if faults:
        raise GateRefused(f"{work.model}/{new.manifest.version} does not replace the live version: {'; '.join(faults)}")
    return found


def deploy(work: Work) -> dict[str, Any]:
    """The canary of running servers, or at once the champion."""
    version = work.retraining.version or 0
    held = work.bundles.aliases(work.model)
    if work.options.promote and work.bundles.resolve(work.model, CHAMPION) != version:
        if held.canary != version:
            work.bundles.set_alias(work.model, "canary", version, work.options.percent)
        work.bundles.set_alias(work.model, CHAMPION, version)
    elif version not in (held.canary, held.champion):
        work.bundles.set_alias(work.model, "canary", version, work.options.percent)
    return {"aliases": list(work.bundles.aliases(work.model).holders(version))}


@contextmanager
def parent_rows(work: Work) -> "Iterator[Source]":
    """The splits of the live version's run."""
    from exporters.texts import read_rows
    from monitoring.labels.data_sets import Source

    parent = _parent(work.lineage())
    with TemporaryDirectory(prefix="tidegate-parent-") as folder:
        found = fetch_parent(work.settings, parent, Path(folder))["splits"]
        yield Source(parent, {name: read_rows(Path(folder) / f"{name}.csv") for name in found})


def _parent(lineage: "Lineage") -> str:
    """The run of a bundle by its own id, since the alias that it was exported by may have moved."""
    return f"runs:/{lineage.run_id}/model" if lineage.run_id else lineage.source_uri


def _right(settings: Settings, bundle: "Bundle", rows: Sequence[tuple[str, str]]) -> list[bool]:
    """On which rows a version's answer is the label."""
    return [answer == label for answer, (_, label) in zip(answers(settings, bundle, rows), rows, strict=True)]


def answers(settings: Settings, bundle: "Bundle", rows: Sequence[tuple[str, str]]) -> list[str]:
    """What a version answers to texts, threshold and fallback label applied."""
    from tidegate.devices import choose
    from tidegate.engine import Engine
    from tidegate.tasks import decide_all

    engine = Engine.open(bundle, choose("cpu", ()), threads=settings.threads)
    found = engine.classify([text for text, _ in rows])
    return [answer.label for answer in decide_all(found.tolist(), bundle.manifest)]


def _numbers(found: dict[str, Any]) -> str:
    return (
        f"live {found['live']:.1%}, new {found['new']:.1%} of {found['rows']} ({found['won']} won, {found['lost']} "
        f"lost; difference {found['difference'] * 100:+.1f} points, {found['low'] * 100:+.1f} to "
        f"{found['high'] * 100:+.1f})"
    )


STEPS: tuple[tuple[str, Step], ...] = (
    ("check_labels", check_labels),
    ("build_data_set", build_data_set),
    ("train", train_run),
    ("export", export),
    ("gate", gate),
    ("deploy", deploy),
)
