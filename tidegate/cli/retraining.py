"""A retraining: steps, each written down when it is done; what was killed goes on with the first that is not.

One retraining a model at a time: a lock in the home folder, which the kernel lets go with the process. What the steps
are says `retraining_steps`. Before: `tidegate retrain` and `tidegate loop`; after: a canary that running servers
follow, or numbers.
"""

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.aliases import CHAMPION
from tidegate.bundle_store import BundleStore
from tidegate.cli import console
from tidegate.errors import GateRefused, TidegateError, UsageError
from tidegate.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from monitoring.labels.retrainings import Retraining, State
    from tidegate.bundle import Lineage


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller chose; `margin` is in points of accuracy."""

    command: str
    quality: bool
    promote: bool
    percent: float | None
    margin: float


@dataclass(slots=True)
class Work:
    """A retraining under way."""

    settings: Settings
    database: "Engine"
    bundles: BundleStore
    model: str
    options: Options
    retraining: "Retraining"

    @property
    def folder(self) -> Path:
        """Where the model's data sets are."""
        return self.settings.home / "data_sets" / self.model

    @property
    def splits(self) -> Path:
        """The data set of this retraining."""
        return self.folder / str(self.retraining.data_set)

    def lineage(self) -> "Lineage":
        """Of the live version."""
        return self.bundles.load(self.model).manifest.lineage


Step = Callable[[Work], dict[str, Any]]  # what it found; keys that are columns of the row fill them
_COLUMNS = ("data_set", "parent_run", "run", "version")


def carry_out(work: Work, steps: Sequence[tuple[str, Step]]) -> None:
    """Do the steps that are not done; how it ends is written down.

    Raises:
        GateRefused: the labels or the new version are not good enough.
        TidegateError: what else stood in the way.
    """
    from monitoring.labels.retrainings import advance, end

    try:
        for number, (name, step) in enumerate(steps, start=1):
            if name in work.retraining.steps:
                console.say(f"{number}/{len(steps)} {name}: done before")
                continue
            console.step(f"{number}/{len(steps)} {name}")
            started = time.time()
            found = step(work)
            columns = {column: found[column] for column in _COLUMNS if column in found}
            found["seconds"] = round(time.time() - started, 3)
            work.retraining = advance(work.database, work.retraining, name, time.time(), found, **columns)
            console.say(f"    {_told(found)}")
    except TidegateError as error:
        state: State = "refused" if isinstance(error, GateRefused) else "failed"
        work.retraining = end(work.database, work.retraining, state, time.time(), str(error))
        raise
    promoted = work.bundles.resolve(work.model, CHAMPION) == work.retraining.version
    work.retraining = end(work.database, work.retraining, "promoted" if promoted else "canary", time.time())


@contextmanager
def alone(settings: Settings, model: str) -> Iterator[None]:
    """Nobody else retrains the model while the block lasts.

    Raises:
        UsageError: somebody does.
    """
    folder = settings.home / "data_sets" / model
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{model} is being retrained by another process; wait until it is done") from None
        yield


def _told(found: dict[str, Any]) -> str:
    """What a step found, in one line."""
    return ", ".join(f"{name} {value}" for name, value in found.items() if not isinstance(value, dict))
