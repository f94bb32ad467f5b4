import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from demos.password import is_password
from demos.share import ShareLinks
from tests import bundles
from tidegate.bundle_store import BundleStore
from tidegate.cli.share import base_url, seconds
from tidegate.errors import UsageError
from tidegate.home import signing_secret
from tidegate.settings import Settings
from tidegate.store import open_database


@pytest.fixture
def home(tmp_path: Path) -> Path:
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    return tmp_path


def share(home: Path, *arguments: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tidegate", "share", *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, input=typed)


def test_the_link_stands_alone_on_stdout_and_opens_the_demo(home: Path) -> None:
    done = share(home, "create", "sentiment", "--expires", "12h")

    address, _, token = done.stdout.removesuffix("\n").partition("?share=")
    links = ShareLinks(open_database(f"sqlite:///{home / 'state.db'}"), signing_secret(home))
    opened = links.check(token)
    assert (done.returncode, address) == (0, "http://127.0.0.1:8080/demo/sentiment")
    assert (opened.model, opened.expires_at - opened.created_at) == ("sentiment", 43_200)
    assert opened.id in done.stderr


def test_a_link_is_listed_until_and_after_it_is_revoked(home: Path) -> None:
    share(home, "create", "sentiment")
    [made] = orjson.loads(share(home, "list", "--json").stdout)
    assert (made["model"], made["state"], made["revoked_at"]) == ("sentiment", "open", None)

    assert share(home, "revoke", made["id"]).returncode == 0

    [closed] = orjson.loads(share(home, "list", "--json").stdout)
    assert (closed["id"], closed["state"]) == (made["id"], "revoked")
    assert "revoked" in share(home, "list").stdout


def test_the_terms_of_a_link_are_kept_and_listed_with_what_its_visitors_did(home: Path) -> None:
    terms = ("--password", "--max-visits", "3", "--rate", "30", "--notice", "Nothing secret", "--qr")
    done = share(home, "create", "sentiment", *terms, typed="eight or more\n")
    database = open_database(f"sqlite:///{home / 'state.db'}")
    links = ShareLinks(database, signing_secret(home))
    token = done.stdout.strip().partition("?share=")[2]
    links.count_visit(links.check(token))
    links.add_uses({links.check(token).id: 7})

    [made] = orjson.loads(share(home, "list", "--json").stdout)
    table = share(home, "list").stdout

    assert done.stdout.count("\n") == 1
    assert "\u2580" in done.stderr or "\u2588" in done.stderr  # half blocks and full ones
    assert f"/share/sentiment?share={token}" in done.stderr
    assert (made["visits"], made["max_visits"], made["uses"], made["rate"]) == (1, 3, 7, 30)
    assert (made["password"], made["notice"]) == (True, "Nothing secret")
    assert "eight or more" not in done.stdout + done.stderr + str(made)
    assert is_password("eight or more", links.check(token).password_hash or "")
    assert all(word in table for word in ("max_visits", "uses", "yes"))
    database.dispose()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "nope"), 1, "no bundle named 'nope'"),
        (("create", "../../etc"), 2, "../../etc"),
        (("create", "sentiment", "--expires", "soon"), 2, "30m, 12h, 7d"),
        (("create", "sentiment", "--expires", "400d"), 2, "366 days"),
        (("revoke", "nope"), 1, "no share link 'nope'"),
        (("create", "sentiment", "--password"), 2, "8 to 128 characters"),
        (("create", "sentiment", "--max-visits", "0"), 2, "opened 0 times"),
        (("create", "sentiment", "--rate", "0"), 2, "0 a minute"),
        (("create",), 2, "model"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr_with_its_exit_code(
    home: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = share(home, *arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


@pytest.mark.parametrize(("text", "expected"), [("30m", 1_800), ("12h", 43_200), ("7d", 604_800), (" 1d ", 86_400)])
def test_durations_are_minutes_hours_or_days(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "7", "d", "0d", "-1d", "1.5h", "7 d", "7days", "1e3m", "nan", "\u0667d", "7d7h", "07d"]
)
def test_nonsense_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="no duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"host": "0.0.0.0", "port": 9000}, "http://127.0.0.1:9000"),
        ({"host": "::1"}, "http://[::1]:8080"),
        ({"host": "::"}, "http://[::1]:8080"),
        ({"host": "ml.example.org"}, "http://ml.example.org:8080"),
        ({"public_url": "https://ml.example.org/gate/", "port": 0}, "https://ml.example.org/gate"),
    ],
)
def test_the_link_starts_where_visitors_reach_the_server(values: dict[str, object], expected: str) -> None:
    assert base_url(Settings.model_validate(values)) == expected


def test_a_port_that_is_not_known_yet_needs_the_public_url() -> None:
    with pytest.raises(UsageError, match="TIDEGATE_PUBLIC_URL"):
        base_url(Settings(port=0))
