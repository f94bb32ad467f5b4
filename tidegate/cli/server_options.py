"""Options of the commands that start a server: `serve`, `up`, and of some `quickstart`.

Each is a setting, too, and None leaves that to `TIDEGATE_<FIELD>`. The defaults that help shows are those of
`tidegate.settings`.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

# Panels of `--help`.
_LISTEN, _RUN, _SHOW, _LOG = "Where it listens", "How models run", "What is served", "What it logs"

Host = Annotated[
    str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1", rich_help_panel=_LISTEN)
]
Port = Annotated[
    int | None,
    typer.Option(help="Port to listen on; 0 picks a free one.", show_default="8080", rich_help_panel=_LISTEN),
]
GrpcPort = Annotated[
    int | None,
    typer.Option(
        "--grpc-port", help="Port for gRPC; 0 picks a free one.", show_default="no gRPC", rich_help_panel=_LISTEN
    ),
]
OpenToAll = Annotated[
    bool | None,
    typer.Option("--open", help="Serve beyond loopback without an API key.", rich_help_panel=_LISTEN),
]
DeviceName = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="auto, cpu, cuda, cuda:N, or per model: NAME=cuda:1,auto.",
        show_default="auto",
        rich_help_panel=_RUN,
    ),
]
GoalName = Annotated[
    str | None,
    typer.Option(
        "--goal", help="What tuning chose for: latency or throughput.", show_default="throughput", rich_help_panel=_RUN
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes that answer, each with its share of the cores.", show_default="1", rich_help_panel=_RUN
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option("--tls-cert", help="Certificate chain (PEM) to serve HTTPS with.", rich_help_panel=_LISTEN),
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Its private key (PEM).", rich_help_panel=_LISTEN)]
RootPrefix = Annotated[
    str | None,
    typer.Option(
        "--root-path",
        help="What a proxy puts in front of every address: /tidegate.",
        rich_help_panel=_LISTEN,
    ),
]
TrustedProxies = Annotated[
    str | None,
    typer.Option(
        "--trusted-proxies",
        help="Addresses or networks whose X-Forwarded-For and -Proto hold.",
        rich_help_panel=_LISTEN,
    ),
]
LogForm = Annotated[
    Literal["text", "json"] | None,
    typer.Option("--log-format", help="Lines for people, or JSON objects.", show_default="text", rich_help_panel=_LOG),
]
Follow = Annotated[
    list[str] | None,
    typer.Option(
        "--follow",
        help="models:/NAME@ALIAS: export it when it moves, as canary. May be repeated.",
        rich_help_panel=_SHOW,
    ),
]
FollowSeconds = Annotated[
    float | None,
    typer.Option("--follow-seconds", help="How often the registry is asked.", show_default="30", rich_help_panel=_SHOW),
]
AutoPromote = Annotated[
    bool | None,
    typer.Option(
        "--auto-promote",
        help="Promote canaries, or take them back, by stated rules.",
        rich_help_panel=_SHOW,
    ),
]
TrustDemo = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-demo",
        help="NAME or NAME/VERSION: run and show the demo page that its run brought. May be repeated.",
        rich_help_panel=_SHOW,
    ),
]
AccessLog = Annotated[
    bool | None,
    typer.Option("--access-log", help="Log a line for each request.", rich_help_panel=_LOG),
]
