"""`tidegate keys`: who may call the server, and for what; a running one follows within about a second."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate import home as home_folder
from tidegate.cli import app, console
from tidegate.cli.options import AsJson, Home
from tidegate.cli.share import seconds
from tidegate.moments import instant
from tidegate.settings import Settings

if TYPE_CHECKING:
    from serving.keys import ApiKeys

keys = typer.Typer(no_args_is_help=True, help="API keys: predict, annotate, admin.")
app.add_typer(keys, name="keys")


@keys.command("create", epilog="Example: tidegate keys create alice --role annotate --expires 90d")
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, for people who read the list.")],
    role: Annotated[str, typer.Option(help="predict, annotate (predict and relabel) or admin (everything).")],
    rate: Annotated[
        float | None, typer.Option(help="Most requests per second, for each worker of a server.", show_default=False)
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it holds: 30m, 12h or 90d.", show_default="for good")
    ] = None,
    home: Home = None,
) -> None:
    """Make a key and print it, this once; only its SHA-256 is kept."""
    from serving.access import Role

    lifetime_seconds = None if expires is None else seconds(expires)
    key_id, key = _keys(Settings.load(home=home)).create(name, Role.named(role), rate, lifetime_seconds)
    console.out(key)
    console.say(f"key {key_id} may {role}; it is not shown again; `tidegate keys revoke {key_id}` ends it")


@keys.command("list")
def list_keys(home: Home = None, as_json: AsJson = False) -> None:
    """Every key ever made, newest first; the keys themselves are not kept."""
    known = _keys(Settings.load(home=home))
    now = known.clock()
    rows: list[dict[str, Any]] = [
        {
            "id": key.id,
            "name": key.name,
            "role": key.role.name.lower(),
            "state": key.state(now),
            "rate": key.rate,
            "created_at": instant(key.created_at),
            "expires_at": instant(key.expires_at),
            "revoked_at": instant(key.revoked_at),
        }
        for key in known.list()
    ]
    if as_json:
        console.json(rows)
    elif not rows:
        console.say("no keys; `tidegate keys create NAME --role predict` makes one")
    else:
        columns = ["id", "name", "role", "state", "rate", "created_at", "expires_at"]
        console.table("API keys", columns, [["" if row[c] is None else str(row[c]) for c in columns] for row in rows])


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="What `tidegate keys list` calls it.")],
    home: Home = None,
) -> None:
    """End a key for good; a running server refuses it within about a second, and who signed in with it."""
    _keys(Settings.load(home=home)).revoke(key_id)
    console.say(f"key {key_id} is revoked")


def _keys(settings: Settings) -> "ApiKeys":
    from serving.keys import ApiKeys
    from tidegate.store import open_database

    home_folder.prepare(settings)
    return ApiKeys(open_database(settings.state_url))
