"""Aliases: which versions of a model take traffic. One small file per model, replaced in whole.

`champion` answers; `canary` answers a percentage of the callers; `shadow` is asked the same and never answers. Commands
and routes write the file, running servers watch it: that is how every worker of every server on one store learns of
a change. Before: `tidegate.bundle_store` checks versions; after: `serving.repository` brings what it says to life.
"""

import fcntl
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.errors import BundleCorrupt, UsageError

Alias = Literal["champion", "canary", "shadow"]
ALIASES: tuple[Alias, ...] = get_args(Alias)
CHAMPION: Alias = "champion"
FILE = "aliases.json"
# Enough callers to learn from in an hour of modest traffic, few enough to bear it if the version is bad.
CANARY_PERCENT = 10.0


class Aliases(BaseModel):
    """Where the aliases of a model point.

    Attributes:
        champion, canary, shadow: version numbers; None where the alias is not set.
        canary_percent: share of the callers that the canary answers, 0 to 100.
        since: Unix seconds at which canary or shadow was last set: what is compared begins there.
        before: the champion before this one, for a rollback.
        unloaded: the model is to be served by nobody until it is loaded again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    champion: int | None = None
    canary: int | None = None
    shadow: int | None = None
    canary_percent: float = Field(default=CANARY_PERCENT, ge=0, le=100)
    since: float = 0.0
    before: int | None = None
    unloaded: bool = False

    def of(self, alias: Alias) -> int | None:
        """The version that an alias points at."""
        version: int | None = getattr(self, alias)
        return version

    def holders(self, version: int) -> list[Alias]:
        """Aliases that point at a version."""
        return [alias for alias in ALIASES if self.of(alias) == version]

    def pointing(self, alias: Alias, version: int, percent: float | None = None) -> "Aliases":
        """With an alias moved; a canary or shadow that becomes champion is no canary or shadow any more.

        Raises:
            UsageError: `percent` is not a share, or the version answers already as champion.
        """
        if alias == CHAMPION:
            freed = {other: None for other in ("canary", "shadow") if getattr(self, other) == version}
            before = self.before if self.champion == version else self.champion
            return self.model_copy(update={"champion": version, "before": before, **freed})
        if version == self.champion:
            raise UsageError(
                f"version {version} is the champion; a {alias} is compared with it, so choose another version"
            )
        share = self.canary_percent if percent is None else percent
        if not 0 <= share <= 100:
            raise UsageError(f"{share} percent of the callers cannot be; choose 0 to 100")
        return self.model_copy(update={alias: version, "canary_percent": share, "since": time.time()})

    def without(self, alias: Alias) -> "Aliases":
        """With an alias taken away.

        Raises:
            UsageError: it is the champion's.
        """
        if alias == CHAMPION:
            raise UsageError("a model always has a champion; point the alias at another version, or unload the model")
        return self.model_copy(update={alias: None})


def read_aliases(folder: Path) -> Aliases:
    """The aliases of the model in a folder; none set where there is no file.

    Raises:
        BundleCorrupt: the file cannot be understood.
    """
    file = folder / FILE
    try:
        return Aliases.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Aliases()
    except ValidationError:
        raise BundleCorrupt(f"{file} is damaged; delete it, then set the aliases anew") from None


def change_aliases(folder: Path, change: Callable[[Aliases], Aliases]) -> Aliases:
    """Read, change and replace the file, with no other writer in between; returns what is there now.

    Raises:
        BundleCorrupt: the file cannot be understood.
    """
    with _alone(folder):
        changed = change(read_aliases(folder))
        draft = folder / f".aliases-{uuid.uuid4().hex}"
        draft.write_text(json.dumps(changed.model_dump(exclude_defaults=True), indent=2))
        draft.replace(folder / FILE)
    return changed


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".aliases.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when this process ends, however it ends
        yield
