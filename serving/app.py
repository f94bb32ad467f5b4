"""The app: routes, key, problems and the models' life, around one bundle store.

Before: the command line brings settings, store, monitoring and a metrics registry; after: uvicorn serves it. Its
lifespan opens the models in the background (the server answers 503 meanwhile) and drains them at the end. Other
rooms may mount their pages on it before it starts. Limits: one process, one event loop.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from serving import docs_page, predict, problems, routes, traffic
from serving.auth import ApiKeyAuth
from serving.gateway import Gateway
from serving.local import LocalOnly
from serving.metrics import ServingMetrics
from serving.opening import Planner
from serving.repository import Repository
from serving.rollouts import ComparisonLog, Rollouts
from tidegate import __version__
from tidegate.bundle_store import BundleStore
from tidegate.records import Monitor, Recorder
from tidegate.settings import Settings


def create_app(
    settings: Settings,
    bundles: BundleStore,
    recorder: Recorder,
    monitor: Monitor,
    registry: CollectorRegistry,
    *,
    planner: Planner | None = None,
    comparisons: ComparisonLog | None = None,
    on_loaded: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Build the gateway's app; nothing is opened before its lifespan starts.

    Args:
        settings: limits, device, key.
        bundles: every model in it is served, at its champion.
        recorder: gets a record of each prediction, on the event loop.
        monitor: answers drift and takes feedback, in threads.
        registry: where the metrics live, and what `/metrics` shows.
        comparisons: keeps how versions compare; nothing does when None.
        planner: says how each bundle runs here; as it was exported when None.
        on_loaded: called on the event loop once no model is loading any more; `repository.ready` says how it went.
    """
    metrics = ServingMetrics(registry)
    rollouts = Rollouts(comparisons, auto_promote=settings.auto_promote)
    repository = Repository(bundles, settings, recorder, metrics, planner, rollouts)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        repository.start(on_loaded)
        try:
            yield
        finally:
            await repository.close()

    app = FastAPI(title="Tidegate", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    gateway = Gateway(settings, bundles, repository, rollouts, monitor, metrics, registry)
    app.state.gateway = gateway
    predict.install(app, gateway)
    key = settings.api_key.get_secret_value()
    if key:
        app.add_middleware(ApiKeyAuth, api_key=key)
    elif not settings.open:
        app.add_middleware(LocalOnly)
    app.include_router(predict.router)
    app.include_router(routes.router)
    app.include_router(traffic.router)
    app.include_router(docs_page.router)
    problems.install(app)
    return app
