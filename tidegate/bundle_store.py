"""The bundle store: versions published whole, aliases moved atomically. Layout: `bundles/<name>/<version>/`.

A version is written into a staging folder beside its place, synced, and renamed: a reader never sees half a
bundle, and a killed export leaves only a staging folder that nobody reads and the next publish sweeps away.
Aliases are `tidegate.aliases`.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate.aliases import ALIASES, CHAMPION, Alias, Aliases, change_aliases, read_aliases
from tidegate.bundle import MANIFEST, MANIFEST_DIGEST, Bundle, FileEntry, Manifest, Task, digest, load_bundle
from tidegate.errors import BundleNotFound, UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_STAGING = ".staging-"


class BundleStore:
    """All bundles under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Models that have at least one published version."""
        return [name for name in self.folders() if self.versions(name)]

    def folders(self) -> list[str]:
        """Models that have a folder, whether a version was published in it yet or not."""
        if not self.root.is_dir():
            return []
        return sorted(d.name for d in self.root.iterdir() if _NAME.fullmatch(d.name))

    def versions(self, name: str) -> list[int]:
        """Published versions of a model, oldest first."""
        folder = self.root / checked_name(name)
        if not folder.is_dir():
            return []
        return sorted(int(d.name) for d in folder.iterdir() if d.name.isdecimal() and (d / MANIFEST).is_file())

    def load(self, name: str, version: int | str = CHAMPION) -> Bundle:
        """Load and verify a version, given by its number or by an alias.

        Raises:
            BundleNotFound: no such model, version or alias.
            BundleCorrupt: its bytes are not those published.
        """
        return load_bundle(self.path(name, self.resolve(name, version)))

    def task(self, name: str) -> Task:
        """What a model's champion is for, by its manifest alone: no other byte is read or verified."""
        file = self.path(name, self.resolve(name, CHAMPION)) / MANIFEST
        return Manifest.model_validate_json(file.read_bytes()).task

    def path(self, name: str, version: int) -> Path:
        """Folder of a version."""
        return self.root / checked_name(name) / str(version)

    def resolve(self, name: str, version: int | str) -> int:
        """Number of a version given by number or alias; `champion` falls back to the newest.

        Raises:
            BundleNotFound: no such model, version or alias.
        """
        known = self.versions(name)
        if not known:
            raise BundleNotFound(f"no bundle named {name!r}; the store has: {', '.join(self.names()) or 'none'}")
        aliases = self.aliases(name)
        number = int(version) if str(version).isdecimal() else _pointed_at(aliases, str(version))
        if number is None and version == CHAMPION:
            number = known[-1]
        if number not in known:
            named = ", ".join(f"{alias} -> {aliases.of(alias)}" for alias in ALIASES if aliases.of(alias)) or "none"
            raise BundleNotFound(f"{name} has no version or alias {version!r}; versions: {known}, aliases: {named}")
        return number

    def aliases(self, name: str) -> Aliases:
        """Which versions take traffic.

        Raises:
            BundleCorrupt: the file that says so is damaged.
        """
        return read_aliases(self.root / checked_name(name))

    def set_alias(self, name: str, alias: str, version: int | str, percent: float | None = None) -> int:
        """Point an alias at a published version and return its number.

        Args:
            name: the model.
            alias: one of `ALIASES`.
            version: a number, or another alias.
            percent: share of the callers that a canary answers; None leaves it as it is.

        Raises:
            UsageError: not one of `ALIASES`, or not to be had: see `Aliases.pointing`.
            BundleNotFound: no such version.
        """
        wanted = _checked_alias(alias)
        number = self.resolve(name, version)
        self.change_aliases(name, lambda aliases: aliases.pointing(wanted, number, percent))
        return number

    def drop_alias(self, name: str, alias: str) -> None:
        """Take the canary or the shadow away.

        Raises:
            UsageError: not one of `ALIASES`, or the champion.
            BundleNotFound: no such model.
        """
        wanted = _checked_alias(alias)
        self.resolve(name, CHAMPION)
        self.change_aliases(name, lambda aliases: aliases.without(wanted))

    def rollback(self, name: str) -> tuple[int, int]:
        """Point the champion at the one before it, or else at the next older version; returns from and to.

        Raises:
            UsageError: there is none.
            BundleNotFound: no such model.
        """
        current, known = self.resolve(name, CHAMPION), self.versions(name)
        before = self.aliases(name).before
        older = [version for version in known if version < current]
        if before not in known or before == current:
            before = older[-1] if older else None
        if before is None:
            raise UsageError(f"{name}/{current} is the oldest version; there is nothing to go back to")
        return current, self.set_alias(name, CHAMPION, before)

    def change_aliases(self, name: str, change: Callable[[Aliases], Aliases]) -> Aliases:
        """Change the aliases of a model, with no other writer in between; returns what is there now."""
        return change_aliases(self.root / checked_name(name), change)

    def remove(self, name: str, version: int) -> None:
        """Delete a version that no alias points at.

        Raises:
            UsageError: an alias points at it.
        """
        number = self.resolve(name, version)
        holders = self.aliases(name).holders(number)
        if holders:
            raise UsageError(f"{name}/{number} is {' and '.join(holders)}; move the alias before removing it")
        doomed = self.path(name, number).with_name(f"{_STAGING}{uuid.uuid4().hex}")
        self.path(name, number).rename(doomed)  # gone for readers at once, however long deleting takes
        shutil.rmtree(doomed, ignore_errors=True)  # what is left, the next export sweeps away

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """A folder beside the published versions to write the next one into; gone when the block ends."""
        model_folder = self.root / checked_name(name)
        model_folder.mkdir(parents=True, exist_ok=True)
        _sweep(model_folder)
        folder = model_folder / f"{_STAGING}{uuid.uuid4().hex}"
        with _lock_of(folder).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel lets go when this process ends, however it ends
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                _lock_of(folder).unlink(missing_ok=True)

    def publish(self, name: str, folder: Path, describe: Callable[[int, dict[str, FileEntry]], Manifest]) -> Bundle:
        """Publish the files of a staging folder as the next version.

        Args:
            name: the model.
            folder: what `staging` gave, holding every file but the manifest.
            describe: builds the manifest from the version number and the digest of every file.

        The first version of a model becomes its champion; later ones wait for `set_alias`.
        """
        files = {f.name: FileEntry(sha256=digest(f), size_bytes=f.stat().st_size) for f in sorted(folder.iterdir())}
        while True:
            version = max(self.versions(name), default=0) + 1
            _write_manifest(folder, describe(version, files))
            _sync(folder)
            if _claim(folder, self.path(name, version)):
                break
        if self.aliases(name).champion is None:
            self.set_alias(name, CHAMPION, version)
        return load_bundle(self.path(name, version))


