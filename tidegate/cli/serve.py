"""`tidegate serve` and `tidegate up`: from bundles, or from a run, to a running gateway."""

from typing import Annotated

import typer

from tidegate.aliases import CHAMPION
from tidegate.bundle_store import BundleStore
from tidegate.cli import app, console
from tidegate.cli.options import (
    MAX_ACCURACY_DROP,
    Data,
    Home,
    LabelColumn,
    MaxAccuracyDrop,
    NoTune,
    Run,
    TextColumn,
    TrustPickle,
    joined,
)
from tidegate.cli.server_options import (
    AccessLog,
    AutoPromote,
    DeviceName,
    Follow,
    FollowSeconds,
    GoalName,
    GrpcPort,
    Host,
    LogForm,
    OpenToAll,
    Port,
    RootPrefix,
    TlsCert,
    TlsKey,
    TrustDemo,
    TrustedProxies,
    Workers,
)
from tidegate.cli.tune import tune_published
from tidegate.settings import Settings


@app.command(epilog="Each option is a setting, too (TIDEGATE_PORT=8080); docs/reference/settings.md has them all.")
def serve(
    host: Host = None,
    port: Port = None,
    grpc_port: GrpcPort = None,
    workers: Workers = None,
    device: DeviceName = None,
    goal: GoalName = None,
    no_tune: NoTune = None,
    open: OpenToAll = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    root_path: RootPrefix = None,
    trusted_proxies: TrustedProxies = None,
    log_format: LogForm = None,
    access_log: AccessLog = None,
    follow: Follow = None,
    follow_seconds: FollowSeconds = None,
    auto_promote: AutoPromote = None,
    trust_demo: TrustDemo = None,
    home: Home = None,
) -> None:
    """Serve every bundle of the store: REST, demos, metrics and monitoring."""
    from tidegate.cli import gateway

    settings = Settings.load(
        home=home,
        host=host,
        port=port,
        grpc_port=grpc_port,
        workers=workers,
        device=device,
        goal=goal,
        tune=False if no_tune else None,
        open=open,
        tls_cert=tls_cert,
        tls_key=tls_key,
        root_path=root_path,
        trusted_proxies=trusted_proxies,
        log_format=log_format,
        access_log=access_log,
        follow=joined(follow),
        follow_seconds=follow_seconds,
        auto_promote=auto_promote,
        trust_demo=joined(trust_demo),
    )
    gateway.run(settings, gateway.open_door(settings))


@app.command(epilog="Example: tidegate up models:/sentiment@champion")
def up(
    run: Run,
    name: Annotated[
        str | None, typer.Option(help="Name to serve it under.", show_default="the registered name")
    ] = None,
    data: Data = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    max_accuracy_drop: MaxAccuracyDrop = MAX_ACCURACY_DROP,
    trust_pickle: TrustPickle = False,
    host: Host = None,
    port: Port = None,
    grpc_port: GrpcPort = None,
    device: DeviceName = None,
    no_tune: NoTune = None,
    open: OpenToAll = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    root_path: RootPrefix = None,
    trusted_proxies: TrustedProxies = None,
    trust_demo: TrustDemo = None,
    home: Home = None,
) -> None:
    """Export a run, make it the champion, and serve it."""
    from tidegate.cli import gateway
    from tidegate.cli.behaviour import show_published
    from tidegate.cli.export import default_name, export_run, show_evidence

    settings = Settings.load(
        home=home,
        host=host,
        port=port,
        grpc_port=grpc_port,
        device=device,
        tune=False if no_tune else None,
        open=open,
        tls_cert=tls_cert,
        tls_key=tls_key,
        root_path=root_path,
        trusted_proxies=trusted_proxies,
        trust_demo=joined(trust_demo),
    )
    listener = gateway.open_door(settings)
    bundle = export_run(
        settings,
        run,
        name or default_name(run),
        data=data,
        text_column=text_column,
        label_column=label_column,
        max_accuracy_drop=max_accuracy_drop,
        trust_pickle=trust_pickle,
    )
    manifest = bundle.manifest
    show_evidence(manifest, as_message=True)
    show_published(bundle, as_message=True)
    tune_published(settings, bundle)
    BundleStore(settings.bundles_dir).set_alias(manifest.name, CHAMPION, manifest.version)
    console.say(f"{manifest.name}: champion -> {manifest.version}")
    gateway.run(settings, listener)
