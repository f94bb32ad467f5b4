"""One process of everything that runs: serving, monitoring and demos around one bundle store.

The composition root of `serve`, `up` and `quickstart`. The rooms do not know each other: monitoring reaches
serving as a `Recorder` and `Monitor`, demos are mounted on the app, the share guard stands in front of all.
"""

import logging
import signal
import socket

import uvicorn
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry
from starlette.types import ASGIApp

from demos.app import mount_demos
from demos.guard import ShareGuard
from demos.share import ShareLinks
from monitoring.job import MonitoringJob
from serving.app import create_app
from serving.auth import check_binding
from serving.repository import Repository
from tidegate import devices, home, store
from tidegate.bundle_store import BundleStore
from tidegate.cli import console
from tidegate.errors import BundleNotFound, NotReady, UsageError
from tidegate.settings import Settings


def open_door(settings: Settings) -> socket.socket:
    """Check what can be checked and take the port, before anything slow happens or anything is changed.

    Raises:
        UsageError: no such device, an address that cannot be listened on, or one that is open to the world.
    """
    check_binding(settings)
    devices.choose(settings.device, devices.available_providers())
    home.prepare(settings)
    return _listen(settings)


def run(settings: Settings, listener: socket.socket, *, exit_when_ready: bool = False) -> None:
    """Serve until a signal comes; prints `ready http://HOST:PORT` once every model answers.

    Args:
        settings: what to serve.
        listener: from `open_door`.
        exit_when_ready: stop as soon as no model is loading any more.

    Raises:
        BundleNotFound: the store is empty.
        NotReady: with `exit_when_ready`, a model failed to load.
    """
    bundles = BundleStore(settings.bundles_dir)
    if not bundles.names():
        raise BundleNotFound(
            f"no bundles in {bundles.root}; start with `tidegate quickstart`, or `tidegate up RUN` for a run of yours"
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio asks itself things; a line each is noise
    url = _url(settings.host, listener)
    database = store.open_database(settings.state_url)
    registry = _registry()
    job = MonitoringJob(database, bundles, settings, registry)
    failures: list[str] = []

    def loaded() -> None:
        repository: Repository = app.state.gateway.repository
        failures.extend(f"{name}: {state.error}" for name, state in repository.states.items() if state.error)
        if repository.ready:
            home.write_address(settings.home, url)
            _announce(url, bundles.names(), asks_for_key=bool(settings.api_key.get_secret_value()))
        server.should_exit = exit_when_ready

    app = create_app(settings, bundles, job, job, registry, on_loaded=loaded)
    mount_demos(app, app.state.gateway)
    guarded = ShareGuard(app, ShareLinks(database, home.signing_secret(settings.home)))
    server = uvicorn.Server(_uvicorn_config(guarded, settings))
    try:
        _serve(server, listener, job)
    finally:
        if home.read_address(settings.home) == url:
            home.write_address(settings.home, "")
        database.dispose()
    if exit_when_ready and failures:
        raise NotReady("; ".join(failures))


def _serve(server: uvicorn.Server, listener: socket.socket, job: MonitoringJob) -> None:
    # uvicorn raises the signal that stopped it once more when it has shut down; by then it has done its work,
    # and the monitoring job still has to save its open windows.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    job.start()
    try:
        server.run(sockets=[listener])
    finally:
        job.stop()


def _registry() -> CollectorRegistry:
    """A registry with what Prometheus shows of every process; the global one stays out of it."""
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    return registry


def _uvicorn_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )


def _listen(settings: Settings) -> socket.socket:
    """Bind before anything slow happens, so that a taken port is an error at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
            "choose another --port (0 picks a free one)"
        ) from None
    return listener


def _announce(url: str, models: list[str], *, asks_for_key: bool) -> None:
    console.out(f"ready {url}")
    for model in models:
        console.say(f"  demo     {url}/demo/{model}")
    console.say(f"  docs     {url}/docs")
    console.say(f"  metrics  {url}/metrics")
    body = '{"inputs": "Profit rose to EUR 5.2 mn from EUR 3.1 mn a year earlier"}'
    key = ' -H "Authorization: Bearer $TIDEGATE_API_KEY"' if asks_for_key else ""
    console.say(
        f"try:\n  curl -s {url}/models/{models[0]}/predict{key} -H 'content-type: application/json' -d '{body}'"
    )
    if asks_for_key:
        console.say(f"a browser sends no key: `tidegate share create {models[0]}` prints a link that opens the demo")


def _url(host: str, listener: socket.socket) -> str:
    """The address as a person on this machine types it."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{listener.getsockname()[1]}"
