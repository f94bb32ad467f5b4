"""The FastAPI application: parts made here, started and stopped by its lifespan, found in `app.state.gateway`.

Composed by `tidegate.cli.gateway`, which mounts the demos on it and puts the share guard in front.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from serving import problems, routes
from serving.auth import RequireKey
from serving.gateway import Gateway
from serving.metrics import Metrics
from serving.repository import Repository
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
    on_loaded: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Build the gateway over a bundle store.

    Args:
        settings: limits, device, key.
        bundles: what to serve: the champion of every model.
        recorder: gets a record of every prediction.
        monitor: answers for drift and takes feedback.
        registry: where the metrics go.
        on_loaded: called on the event loop once no model is loading any more; see `Gateway.repository`.
    """
    metrics = Metrics(registry)
    repository = Repository(settings, bundles, recorder, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        repository.start(on_loaded)
        yield
        await repository.close()

    app = FastAPI(
        title="Tidegate",
        version=__version__,
        description="Predictions, feedback, drift and health of the models of one bundle store.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.gateway = Gateway(settings, repository, monitor, metrics)
    problems.install(app)
    routes.install(app)
    app.add_middleware(RequireKey, key=settings.api_key.get_secret_value())
    return app