def checked_name(name: str) -> str:
    """The name, if it cannot leave its folder.

    Raises:
        UsageError: anything but letters, digits, `-` and `_`, 64 at most.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"model name {name!r}: use 1 to 64 letters, digits, '-' or '_', starting with a letter or digit"
        )
    return name


def _checked_alias(alias: str) -> Alias:
    for known in ALIASES:
        if alias == known:
            return known
    raise UsageError(f"no alias {alias[:80]!r}; use one of: {', '.join(ALIASES)}")


def _pointed_at(aliases: Aliases, alias: str) -> int | None:
    return next((aliases.of(known) for known in ALIASES if known == alias), None)


def _claim(folder: Path, place: Path) -> bool:
    """Rename into place; False when another export took that version first (the folder is not empty)."""
    try:
        folder.rename(place)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    content = manifest.model_dump_json(indent=2).encode()
    (folder / MANIFEST).write_bytes(content)
    (folder / MANIFEST_DIGEST).write_text(hashlib.sha256(content).hexdigest() + "\n")


def _sync(folder: Path) -> None:
    """Force every file and the folder itself to disk: after the rename a power cut must not leave holes."""
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lock_of(folder: Path) -> Path:
    """The file whose lock says that somebody still writes into a staging folder."""
    return folder.with_name(f"{folder.name}.lock")


def unfinished(root: Path) -> list[Path]:
    """Staging folders of a store whose writer is gone, in whatever container or on whatever machine it ran."""
    return [folder for model_folder in root.glob("[!.]*") for folder in _unfinished(model_folder)]


def _sweep(model_folder: Path) -> None:
    """Delete what exports that were killed left behind."""
    for folder in _unfinished(model_folder):
        shutil.rmtree(folder, ignore_errors=True)
        _lock_of(folder).unlink(missing_ok=True)


def _unfinished(model_folder: Path) -> list[Path]:
    staged = [f for f in model_folder.glob(f"{_STAGING}*") if f.is_dir()]
    return [folder for folder in staged if not _is_written(folder)]


def _is_written(folder: Path) -> bool:
    try:
        with _lock_of(folder).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
