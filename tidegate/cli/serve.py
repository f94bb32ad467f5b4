"""`tidegate serve` and `tidegate up`: from bundles, or from a run, to a running gateway."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tidegate.aliases import CHAMPION
from tidegate.bundle_store import BundleStore
from tidegate.cli import app, console
from tidegate.cli.options import Home
from tidegate.cli.tune import NoTune, tune_published
from tidegate.settings import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]", show_default=False)]
Port = Annotated[
    int | None, typer.Option(help="Port to listen on; 0 picks a free one. [default: 8080]", show_default=False)
]
GrpcPort = Annotated[
    int | None,
    typer.Option("--grpc-port", help="Port for gRPC; 0 picks a free one. [default: no gRPC]", show_default=False),
]
OpenToAll = Annotated[
    bool | None, typer.Option("--open", help="Serve beyond loopback without an API key.", show_default=False)
]
DeviceName = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="auto, cpu, cuda, cuda:N, or per model: headlines=cuda:1,topics=cpu,auto. [default: auto]",
        show_default=False,
    ),
]
GoalName = Annotated[
    str | None,
    typer.Option(
        "--goal", help="What tuning chose for: latency or throughput. [default: throughput]", show_default=False
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes that answer, each with its share of the cores. [default: 1]", show_default=False),
]


TlsCert = Annotated[
    Path | None, typer.Option("--tls-cert", help="Certificate chain (PEM) to serve HTTPS with.", show_default=False)
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Its private key (PEM).", show_default=False)]
RootPrefix = Annotated[
    str | None,
    typer.Option("--root-path", help="What a proxy puts in front of every address: /tidegate.", show_default=False),
]
TrustedProxies = Annotated[
    str | None,
    typer.Option(
        "--trusted-proxies", help="Addresses or networks whose X-Forwarded-For and -Proto hold.", show_default=False
    ),
]
LogForm = Annotated[
    Literal["text", "json"] | None,
    typer.Option("--log-format", help="Lines for people, or JSON objects. [default: text]", show_default=False),
]
Follow = Annotated[
    list[str] | None,
    typer.Option(
        "--follow", help="models:/NAME@ALIAS: export it when it moves, as canary. May be repeated.", show_default=False
    ),
]
FollowSeconds = Annotated[
    float | None,
    typer.Option("--follow-seconds", help="How often the registry is asked. [default: 30]", show_default=False),
]
AutoPromote = Annotated[
    bool | None,
    typer.Option("--auto-promote", help="Promote canaries, or take them back, by stated rules.", show_default=False),
]
TrustDemo = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-demo",
        help="NAME or NAME/VERSION: run and show the demo page that its run brought. May be repeated.",
        show_default=False,
    ),
]
AccessLog = Annotated[
    bool | None, typer.Option("--access-log", help="Log a line for each request.", show_default=False)
]


@app.command()
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
        open=open or None,
        tls_cert=tls_cert,
        tls_key=tls_key,
        root_path=root_path,
        trusted_proxies=trusted_proxies,
        log_format=log_format,
        access_log=access_log or None,
        follow=",".join(follow) if follow else None,
        follow_seconds=follow_seconds,
        auto_promote=auto_promote or None,
        trust_demo=",".join(trust_demo) if trust_demo else None,
    )
    gateway.run(settings, gateway.open_door(settings))


@app.command()
def up(
    run: Annotated[
        str, typer.Argument(help="models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/PATH, or a directory.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Name to serve it under. [default: the registered name]", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="CSV to verify on, in place of the run's own evaluation data.")
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column of the texts in --data.")] = "text",
    label_column: Annotated[str, typer.Option(help="Column of the labels in --data.")] = "label",
    max_accuracy_drop: Annotated[
        float, typer.Option(min=0, max=100, help="Most points of accuracy that a variant may lose.")
    ] = 0.5,
    trust_pickle: Annotated[bool, typer.Option(help="Load pickles of this run; they can run any code.")] = False,
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
        open=open or None,
        tls_cert=tls_cert,
        tls_key=tls_key,
        root_path=root_path,
        trusted_proxies=trusted_proxies,
        trust_demo=",".join(trust_demo) if trust_demo else None,
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
