"""`tidegate export` and `tidegate runs`: from a registered run to a published bundle, through the export child.

`up` and `quickstart` call `export_run` too. The child publishes into the store on disk;
this side loads what was published, so that every byte is verified once more before anyone serves it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate import home as home_folder
from tidegate.bundle import Bundle, Evidence, Manifest
from tidegate.bundle_store import BundleStore, checked_name
from tidegate.cli import app, children, console
from tidegate.cli.behaviour import show_published
from tidegate.cli.options import (
    MAX_ACCURACY_DROP,
    AsJson,
    Data,
    Home,
    LabelColumn,
    MaxAccuracyDrop,
    NoTune,
    Run,
    TextColumn,
    TrustPickle,
)
from tidegate.cli.tune import tune_published
from tidegate.errors import UsageError
from tidegate.settings import Settings

_CHILD = "tidegate.cli.export_child"

runs = typer.Typer(no_args_is_help=True, help="What the registry holds.")
app.add_typer(runs, name="runs")


def export_run(
    settings: Settings,
    run: str,
    name: str,
    *,
    data: Path | None = None,
    text_column: str = "text",
    label_column: str = "label",
    max_accuracy_drop: float = MAX_ACCURACY_DROP,
    trust_pickle: bool = False,
    allow_behaviour_failures: bool = False,
    embedded_store: bool = False,
) -> Bundle:
    """Export a run in the export environment and load the published bundle.

    Args:
        settings: for the home folder and the export environment.
        run: models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/PATH, or a directory.
        name: the bundle's name.
        data: CSV to verify on; None takes the run's own evaluation split.
        text_column: column of the texts in `data`.
        label_column: column of the labels in `data`.
        max_accuracy_drop: most points of accuracy that a variant may lose against the source model.
        trust_pickle: load pickles, which may run any code (in the child).
        allow_behaviour_failures: publish although behavioural tests fail that gate.
        embedded_store: look the run up in the home folder's own store, whatever MLFLOW_TRACKING_URI says.

    Raises:
        TidegateError: whatever the child raised; GateRefused when no variant passed, or behavioural tests failed.
    """
    checked_name(name)
    if data is not None and not data.is_file():
        raise UsageError(f"--data {data}: no such file")
    home_folder.prepare(settings)
    request = {
        "run": run,
        "name": name,
        "data": str(data.absolute()) if data else None,
        "text_column": text_column,
        "label_column": label_column,
        "max_accuracy_drop": max_accuracy_drop,
        "trust_pickle": trust_pickle,
        "allow_behaviour_failures": allow_behaviour_failures,
    }
    published = ask(settings, "export", request, embedded_store=embedded_store)
    return BundleStore(settings.bundles_dir).load(name, published["version"])


def fetch_splits(settings: Settings, run: str, work: Path) -> dict[str, Path]:
    """The CSV files (text, label) of a run's splits, `training` and `evaluation`, as far as it logged them.

    Args:
        settings: for the home folder and the export environment.
        run: as for `export_run`.
        work: an empty folder that the run is copied into.

    Raises:
        TidegateError: whatever the child raised.
    """
    files = ask(settings, "fetch_splits", {"run": run, "work": str(work)})
    return {name: Path(file) for name, file in files.items()}


def default_name(run: str) -> str:
    """The bundle name that a run suggests: the registered name, or the last part of a path.

    Raises:
        UsageError: nothing in it can be a name.
    """
    last = run.removeprefix("models:/").partition("@")[0] if run.startswith("models:/") else run.rstrip("/")
    parts = last.split("/")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", parts[0] if run.startswith("models:/") else parts[-1]).strip("-_")[:64]
    if not name:
        raise UsageError(f"{run!r} suggests no name for the bundle; give one with --name")
    return name


@app.command("export", epilog="Example: tidegate export models:/sentiment@champion --name sentiment --data heldout.csv")
def export(
    run: Run,
    name: Annotated[str, typer.Option("--name", help="Name of the bundle.")],
    data: Data = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    max_accuracy_drop: MaxAccuracyDrop = MAX_ACCURACY_DROP,
    trust_pickle: TrustPickle = False,
    allow_behaviour_failures: Annotated[
        bool, typer.Option("--allow-behaviour-failures", help="Publish although behavioural tests fail that gate.")
    ] = False,
    no_tune: NoTune = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Turn a run into a verified bundle: ONNX, quantized, compared with the source model, published, tuned."""
    settings = Settings.load(home=home, tune=False if no_tune else None)
    bundle = export_run(
        settings,
        run,
        name,
        data=data,
        text_column=text_column,
        label_column=label_column,
        max_accuracy_drop=max_accuracy_drop,
        trust_pickle=trust_pickle,
        allow_behaviour_failures=allow_behaviour_failures,
    )
    if as_json:
        tune_published(settings, bundle)
        console.json(bundle.manifest.model_dump(mode="json"))
        return
    show_evidence(bundle.manifest)
    show_published(bundle)
    tune_published(settings, bundle)


