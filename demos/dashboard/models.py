"""The views `/dashboard` and `/dashboard/models/{model}`: what is served, by which version, where, and how it fares.

Before: the repository of this process and the bundle store; after: `page`. Where a model runs is said of this process.
"""

from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool

from demos.dashboard import content
from demos.dashboard.content import Cell, Figure, Link, Mark, Page, Section, Table
from demos.dashboard.plots import Dot, dots
from demos.dashboard.visit import Visit, read_manifest
from serving.following import ModelState
from tidegate.aliases import ALIASES, Aliases
from tidegate.bundle import MANIFEST, Evidence, Manifest
from tidegate.errors import BundleNotFound

MODELS = Link("Models", "/dashboard")


async def all_models(visit: Visit) -> Page:
    """Every model of the store."""
    states = visit.gateway.repository.states
    alerts = await run_in_threadpool(visit.gateway.monitor.alerts, None, "open")
    open_alerts = {name: sum(alert["model"] == name for alert in alerts) for name in states}
    ready = sum(state.standing == "ready" for state in states.values())
    rows = [_model_row(name, state, open_alerts[name]) for name, state in states.items()]
    columns = ["model", "state", "task", "champion", "canary", "shadow", "variant", "runs on", "open alerts"]
    table = Table("models", "Models", columns, rows, empty="No model yet; `tidegate up RUN` exports and serves one.")
    return Page("Models", f"{ready} of {len(states)} models answer; {_alerts(len(alerts))}.", [Section("", [table])])


async def one_model(visit: Visit) -> Page:
    """A model: versions and aliases, who answers whom, its variants, and where it runs.

    Raises:
        ModelNotFound: it is not served.
    """
    model = visit.path["model"]
    state = visit.gateway.repository.state(model)
    manifests = await run_in_threadpool(_manifests, visit, model)
    sections = [Section("Versions", [_versions(model, manifests, state.aliases)])]
    if state.rollout is not None:
        traffic = await run_in_threadpool(visit.gateway.rollouts.document, model, state.rollout)
        sections.append(Section("Traffic", [_traffic(traffic)], lead=_verdict(traffic)))
    if state.served is not None:
        manifest = state.served.manifest
        served = state.served.engine.variant.name
        sections.append(_variants(manifest, served))
        sections.append(Section("Where it runs", [_running(state)]))
    lead = f"{_standing(state)}." if state.error else _purpose(state)
    return Page(model, lead, sections, [MODELS], model=model)


def _model_row(name: str, state: ModelState, alerts: int) -> list[Cell]:
    served, aliases = state.served, state.aliases
    return [
        Link(name, f"/dashboard/models/{name}"),
        _mark(state),
        served.manifest.task if served else None,
        served.manifest.version if served else aliases.champion,
        f"{aliases.canary} ({aliases.canary_percent:g} %)" if aliases.canary else None,
        aliases.shadow,
        served.engine.variant.name if served else None,
        served.device.name if served else None,
        Link(f"{alerts} open", f"/dashboard/alerts?model={name}") if alerts else Mark("none", "good"),
    ]


def _mark(state: ModelState) -> Mark:
    moods = {"ready": "good", "failed": "bad", "stuck": "bad"}
    return Mark(state.standing, moods.get(state.standing, ""))


def _alerts(count: int) -> str:
    return f"{count} alert{'' if count == 1 else 's'} open" if count else "no alert is open"


def _standing(state: ModelState) -> str:
    return f"{state.standing}: {state.error}"


def _purpose(state: ModelState) -> str:
    if state.served is None:
        return f"{state.standing}."
    manifest = state.served.manifest
    return manifest.description or f"{manifest.task}; labels: {', '.join(manifest.labels)}."


def _manifests(visit: Visit, model: str) -> list[Manifest]:
    """Of every version that can be read, newest first."""
    store, found = visit.gateway.bundles, []
    for version in reversed(store.versions(model)):
        try:
            found.append(read_manifest(store.path(model, version) / MANIFEST))
        except BundleNotFound:
            continue  # the version's own page and `tidegate bundles verify` say what is wrong with it
    return found


