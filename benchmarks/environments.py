"""An environment of its own for each peer (`.venv-peers/`) and rival (`.venv-rivals/`): their pins exclude each other.

A second call installs nothing while the requirements and the interpreter stay the same. The folder ignores itself
in git. Before: `peers.catalog` and `drift.rivals.catalog`; after: `server` and `drift.rivals.ask` start the
interpreter from here.
"""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path
from typing import Protocol

from benchmarks.workspace import own_folder
from tidegate.errors import EnvironmentMissing

_STAMP = "requirements.sha256"
_SHOWN_LINES = 5


class Needs(Protocol):
    """Whoever needs an environment: a peer or a rival."""

    @property
    def name(self) -> str:
        """Of its folder."""
        ...

    @property
    def requirements(self) -> tuple[str, ...]:
        """pip's; none for what runs in this environment."""
        ...


def interpreter(peer: Needs, folder: Path) -> Path:
    """The interpreter that runs a peer or a rival; its environment is made or updated first.

    Raises:
        EnvironmentMissing: pip refused; carries the end of what it said.
    """
    if not peer.requirements:
        return Path(sys.executable)
    place = own_folder(folder) / peer.name
    python, stamp = place / "bin" / "python", place / _STAMP
    wanted = hashlib.sha256("\n".join([sys.version, *peer.requirements]).encode()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        venv.create(place, clear=True, with_pip=True)
        _install(peer, python)
        stamp.write_text(wanted)
    return python


def _install(peer: Needs, python: Path) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-_SHOWN_LINES:])
        raise EnvironmentMissing(
            f"pip cannot install {', '.join(peer.requirements)} for {peer.name}; leave it out, "
            f"or change its pins in its catalog.py. pip said:\n{said}"
        )
