"""The view `/dashboard/models/{model}/health`: how a variant answered the evaluation texts, and where it is weak.

`?version=N&variant=V` chooses which (the champion's, as served), `?threshold=0.7` what a threshold would do, and
`?against=N` or `?against=N/V` holds it against another. All is read from `health.json` and `behaviour.json` of bundles;
what labels say since comes from monitoring. Before: `tidegate.health`; after: `page`; its parts: `health_labels`,
`health_confidence` and `health_slices`.
"""

import re
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from demos.dashboard.content import Link, Page, Section
from demos.dashboard.health_choice import choice
from demos.dashboard.health_confidence import calibration, thresholds
from demos.dashboard.health_labels import labels, side_by_side
from demos.dashboard.health_shares import Subject
from demos.dashboard.health_slices import behaviour, lead, slices
from demos.dashboard.models import MODELS
from demos.dashboard.visit import Visit
from tidegate.behaviour_report import read_report
from tidegate.bundle import Bundle
from tidegate.errors import BundleCorrupt, BundleNotFound, InvalidInput, TidegateError
from tidegate.health import read_health

_AGAINST = re.compile(r"([0-9]{1,9})(?:/([A-Za-z0-9][A-Za-z0-9_-]{0,63}))?", re.ASCII)


async def model_health(visit: Visit) -> Page:
    """Confusion, scores of labels, calibration, thresholds, worst slices and behavioural tests of a variant.

    Raises:
        ModelNotFound: the model is not served.
        BundleNotFound: it has no such version, or that no such variant.
        InvalidInput: a threshold that is no number in [0, 1], or an `against` that names no version.
    """
    model = visit.path["model"]
    state = visit.gateway.repository.state(model)
    try:
        bundle = await visit.bundle()
    except BundleNotFound:
        if visit.number("version") is not None or state.served is not None:
            raise
        return _page(model, f"No version of it can be read: {state.error or state.standing}.", [])
    return await _of_bundle(visit, bundle)


async def _of_bundle(visit: Visit, bundle: Bundle) -> Page:
    manifest, threshold = bundle.manifest, _threshold(visit)
    versions = await run_in_threadpool(visit.gateway.bundles.versions, manifest.name)
    name = visit.one("variant") or _served(visit, bundle) or manifest.chosen
    manifest.variant(name)
    chooser = choice(manifest, name, versions, visit.one("against"))
    heading = f"{manifest.name}, version {manifest.version}"
    if not manifest.labels:
        said = "It answers vectors, which are not right or wrong; its evaluation is cosines and neighbours."
        return _page(manifest.name, said, [chooser], heading)
    tests = await run_in_threadpool(_tests, bundle)
    subject, missing = await _subject(bundle, name)
    if subject is None:
        return _page(manifest.name, missing, [chooser, tests], heading)
    live = await run_in_threadpool(_live, visit, manifest.name, manifest.version)
    found = [
        chooser,
        labels(subject, live),
        calibration(subject, threshold),
        thresholds(subject, threshold, visit.one("against")),
        slices(subject.counted),
        tests,
    ]
    if visit.one("against"):
        found.insert(1, await _against(visit, subject))
    return _page(manifest.name, lead(subject), found, f"{manifest.name}, {subject.name}")


def _page(model: str, lead: str, found: list[Section], heading: str = "") -> Page:
    crumbs = [MODELS, Link(model, f"/dashboard/models/{model}")]
    return Page(f"Health of {heading or model}", lead, found, crumbs, model=model, scripts=("health.js",))


def _threshold(visit: Visit) -> float | None:
    word = visit.one("threshold")
    try:
        value = float(word) if word else None
    except ValueError:
        value = -1.0
    if value is not None and not 0.0 <= value <= 1.0:
        raise InvalidInput(f"threshold is a number from 0 to 1, not {word[:40]!r}")
    return value


def _served(visit: Visit, bundle: Bundle) -> str | None:
    """The variant that answers here, where it is this version that does."""
    served = visit.gateway.repository.state(bundle.manifest.name).served
    if served is None or served.manifest.version != bundle.manifest.version:
        return None
    return served.engine.variant.name


async def _subject(bundle: Bundle, name: str) -> tuple[Subject | None, str]:
    """A variant with its health; or None, and why there is none."""
    try:
        health = await run_in_threadpool(read_health, bundle)
    except BundleCorrupt as error:
        return None, str(error)
    if health is None:
        return None, "This version was exported before a model's health was kept in its bundle; export it again."
    if name not in health.variants:
        return None, f"Nothing was counted of variant {name}; export the version again."
    return Subject(bundle.manifest, health, name), ""


def _tests(bundle: Bundle) -> Section:
    try:
        return behaviour(read_report(bundle))
    except BundleCorrupt as error:
        return Section("Behavioural tests", [], lead=str(error))


def _live(visit: Visit, model: str, version: int) -> Mapping[str, Any]:
    """What monitoring knows of accuracy now; nothing where it knows nothing."""
    try:
        return visit.gateway.monitor.drift(model, version).get("accuracy") or {}
    except TidegateError:
        return {}


async def _against(visit: Visit, subject: Subject) -> Section:
    word = visit.one("against")
    found = _AGAINST.fullmatch(word)
    if found is None:
        raise InvalidInput(f"against is a version, or a version and its variant as in 3/int8, not {word[:40]!r}")
    bundle = await visit.bundle_of(int(found[1]))
    name = found[2] or _served(visit, bundle) or bundle.manifest.chosen
    bundle.manifest.variant(name)
    other, missing = await _subject(bundle, name)
    if other is None:
        return Section("Side by side", [], lead=f"Version {bundle.manifest.version} cannot be compared. {missing}")
    return side_by_side(subject, other)