def show_evidence(manifest: Manifest, *, as_message: bool = False) -> None:
    """The table of what was measured: on stdout, or as a message (stderr) where stdout is for something else."""
    show_numbers(
        f"{manifest.name}/{manifest.version} serves {manifest.chosen}", manifest.evidence, as_message=as_message
    )
    for evidence in manifest.evidence:
        if not evidence.accepted:
            console.say(f"{evidence.variant} was refused: it {evidence.refusal}")


def show_numbers(title: str, evidence: Sequence[Evidence], *, as_message: bool = False) -> None:
    """The table alone: the source model, then one row a variant, accepted or refused."""
    is_embedding = evidence[0].mean_cosine is not None
    rows = [*([] if is_embedding else [_source_cells(evidence[0])]), *map(_cells, evidence)]
    columns = ["variant", "agree %", "max diff", *(_COSINES if is_embedding else _SCORES), "MB", "p50 ms", "texts /s"]
    console.table(f"{title}; verified on {evidence[0].rows} texts", columns, rows, as_message=as_message)


_SCORES = ("accuracy %", "F1 %")
_COSINES = ("mean cosine", "worst cosine")


def _source_cells(evidence: Evidence) -> list[str]:
    return ["source model", "", "", _percent(evidence.source_accuracy), _percent(evidence.source_macro_f1), "", "", ""]


def _cells(evidence: Evidence) -> list[str]:
    return [
        evidence.variant if evidence.accepted else f"{evidence.variant} refused",
        f"{evidence.agreement * 100:.2f}",
        f"{evidence.max_abs_error:.3f}",
        *_scores(evidence),
        f"{evidence.size_bytes / 1e6:.1f}",
        f"{evidence.latency_p50_seconds * 1e3:.2f}",
        f"{evidence.throughput_texts_per_second:.0f}",
    ]


def _scores(evidence: Evidence) -> tuple[str, str]:
    if evidence.mean_cosine is not None and evidence.worst_cosine is not None:
        return f"{evidence.mean_cosine:.4f}", f"{evidence.worst_cosine:.4f}"
    return (
        _percent(evidence.accuracy, evidence.accuracy_interval),
        _percent(evidence.macro_f1, evidence.macro_f1_interval),
    )


def _percent(share: float, interval: tuple[float, float] | None = None) -> str:
    between = f" ({interval[0] * 100:.0f}-{interval[1] * 100:.0f})" if interval else ""
    return f"{share * 100:.1f}{between}"


@runs.command("list")
def list_runs(home: Home = None, as_json: AsJson = False) -> None:
    """Registered models, newest version first."""
    found = ask(Settings.load(home=home), "list_runs", {})
    if as_json:
        console.json(found)
        return
    if not found:
        console.say("the registry has no models; examples/train_tfidf.py --register NAME makes one")
        return
    rows = [[row["uri"], ", ".join(row["aliases"]), row["run_id"][:8], _number(row, "accuracy")] for row in found]
    console.table("registered models", ["run", "aliases", "run id", "accuracy"], rows)


@runs.command("show")
def show_run(run: Run, home: Home = None) -> None:
    """Params, metrics and data sets of a run, as JSON."""
    console.json(ask(Settings.load(home=home), "show_run", {"run": run}))


def _number(row: dict[str, Any], metric: str) -> str:
    value = row["metrics"].get(f"evaluation_{metric}")
    return "-" if value is None else f"{value:.4f}"


def ask(settings: Settings, action: str, arguments: dict[str, Any], *, embedded_store: bool = False) -> Any:
    """Have the export child carry out one action; see `export_child`."""
    request = arguments | {"home": str(settings.home.absolute())}
    return children.run_child(settings, ["-m", _CHILD, action], request, embedded_store=embedded_store)
