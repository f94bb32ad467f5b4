"""One process of everything that runs: serving, monitoring and demos around one bundle store.

The composition root of `serve`, `up` and `quickstart`. The rooms do not know each other: monitoring reaches
serving as a `Recorder` and `Monitor`, demos are mounted on the app, the share guard stands in front of all.
`run` serves from this process, or has `tidegate.cli.workers` start several that each call `serve`.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from demos.dashboard.app import mount_dashboard
from demos.drift_page import mount_drift_page
from demos.front import mount_demos
from demos.guard import ShareGuard
from demos.meter import ShareMeter
from demos.process import DemoProcess
from demos.relabel_page import mount_relabel_page
from demos.share import ShareLinks
from monitoring.labels.desk import QueueDesk
from monitoring.process import MonitorProcess
from serving.app import create_app
from serving.auth import check_binding
from serving.gpu_metrics import GpuCollector
from serving.keys import ApiKeys, any_active
from serving.observe import Observed
from serving.process_metrics import ProcessTable
from serving.repository import Repository
from serving.root_path import RootPath
from tidegate import devices, home, logs, store
from tidegate.bundle_store import BundleStore
from tidegate.cli import console, follow, grpc_port
from tidegate.cli.demo_relay import DemoRelay
from tidegate.cli.listening import handed_over, take_port
from tidegate.cli.observing import check_tracing, make_registry, open_tracing
from tidegate.cli.planner import Placements, make_planner, place_champions
from tidegate.cli.registry_reader import registry_reader
from tidegate.cli.server import CloseWhenLeaving, Server
from tidegate.cli.wire import check_tls, uvicorn_config
from tidegate.comparisons import ComparisonStore
from tidegate.errors import BundleNotFound, NotReady
from tidegate.gpus import number_by_bus, read_gpus
from tidegate.placement import parse_devices
from tidegate.records import NullRecorder
from tidegate.settings import Settings

# A run that has ended waits this long for the interpreter when the event loop is busy; Python's own 5 ms would be a
# fifth of a batch.
_SWITCH_SECONDS = 0.0005
_SECONDS_TO_DEMOS = 20.0


def open_door(settings: Settings) -> socket.socket:
    """Check what can be checked and take the port, before anything slow happens or anything is changed.

    Raises:
        UsageError: no such device, an address that cannot be listened on, one that is open to the world, or
            no TLS certificate.
    """
    check_binding(settings)
    check_tls(settings)
    check_tracing(settings)
    follow.check(settings)
    requested = parse_devices(settings.device)
    for device in (requested.default, *requested.models.values()):
        devices.choose(device, devices.available_providers())
    grpc_port.chosen(settings)
    home.prepare(settings)
    return take_port(settings)


def run(settings: Settings, listener: socket.socket, *, exit_when_ready: bool = False) -> None:
    """Serve until a signal comes; prints `ready http://HOST:PORT` (https with TLS) once every model answers.

    Args:
        settings: what to serve.
        listener: from `open_door`.
        exit_when_ready: stop as soon as no model is loading any more.

    Raises:
        BundleNotFound: the store is empty.
        NotReady: with `exit_when_ready`, a model failed to load.
        UsageError: `--device` names a model that is not there, or a GPU that a model cannot have.
    """
    logs.to_stderr(settings.log_format, "supervisor" if settings.workers > 1 else "")
    with follow.following(settings):
        _run(settings, listener, exit_when_ready=exit_when_ready)


def _run(settings: Settings, listener: socket.socket, *, exit_when_ready: bool) -> None:
    bundles = BundleStore(settings.bundles_dir)
    if not bundles.names():
        raise BundleNotFound(
            f"no bundles in {bundles.root}; start with `tidegate quickstart`, or `tidegate up RUN` for a run of yours"
        )
    parse_devices(settings.device).check(bundles.names())
    number_by_bus(os.environ)
    failures: list[str] = []
    settings = grpc_port.chosen(settings)
    url = _url(settings, listener)

    def loaded(failed: list[str]) -> bool:
        failures.extend(failed)
        if not failed:
            home.write_address(settings.home, url)
            console.out(f"ready {url}")
            if settings.log_format == "text":  # what reads JSON lines reads no hints
                _announce(url, bundles, asks_for_key=_asks_for_key(settings))
        return exit_when_ready

    try:
        if settings.workers == 1:
            processes = ProcessTable()
            serve(
                settings,
                [listener],
                make_registry(processes),
                loaded,
                processes,
                placements=place_champions(settings),
                listen_at_once=not handed_over(),  # its callers can wait in the backlog for as long as models load
            )
        else:
            from tidegate.cli.workers import supervise  # it builds on this module

            supervise(settings, listener, loaded, place_champions(settings))
    finally:
        if home.read_address(settings.home) == url:
            home.write_address(settings.home, "")
    if exit_when_ready and failures:
        raise NotReady("; ".join(failures))


def serve(
    settings: Settings,
    sockets: list[socket.socket],
    registry: CollectorRegistry,
    on_loaded: Callable[[list[str]], bool],
    processes: ProcessTable,
    *,
    placements: Placements | None = None,
    demos_at: str = "",
    listen_at_once: bool = True,
    worker: str = "0",
) -> None:
    """Serve from this process until a signal comes.

    Args:
        settings: what to serve.
        sockets: bound, not yet listening.
        registry: where the metrics live, and what `/metrics` shows.
        on_loaded: called once no model is loading any more, with a line for each that failed; says whether to stop.
        processes: is told which processes do what.
        placements: where each model runs; None finds out before the first one opens.
        demos_at: Unix socket of the worker that has the demos; empty where this one has.
        listen_at_once: answer 503 while models load; otherwise callers cannot reach this process until they have.
        worker: number of this process among several.
    """
    database = store.open_database(settings.state_url)
    bundles = BundleStore(settings.bundles_dir)
    name = f"monitor-{worker}" if settings.workers > 1 else "monitor"
    monitor = MonitorProcess(settings, registry, name, partial(processes.tell, "monitor"))
    loaded = asyncio.Event()

    def conclude() -> None:
        loaded.set()
        _freeze_what_is_here()
        app.state.gateway.metrics.workers.set(1)
        if on_loaded(_failed(app.state.gateway.repository)):  # and else as it is: a signal may have come meanwhile
            server.should_exit = True
        elif not demos_at:
            # So that the first visitor does not wait, and who waited for the models is not held up by Gradio's import.
            asyncio.get_running_loop().call_later(_SECONDS_TO_DEMOS, demos.start)

    if read_gpus():
        registry.register(GpuCollector(read_gpus))
    planner = make_planner(settings, placements)
    comparisons = ComparisonStore(database)
    secret = home.signing_secret(settings.home)
    app = create_app(
        settings,
        bundles,
        monitor if settings.monitoring else NullRecorder(),
        monitor,
        registry,
        planner=planner,
        comparisons=comparisons,
        keys=ApiKeys(database),
        secret=secret,
        desk=QueueDesk(database, bundles, settings),
        on_loaded=conclude,
    )
    demos = DemoProcess(app.state.gateway, partial(processes.tell, "demos"))
    mount_dashboard(app, registry_reader(settings))
    mount_drift_page(app)
    mount_relabel_page(app)
    if not demos_at:
        mount_demos(app, app.state.gateway, demos)
    front = DemoRelay(app, demos_at, tls=settings.tls_cert is not None) if demos_at else app
    links = ShareLinks(database, secret)
    guarded = ShareGuard(front, links, None if demos_at else ShareMeter(links), settings.public_url or "")
    leaving = CloseWhenLeaving(guarded, app.state.gateway)
    tracing = open_tracing(settings, worker)
    observed = Observed(leaving, access_log=settings.access_log, tracing=tracing)
    front_door = RootPath(observed, settings.root_path) if settings.root_path else observed
    server = Server(uvicorn_config(front_door, settings), app.state.gateway, settings.lame_duck_seconds)
    if not listen_at_once:
        _hold_startup(app, lambda: loaded.is_set() or server.should_exit)
    grpc_port.attach(app, settings)
    try:
        _serve(server, sockets, monitor)
    finally:
        database.dispose()
        if tracing is not None:
            tracing.close()


def _freeze_what_is_here() -> None:
    """Keep the garbage collector from walking through everything that was imported and loaded, for good.

    Two hundred thousand objects of libraries cost a full collection 0.16 s, in which nobody is answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(700)  # Python's own; `tidegate.cli` raised it for the start


