"""The view `/dashboard/models/{model}`: versions and aliases, who answers whom, what each variant costs, where it runs.

Before: the repository of this process and the bundle store; after: `page`. A model that failed to load has the same
page, which says why, with what its bundles tell. Where a model runs is said of this process.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool

from demos.dashboard import content
from demos.dashboard.content import Cell, Figure, Link, Mark, Markup, Page, Section, Table
from demos.dashboard.models import MODELS
from demos.dashboard.plots import Dot, dots
from demos.dashboard.visit import Visit, manifests_of
from serving.following import ModelState
from tidegate.aliases import ALIASES, Aliases
from tidegate.bundle import Evidence, Manifest

_LEAST_SHOWN = 2.0  # points of accuracy: a tenth of a point is no difference that anybody chooses by
_MEASURES = {  # of `GET /models/{m}/traffic`, in the order of interest
    "requests": "requests",
    "errors": "errors",
    "latency_p50_seconds": "latency, p50",
    "latency_p99_seconds": "latency, p99",
    "accuracy": "right, of those with feedback",
    "feedback": "predictions with feedback",
    "compared": "answers compared with the champion's",
    "agreement": "same label as the champion",
    "confidence_shift": "mean change of the top probability",
    "score_distance": "mean distance of probabilities",
    "not_answered": "not answered by it",
    "not_compared": "not compared, for lack of time",
}
_SHARES = ("accuracy", "agreement")


async def one_model(visit: Visit) -> Page:
    """A model.

    Raises:
        ModelNotFound: it is not served.
    """
    model = visit.path["model"]
    state = visit.gateway.repository.state(model)
    manifests, unread = await run_in_threadpool(manifests_of, visit.gateway.bundles, model)
    live = next((one for one in manifests if one.version == _champion(state)), None)
    sections = []
    if state.rollout is not None:
        traffic = await run_in_threadpool(visit.gateway.rollouts.document, model, state.rollout)
        sections.append(_traffic(model, traffic))
    if live is not None:
        sections.append(_variants(live, state.served.engine.variant.name if state.served else ""))
    sections.append(Section("Versions", [_versions(manifests, state.aliases, unread)]))
    sections.append(Section("Where it runs", [_running(state)]))
    return Page(model, _lead(state, live), sections, [MODELS], model=model)


def _champion(state: ModelState) -> int | None:
    return state.served.manifest.version if state.served else state.aliases.champion


def _lead(state: ModelState, live: Manifest | None) -> str:
    """Who answers now, or why nobody does."""
    served, canary = state.served, state.aliases.canary
    if served is None:
        return f"Nobody answers: it is {state.standing}{f', because {state.error}' if state.error else ''}."
    beside = f", and version {canary} answers {state.aliases.canary_percent:g} % of the callers" if canary else ""
    fault = f" The newest change could not be made: {state.error}." if state.error else ""
    purpose = live.description if live and live.description else f"{served.manifest.task}."
    return (
        f"Version {served.manifest.version} answers with its variant {served.engine.variant.name} on "
        f"{served.device.name}{beside}.{fault} {purpose}"
    )


def _traffic(model: str, traffic: Mapping[str, Any]) -> Section:
    """A column a version: they are few, and what is said of them is much. One alone is not counted, so not shown."""
    versions = traffic["versions"]
    if len(versions) < 2:
        to_live = Markup(f'<p><a href="../live?{urlencode({"model": model})}">What it is asked now</a></p>')
        return Section("Traffic", [to_live], "One version answers everybody; a canary or a shadow is compared with it.")
    rows: list[list[Cell]] = [
        [words, *(_measure(name, version.get(name)) for version in versions)] for name, words in _MEASURES.items()
    ]
    known = [row for row in rows if any(cell is not None for cell in row[1:])]
    columns = ["", *(f"{version['role']}, version {version['version']}" for version in versions)]
    table = Table("traffic", "Who answers whom, since the last change", columns, known)
    return Section("Traffic", [table], lead=_verdict(traffic))


def _measure(name: str, value: Any) -> Cell:
    if name.endswith("_seconds"):
        return content.milliseconds(value)
    return content.share(value) if name in _SHARES else value


def _verdict(traffic: Mapping[str, Any]) -> str:
    verdict = traffic.get("verdict")
    return f"Auto-promotion would {verdict['decision']}: {verdict['reason']}." if verdict else ""


def _versions(manifests: Sequence[Manifest], aliases: Aliases, unread: int) -> Table:
    rows = [_version_row(manifest, aliases) for manifest in manifests]
    columns = ["version", "aliases", "published", "run", "accuracy", "macro-F1", "variant", "size"]
    note = f"{unread} more cannot be read; `tidegate bundles verify` says why." if unread else ""
    return Table("versions", "Published versions, newest first", columns, rows, note)


def _version_row(manifest: Manifest, aliases: Aliases) -> list[Cell]:
    chosen = next((each for each in manifest.evidence if each.variant == manifest.chosen), None)
    run = manifest.lineage.run_id
    classifies = chosen is not None and bool(manifest.labels)
    return [
        Link(str(manifest.version), f"/dashboard/models/{manifest.name}/health?version={manifest.version}"),
        ", ".join(alias for alias in ALIASES if aliases.of(alias) == manifest.version) or None,
        content.when(manifest.created_at.timestamp()),
        Link(run[:8], f"/dashboard/runs/{run}") if run else None,
        content.share(chosen.accuracy) if chosen and classifies else None,
        content.share(chosen.macro_f1) if chosen and classifies else None,
        manifest.chosen,
        content.megabytes(chosen.size_bytes) if chosen else None,
    ]


def _variants(manifest: Manifest, served: str) -> Section:
    """Quality, size and speed of each variant: the trade-off that was made, and the figures behind it."""
    quality = "accuracy" if manifest.labels else "agreement"
    scores = ["accuracy", "agreement"] if manifest.labels else ["agreement", "mean cosine", "worst cosine"]
    columns = ["variant", "state", *scores, "size", "p50, one text", "texts/s"]
    rows = [_variant_row(each, served, classifies=bool(manifest.labels)) for each in manifest.evidence]
    where = "; ".join(sorted({each.hardware for each in manifest.evidence}))
    note = f"Measured at export on {where}, on {manifest.evidence[0].rows:,} texts." if manifest.evidence else ""
    table = Table("variants", f"Variants of version {manifest.version}", columns, rows, note)
    figures = [
        _trade_off(manifest, served, quality, "latency", "p50 of one text, ms"),
        _trade_off(manifest, served, quality, "size", "size, MB"),
    ]
    return Section("Variants", [*figures, table], "What each variant costs. Towards the upper left is better.")


def _trade_off(manifest: Manifest, served: str, quality: str, cost: str, x_name: str) -> Figure:
    title = f"{quality.capitalize()} against {cost}"
    points = [
        Dot(
            each.variant,
            each.latency_p50_seconds * 1e3 if cost == "latency" else max(each.size_bytes, 1) / 1e6,
            100 * (each.accuracy if manifest.labels else each.agreement),
            number,
            each.variant == served,
        )
        for number, each in enumerate(manifest.evidence)
    ]
    svg = dots(title, points, x_name, f"{quality}, %", log_x=True, least_y=_LEAST_SHOWN)
    return Figure(title, svg, "Filled: the variant that serves.")


def _variant_row(each: Evidence, served: str, *, classifies: bool) -> list[Cell]:
    state = Mark("serves", "good") if each.variant == served else Mark("accepted") if each.accepted else None
    cosines: list[Cell] = [each.mean_cosine, each.worst_cosine]
    return [
        each.variant,
        state or Mark(f"refused: {each.refusal}", "bad"),
        *([content.share(each.accuracy)] if classifies else []),
        content.share(each.agreement),
        *([] if classifies else cosines),
        content.megabytes(each.size_bytes),
        content.milliseconds(each.latency_p50_seconds),
        round(each.throughput_texts_per_second),
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
        ]
        for role, model in roles.items()
        if model
    ]
    columns = ["answers as", "version", "variant", "device", "provider"]
    empty = f"Nowhere in this process: it is {state.standing}."
    why = " ".join(dict.fromkeys(f"{model.device.name}: {model.device.reason}." for model in roles.values() if model))
    return Table("running", "Where each version runs, in this process", columns, rows, why, empty)
