"""Options that several commands share, so that they read and behave the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Folder for bundles, state and the embedded MLflow store.",
        show_default=".tidegate",
    ),
]
Model = Annotated[str, typer.Argument(help="Name of the model, as `tidegate bundles list` shows it.")]
AnyModel = Annotated[str | None, typer.Argument(help="One model; all when left out.")]
Version = Annotated[str, typer.Option(help="Version number or alias.")]
Percent = Annotated[
    float | None,
    typer.Option(min=0, max=100, help="Share of the callers that the canary answers.", show_default="10"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
NoTune = Annotated[
    bool | None,
    typer.Option("--no-tune", help="Serve the exported choice; measure nothing here.", show_default=False),
]

# What is exported, and how it is verified: of `export` and of `up`.
MAX_ACCURACY_DROP = 0.5  # points
Run = Annotated[str, typer.Argument(help="models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/PATH, or a directory.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="CSV to verify on.", show_default="the run's evaluation split"),
]
TextColumn = Annotated[str, typer.Option("--text-column", help="Column of the texts in --data.")]
LabelColumn = Annotated[str, typer.Option("--label-column", help="Column of the labels in --data.")]
MaxAccuracyDrop = Annotated[
    float,
    typer.Option(
        "--max-accuracy-drop", metavar="POINTS", min=0, max=100, help="Most points of accuracy that a variant may lose."
    ),
]
TrustPickle = Annotated[
    bool, typer.Option("--trust-pickle", help="Load pickles, which may run any code; only if you trust their maker.")
]


def joined(values: list[str] | None) -> str | None:
    """What an option that may be repeated was given, as its setting is written; None where it was not."""
    return ",".join(values) if values else None
