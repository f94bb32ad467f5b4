"""`tidegate bundles`: what the store holds, and which version answers."""

from typing import Annotated, Any

import typer

from tidegate.bundle_store import ALIASES, CHAMPION, BundleStore
from tidegate.cli import app, console
from tidegate.cli.options import AsJson, Home
from tidegate.errors import BundleCorrupt
from tidegate.settings import Settings

bundles = typer.Typer(no_args_is_help=True, help="What the store holds, and which version answers.")
app.add_typer(bundles, name="bundles")

Version = Annotated[str, typer.Argument(help="Version number or alias.")]


@bundles.command("list")
def list_bundles(home: Home = None, as_json: AsJson = False) -> None:
    """Every model, its versions, aliases and what was measured of the chosen variant."""
    store = _store(home)
    rows = [_row(store, name, version) for name in store.names() for version in store.versions(name)]
    if as_json:
        console.json(rows)
        return
    if not rows:
        console.say(f"no bundles in {store.root}; `tidegate export RUN --name M` makes one")
        return
    columns = ["name", "version", "aliases", "variant", "accuracy", "p50 ms", "texts/s"]
    console.table("bundles", columns, [_cells(row) for row in rows])
    for row in rows:
        if "error" in row:
            console.fail(row["error"])


@bundles.command("show")
def show(name: str, version: Version = CHAMPION, home: Home = None) -> None:
    """The whole manifest of a version (number or alias) as JSON."""
    console.out(_store(home).load(name, version).manifest.model_dump_json(indent=2))


@bundles.command("verify")
def verify(name: str, version: Version = CHAMPION, home: Home = None) -> None:
    """Check every byte of a version against its manifest."""
    bundle = _store(home).load(name, version)
    console.say(f"{name}/{bundle.manifest.version}: {len(bundle.manifest.files) + 1} files are what was published")


@bundles.command("alias")
def alias(
    name: str,
    alias: str = typer.Argument(help=f"one of: {', '.join(ALIASES)}"),
    version: str = typer.Argument(help="version number, or another alias"),
    home: Home = None,
) -> None:
    """Point an alias at a version."""
    number = _store(home).set_alias(name, alias, version)
    console.say(f"{name}: {alias} -> {number}; a running server takes it up when it is started again")


@bundles.command("rollback")
def rollback(name: str, home: Home = None) -> None:
    """Point the champion at the newest version before it."""
    store = _store(home)
    current = store.resolve(name, CHAMPION)
    earlier = [version for version in store.versions(name) if version < current]
    if not earlier:
        raise typer.BadParameter(f"{name}/{current} is the oldest version; there is nothing to go back to")
    store.set_alias(name, CHAMPION, earlier[-1])
    console.say(f"{name}: champion {current} -> {earlier[-1]}; a running server takes it up when it is started again")


@bundles.command("remove")
def remove(name: str, version: int, home: Home = None) -> None:
    """Delete a version that no alias points at."""
    _store(home).remove(name, version)
    console.say(f"removed {name}/{version}")


def _store(home: Home) -> BundleStore:
    return BundleStore(Settings.load(home=home).bundles_dir)


def _row(store: BundleStore, name: str, version: int) -> dict[str, Any]:
    aliases = [alias for alias, at in store.aliases(name).items() if at == version]
    row: dict[str, Any] = {"name": name, "version": version, "aliases": aliases}
    try:
        manifest = store.load(name, version).manifest
    except BundleCorrupt as error:  # one bad bundle must not hide the others
        return row | {"error": str(error)}
    evidence = next((e for e in manifest.evidence if e.variant == manifest.chosen), None)
    return row | {
        "task": manifest.task,
        "variant": manifest.chosen,
        "accuracy": evidence and evidence.accuracy,
        "latency_p50_seconds": evidence and evidence.latency_p50_seconds,
        "throughput_texts_per_second": evidence and evidence.throughput_texts_per_second,
        "created_at": manifest.created_at.isoformat(timespec="seconds"),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    start = [row["name"], str(row["version"]), ", ".join(row["aliases"])]
    if "error" in row:
        return [*start, "corrupt", "-", "-", "-"]
    return [
        *start,
        row["variant"],
        f"{row['accuracy']:.3f}" if row["accuracy"] is not None else "-",
        f"{row['latency_p50_seconds'] * 1e3:.1f}" if row["latency_p50_seconds"] else "-",
        f"{row['throughput_texts_per_second']:.0f}" if row["throughput_texts_per_second"] else "-",
    ]
