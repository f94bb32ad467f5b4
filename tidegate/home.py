"""The home folder: where bundles, the state database, the secret and the embedded MLflow store live.

Created private to its owner (0700), because the state database keeps texts. After `settings`, before
`store` and `bundle`.
"""

import contextlib
import os
import secrets
from pathlib import Path

from tidegate.errors import UsageError
from tidegate.settings import Settings

_ADDRESS = "server.url"


def prepare(settings: Settings) -> Path:
    """Create the home folder if it is not there, and return it.

    Raises:
        UsageError: it cannot be made, or is no folder.
    """
    try:
        make_private(settings.home)
        settings.bundles_dir.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"home folder {settings.home}: {error.strerror}; choose another with --home") from None
    return settings.home


def make_private(folder: Path) -> Path:
    """Create a folder that only its owner may enter, unless it is there already; parents as the umask has them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def signing_secret(home: Path) -> bytes:
    """The 32 random bytes that sign share links, made on first use; two racing processes agree on one."""
    path = home / "secret"
    if not path.exists():
        draft = home / f".secret-{secrets.token_hex(8)}"
        draft.touch(0o600)
        draft.write_bytes(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # atomic: whoever comes second keeps the first one's secret
        draft.unlink()
    return path.read_bytes()


def write_address(home: Path, url: str) -> None:
    """Remember where the running server answers, for commands that print links; empty when it has stopped."""
    (home / _ADDRESS).write_text(url)


def read_address(home: Path) -> str:
    """Where the server of this home folder answers, as it said last; empty when it never did, or has stopped."""
    file = home / _ADDRESS
    return file.read_text().strip() if file.is_file() else ""


def tracking_uri(home: Path) -> str:
    """`MLFLOW_TRACKING_URI` if it is set, else the embedded SQLite store of the home folder."""
    configured = os.environ.get("MLFLOW_TRACKING_URI", "")
    return configured or f"sqlite:///{home.absolute() / 'mlflow' / 'mlflow.db'}"
