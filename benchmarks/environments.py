"""An environment of its own for each peer, under `.venv-peers/`: their pins exclude each other and Tidegate's.

A second call installs nothing while the requirements and the interpreter stay the same. The folder ignores itself
in git. Before: `peers.catalog`; after: `server` starts the peer with the interpreter from here.
"""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.peers.catalog import Peer
from benchmarks.workspace import own_folder
from tidegate.errors import EnvironmentMissing

_STAMP = "requirements.sha256"
_SHOWN_LINES = 5


def interpreter(peer: Peer, folder: Path) -> Path:
    """The interpreter that runs a peer; its environment is made or updated first.

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


def _install(peer: Peer, python: Path) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-_SHOWN_LINES:])
        raise EnvironmentMissing(
            f"pip cannot install {', '.join(peer.requirements)} for {peer.name}; leave it out with --peers, "
            f"or change its pins in benchmarks/peers/catalog.py. pip said:\n{said}"
        )
