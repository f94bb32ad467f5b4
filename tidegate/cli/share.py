"""`tidegate share`: links that open the demo of one model, for a while, to whoever has them."""

import re
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate import home as home_folder
from tidegate.bundle_store import BundleStore
from tidegate.cli import app, console
from tidegate.cli.options import AsJson, Home, Model
from tidegate.errors import UsageError
from tidegate.moments import instant
from tidegate.settings import Settings

if TYPE_CHECKING:
    from demos.share import Share, ShareLinks

share = typer.Typer(no_args_is_help=True, help="Links that open one demo, for a while, to whoever has them.")
app.add_typer(share, name="share")

_UNITS_SECONDS = {"m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhd])", re.ASCII)
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (mapped away, not bound)


@share.command("create", epilog="Example: tidegate share create sentiment --expires 7d --qr")
def create(
    model: Model,
    expires: Annotated[str, typer.Option(help="How long it opens the demo: 30m, 12h or 7d.")] = "7d",
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password, which is typed here unseen, or read from stdin.")
    ] = False,
    max_visits: Annotated[
        int | None, typer.Option(help="How many browsers may open it.", show_default="any number")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="Most questions a minute, of all visitors together.", show_default="any"),
    ] = None,
    notice: Annotated[str, typer.Option(help="A line that visitors read above the demo.", show_default=False)] = "",
    qr: Annotated[bool, typer.Option("--qr", help="Draw the link's QR code, too, on stderr.")] = False,
    tunnel: Annotated[
        bool, typer.Option("--tunnel", help="Make the demo public through Gradio's tunnel, until Ctrl-C.")
    ] = False,
    tunnel_server: Annotated[
        str | None, typer.Option(help="HOST:PORT of an FRP server of yours, in place of Gradio's.", show_default=False)
    ] = None,
    home: Home = None,
) -> None:
    """Print a link that opens the demo of MODEL and nothing else; without a password it is as secret as its way."""
    settings = Settings.load(home=home)
    lifetime_seconds = seconds(expires)
    if tunnel_server is not None and not tunnel:
        raise UsageError("--tunnel-server needs --tunnel, which says that the demo becomes public")
    BundleStore(settings.bundles_dir).resolve(model, "champion")
    secret = _read_password() if password else None
    with _reached_at(settings, model, tunnel_server, tunnel=tunnel) as base:
        share_id, token = _links(settings).create(
            model, lifetime_seconds, password=secret, max_visits=max_visits, rate_per_minute=rate, notice=notice
        )
        link = f"{base}/demo/{model}?share={token}"
        console.out(link)
        console.say(
            f"share {share_id} opens the demo of {model} for {expires}; `tidegate share revoke {share_id}` closes it"
        )
        if qr:
            _draw(link)
        if tunnel:
            from tidegate.cli.tunnel import wait_for_interrupt

            wait_for_interrupt()
        elif qr:
            console.say(f"the code as a page: {base}/share/{model}?share={token}")


@share.command("list")
def list_shares(home: Home = None, as_json: AsJson = False) -> None:
    """Every link ever made, newest first, with its visits and uses; the links themselves are not kept."""
    links = _links(Settings.load(home=home))
    rows = [_row(one, links.clock()) for one in links.list()]
    if as_json:
        console.json(rows)
    elif not rows:
        console.say("no share links; `tidegate share create M --expires 7d` makes one")
    else:
        columns = ["id", "model", "state", "visits", "max_visits", "uses", "rate", "password", "expires_at"]
        console.table("share links", columns, [[_cell(row[column]) for column in columns] for row in rows])


@share.command("revoke")
def revoke(
    share_id: Annotated[str, typer.Argument(metavar="ID", help="What `tidegate share list` calls it.")],
    home: Home = None,
) -> None:
    """Close a link; a running server refuses it within a second."""
    _links(Settings.load(home=home)).revoke(share_id)
    console.say(f"share {share_id} is closed")


def seconds(text: str) -> float:
    """`30m`, `12h` or `7d` in seconds.

    Raises:
        UsageError: anything else.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--expires {text!r} is no duration; write minutes, hours or days: 30m, 12h, 7d")
    return int(match[1]) * _UNITS_SECONDS[match[2]]


def base_url(settings: Settings) -> str:
    """Where visitors reach the server, without a trailing slash: as set, as the running server says, as configured.

    Raises:
        UsageError: the port is only known to the running server.
    """
    known = settings.public_url or home_folder.read_address(settings.home)
    if known:
        return known.rstrip("/")
    if settings.port == 0:
        raise UsageError("port 0 is picked anew at each start; start the server first, or set TIDEGATE_PUBLIC_URL")
    host = _ANY_ADDRESS.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _reached_at(
    settings: Settings, model: str, tunnel_server: str | None, *, tunnel: bool
) -> AbstractContextManager[str]:
    """The base URL of the link, while it is there.

    Raises:
        UsageError: it is not known, or there is no server to tunnel to.
    """
    if not tunnel:
        return nullcontext(base_url(settings))
    server = home_folder.read_address(settings.home)
    if not server:
        raise UsageError(f"no server of {settings.home} is running, so there is nothing to tunnel to; start it first")
    from tidegate.cli.tunnel import announced

    return announced(model, server, tunnel_server)


def _draw(link: str) -> None:
    from demos.qr import print_code

    print_code(link, sys.stderr)


def _read_password() -> str:
    """From whoever sits at the terminal, twice; from a pipe, its first line; a command line would show it."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password of the link", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _row(one: "Share", now: float) -> dict[str, Any]:
    return {
        "id": one.id,
        "model": one.model,
        "state": one.state(now),
        "visits": one.visits,
        "max_visits": one.max_visits,
        "uses": one.uses,
        "rate": one.rate_per_minute,
        "password": one.password_hash is not None,
        "notice": one.notice,
        "created_at": instant(one.created_at),
        "expires_at": instant(one.expires_at),
        "revoked_at": instant(one.revoked_at),
    }


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _links(settings: Settings) -> "ShareLinks":
    from demos.share import ShareLinks
    from tidegate.store import open_database

    home_folder.prepare(settings)
    return ShareLinks(open_database(settings.state_url), home_folder.signing_secret(settings.home))
