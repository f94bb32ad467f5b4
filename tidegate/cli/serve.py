"""`tidegate serve` and `tidegate up`: from bundles, or from a run, to a running gateway."""

from pathlib import Path
from typing import Annotated

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


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    device: DeviceName = None,
    goal: GoalName = None,
    no_tune: NoTune = None,
    open: OpenToAll = None,
    home: Home = None,
) -> None:
    """Serve every bundle of the store: REST, demos, metrics and monitoring."""
    from tidegate.cli import gateway

    settings = Settings.load(
        home=home,
        host=host,
        port=port,
        workers=workers,
        device=device,
        goal=goal,
        tune=False if no_tune else None,
        open=open or None,
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
    device: DeviceName = None,
    no_tune: NoTune = None,
    open: OpenToAll = None,
    home: Home = None,
) -> None:
    """Export a run, make it the champion, and serve it."""
    from tidegate.cli import gateway
    from tidegate.cli.export import default_name, export_run, show_evidence

    settings = Settings.load(
        home=home, host=host, port=port, device=device, tune=False if no_tune else None, open=open or None
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
    tune_published(settings, bundle)
    BundleStore(settings.bundles_dir).set_alias(manifest.name, CHAMPION, manifest.version)
    console.say(f"{manifest.name}: champion -> {manifest.version}")
    gateway.run(settings, listener)