def _versions(model: str, manifests: Sequence[Manifest], aliases: Aliases) -> Table:
    rows = [_version_row(model, manifest, aliases) for manifest in manifests]
    columns = ["version", "aliases", "published", "run", "accuracy", "macro-F1", "variant", "size"]
    return Table("versions", "Published versions, newest first", columns, rows)


def _version_row(model: str, manifest: Manifest, aliases: Aliases) -> list[Cell]:
    chosen = next((each for each in manifest.evidence if each.variant == manifest.chosen), None)
    run = manifest.lineage.run_id
    classifies = chosen is not None and bool(manifest.labels)
    return [
        Link(str(manifest.version), f"/dashboard/models/{model}/health?version={manifest.version}"),
        ", ".join(alias for alias in ALIASES if aliases.of(alias) == manifest.version) or None,
        f"{manifest.created_at:%Y-%m-%d %H:%M}",
        Link(run[:8], f"/dashboard/runs/{run}") if run else None,
        content.share(chosen.accuracy) if chosen and classifies else None,
        content.share(chosen.macro_f1) if chosen and classifies else None,
        manifest.chosen,
        content.megabytes(chosen.size_bytes) if chosen else None,
    ]


def _traffic(traffic: dict[str, object]) -> Table:
    versions = traffic["versions"]
    rows = versions if isinstance(versions, list) else []
    names = sorted({name for row in rows for name in row if name not in ("role", "version")})
    cells = [[row["role"], row["version"], *(_plain(row.get(name)) for name in names)] for row in rows]
    columns = ["answers as", "version", *(name.replace("_", " ") for name in names)]
    return Table("traffic", "Who answers whom, since the last change", columns, cells)


def _plain(value: object) -> Cell:
    return value if isinstance(value, str | int | float) else None


def _verdict(traffic: dict[str, object]) -> str:
    verdict = traffic.get("verdict")
    return f"Auto-promotion would {verdict['decision']}: {verdict['reason']}." if isinstance(verdict, dict) else ""


def _variants(manifest: Manifest, served: str) -> Section:
    """Size, accuracy and speed of each variant, as a table and as the trade-off that was made."""
    rows = [_variant_row(each, served) for each in manifest.evidence]
    columns = ["variant", "state", "accuracy", "agreement", "size", "p50, one text", "texts/s", "measured on"]
    points = [
        Dot(
            f"{each.variant}",
            each.latency_p50_seconds * 1_000,
            _quality(each, manifest),
            number,
            each.variant == served,
        )
        for number, each in enumerate(manifest.evidence)
    ]
    quality = "accuracy" if manifest.labels else "agreement"
    title = f"{quality.capitalize()} against latency"
    figure = Figure(
        title,
        dots(title, points, "p50 of one text, ms", quality, log_x=True),
        "Filled: the variant that serves. Towards the upper left is better.",
    )
    return Section(f"Variants of version {manifest.version}", [Table("variants", "Variants", columns, rows), figure])


def _quality(each: Evidence, manifest: Manifest) -> float:
    return each.accuracy if manifest.labels else each.agreement


def _variant_row(each: Evidence, served: str) -> list[Cell]:
    state = Mark("serves", "good") if each.variant == served else "accepted" if each.accepted else None
    return [
        each.variant,
        state or Mark(f"refused: {each.refusal}", "bad"),
        content.share(each.accuracy),
        content.share(each.agreement),
        content.megabytes(each.size_bytes),
        content.milliseconds(each.latency_p50_seconds),
        round(each.throughput_texts_per_second),
        each.hardware,
    ]


def _running(state: ModelState) -> Table:
    rollout = state.rollout
    roles = {"champion": state.served, "canary": rollout and rollout.canary, "shadow": rollout and rollout.shadow}
    rows: list[list[Cell]] = [
        [
            role,
            model.manifest.version,
            model.engine.variant.name,
            model.device.name,
            model.device.provider,
            model.device.reason,
        ]
        for role, model in roles.items()
        if model
    ]
    columns = ["answers as", "version", "variant", "device", "provider", "why there"]
    return Table("running", "Where each runs in this process", columns, rows)