def _failed(repository: Repository) -> list[str]:
    return [f"{name}: {state.error}" for name, state in repository.states.items() if state.status == "failed"]


def _hold_startup(app: Starlette, over: Callable[[], bool]) -> None:
    """Let the app start up only when `over` says so: uvicorn does not listen before."""
    before: Callable[[Any], Any] = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(outer: Any) -> AsyncIterator[Any]:
        async with before(outer) as state:
            while not over():
                await asyncio.sleep(0.05)
            yield state

    app.router.lifespan_context = lifespan


def _serve(server: uvicorn.Server, sockets: list[socket.socket], monitor: MonitorProcess) -> None:
    def leave(*_: object) -> None:
        server.should_exit = True

    # For the time before uvicorn listens to signals, and after: it raises the one that stopped it once more when it
    # has shut down; by then it has done its work, and the monitor process still has to save its open windows.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    sys.setswitchinterval(_SWITCH_SECONDS)
    monitor.start()
    try:
        server.run(sockets=sockets)
    finally:
        monitor.stop()


def _announce(url: str, bundles: BundleStore, *, asks_for_key: bool) -> None:
    models = bundles.names()
    for model in models:
        console.say(f"  demo      {url}/demo/{model}")
    console.say(f"  dashboard {url}/dashboard")
    console.say(f"  relabel   {url}/relabel")
    console.say(f"  docs      {url}/docs")
    console.say(f"  metrics   {url}/metrics")
    body = '{"inputs": "Profit rose to EUR 5.2 mn from EUR 3.1 mn a year earlier"}'
    key = ' -H "Authorization: Bearer $TIDEGATE_API_KEY"' if asks_for_key else ""
    console.say(
        f"try:\n  curl -s {url}/models/{models[0]}/predict{key} -H 'content-type: application/json' -d '{body}'"
    )
    if asks_for_key:
        console.say(f"in a browser: {url}/login; `tidegate share create {models[0]}` prints a link to the demo")


def _asks_for_key(settings: Settings) -> bool:
    return bool(settings.api_key.get_secret_value()) or any_active(settings)


def _url(settings: Settings, listener: socket.socket) -> str:
    """The address as a person on this machine types it."""
    host, scheme = settings.host, "https" if settings.tls_cert else "http"
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{scheme}://{shown}:{listener.getsockname()[1]}"
