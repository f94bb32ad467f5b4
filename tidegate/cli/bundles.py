"""`tidegate bundles`: what the store holds, and which version answers."""

from typing import Annotated, Any

import typer

from tidegate.aliases import ALIASES, CHAMPION
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.cli import app, console
from tidegate.cli.behaviour import show_published
from tidegate.cli.options import AsJson, Home, Model, Percent
from tidegate.errors import BundleCorrupt
from tidegate.settings import Settings

bundles = typer.Typer(no_args_is_help=True, help="What the store holds, and which version answers.")
app.add_typer(bundles, name="bundles")

_FOLLOWED = "running servers follow once the version is loaded there"

VersionArgument = Annotated[str, typer.Argument(metavar="[VERSION]", help="Version number or alias.")]


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
def show(name: Model, version: VersionArgument = CHAMPION, home: Home = None) -> None:
    """The whole manifest of a version (number or alias) as JSON; beside it, its behavioural tests and its own page."""
    settings = Settings.load(home=home)
    bundle = BundleStore(settings.bundles_dir).load(name, version)
    console.out(bundle.manifest.model_dump_json(indent=2))
    show_published(bundle, as_message=True)
    if bundle.manifest.demo is not None:
        console.say(_page_line(settings, bundle))


@bundles.command("verify")
def verify(name: Model, version: VersionArgument = CHAMPION, home: Home = None) -> None:
    """Check every byte of a version against its manifest."""
    bundle = _store(home).load(name, version)
    console.say(f"{name}/{bundle.manifest.version}: {len(bundle.manifest.files) + 1} files are what was published")


@bundles.command("alias", epilog="Example: tidegate bundles alias sentiment canary 4 --percent 20")
def alias(
    name: Model,
    alias: Annotated[str, typer.Argument(help=f"One of: {', '.join(ALIASES)}.")],
    version: Annotated[
        str, typer.Argument(help="Version number, or another alias; `none` takes a canary or shadow away.")
    ],
    percent: Percent = None,
    home: Home = None,
) -> None:
    """Point an alias at a version; running servers follow within seconds, and drop no request."""
    store = _store(home)
    if version == "none":
        store.drop_alias(name, alias)
        console.say(f"{name}: {alias} is nobody; {_FOLLOWED}")
        return
    number = store.set_alias(name, alias, version, percent)
    share = f" for {store.aliases(name).canary_percent:g} % of the callers" if alias == "canary" else ""
    console.say(f"{name}: {alias} -> {number}{share}; {_FOLLOWED}")


@bundles.command("rollback", epilog="Example: tidegate bundles rollback sentiment")
def rollback(name: Model, home: Home = None) -> None:
    """Point the champion at the one before it."""
    current, earlier = _store(home).rollback(name)
    console.say(f"{name}: champion {current} -> {earlier}; {_FOLLOWED}")


@bundles.command("remove")
def remove(name: Model, version: Annotated[int, typer.Argument(help="Version number.")], home: Home = None) -> None:
    """Delete a version that no alias points at."""
    _store(home).remove(name, version)
    console.say(f"removed {name}/{version}")


def _page_line(settings: Settings, bundle: Bundle) -> str:
    name, version = bundle.manifest.name, bundle.manifest.version
    shown = (
        f"shown only by a server that is started with --trust-demo {name}, or {name}/{version} for this version alone"
    )
    if settings.trusts_demo(name, version):
        shown = "TIDEGATE_TRUST_DEMO has it shown"
    return f"its run brought a demo page, {bundle.file(bundle.manifest.demo or '')}: {shown}"


def _store(home: Home) -> BundleStore:
    return BundleStore(Settings.load(home=home).bundles_dir)


def _row(store: BundleStore, name: str, version: int) -> dict[str, Any]:
    aliases = store.aliases(name).holders(version)
    row: dict[str, Any] = {"name": name, "version": version, "aliases": aliases}
    try:
        manifest = store.load(name, version).manifest
    except BundleCorrupt as error:  # one bad bundle must not hide the others
        return row | {"error": str(error)}
    evidence = next((e for e in manifest.evidence if e.variant == manifest.chosen), None)
    return row | {
        "task": manifest.task,
        "variant": manifest.chosen,
        "accuracy": evidence.accuracy if evidence and manifest.task != "embedding" else None,
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
