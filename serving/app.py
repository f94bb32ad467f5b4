"""The app: routes, key, problems and the models' life, around one bundle store.

Before: the command line brings settings, store, monitoring and a metrics registry; after: uvicorn serves it. Its
lifespan opens the models in the background (the server answers 503 meanwhile) and drains them at the end. Other
rooms may mount their pages on it before it starts. Limits: one process, one event loop.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from serving import (
    alerts,
    behaviour,
    docs_page,
    headers,
    hf,
    kserve_v1,
    label_studio,
    login,
    mlflow_scoring,
    openai_embeddings,
    predict,
    problems,
    relabel,
    routes,
    tei,
    tei_embed,
    traffic,
)
from serving.auth import ApiKeyAuth, Door
from serving.gateway import Gateway
from serving.headers import AnswerHeaders
from serving.keys import ApiKeys
from serving.local import LocalOnly
from serving.metrics import ServingMetrics
from serving.opening import Planner
from serving.repository import Repository
from serving.rollouts import ComparisonLog, Rollouts
from serving.v2 import repository as v2_repository
from serving.v2 import routes as v2_routes
from tidegate import __version__
from tidegate.annotation import Desk
from tidegate.bundle_store import BundleStore
from tidegate.records import Monitor, Recorder
from tidegate.settings import Settings

# What has routes, in the order of the API's pages.
_PARTS = (
    *(predict, routes, behaviour, traffic, alerts, relabel, label_studio),
    *(v2_routes, v2_repository, hf, tei, kserve_v1, mlflow_scoring, tei_embed, openai_embeddings),
    *(docs_page, login),
)


def create_app(
    settings: Settings,
    bundles: BundleStore,
    recorder: Recorder,
    monitor: Monitor,
    registry: CollectorRegistry,
    *,
    planner: Planner | None = None,
    comparisons: ComparisonLog | None = None,
    keys: ApiKeys | None = None,
    secret: bytes | None = None,
    desk: Desk | None = None,
    on_loaded: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Build the gateway's app; nothing is opened before its lifespan starts.

    Args:
        settings: limits, device, key.
        bundles: every model in it is served, at its champion.
        recorder: gets a record of each prediction, on the event loop.
        monitor: answers drift and takes feedback, in threads.
        registry: where the metrics live, and what `/metrics` shows.
        planner: says how each bundle runs here; as it was exported when None.
        comparisons: keeps how versions compare; nothing does when None.
        keys: who may do what, beside the key of the settings; nobody when None.
        secret: signs the cookies of who signed in; one of this process alone when None.
        desk: gives out what people label; nothing when None.
        on_loaded: called on the event loop once no model is loading any more; `repository.ready` says how it went.
    """
    metrics = ServingMetrics(registry)
    door = Door(settings, keys, secret)
    door.ring.on_limit = metrics.limit
    rollouts = Rollouts(comparisons, auto_promote=settings.auto_promote)
    repository = Repository(bundles, settings, recorder, metrics, planner, rollouts)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        repository.start(on_loaded)
        following = asyncio.create_task(door.ring.follow(), name="tidegate-keys")
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait((following,))
            await repository.close()

    app = FastAPI(title="Tidegate", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    gateway = Gateway(settings, bundles, repository, rollouts, monitor, metrics, registry, door, desk)
    app.state.gateway = gateway
    app.add_middleware(AnswerHeaders)
    predict.install(app, gateway)
    if not settings.open:
        app.add_middleware(LocalOnly, door=door, origins=settings.origins)
    app.add_middleware(ApiKeyAuth, door=door)
    headers.allow_origins(app, settings.origins)
    for part in _PARTS:
        app.include_router(part.router)
    docs_page.describe_keys(app)
    problems.install(app)
    return app
