"""Which models of the store may have changed since they were looked at last, at the price of two `stat` calls each.

A version is published by a rename into its model's folder, an alias by replacing a file in it: both leave their mark on
the folder's and the file's times. File times are coarse, so a mark that is young may hide a second change: a model is
looked at again until its mark is old. Before: the store's folders; after: `serving.following`, once a second for all
models together. Limits: a clock that is seconds ahead of a network disk's hides two changes within one of its ticks.
"""

import time
from collections.abc import Callable, Iterable

from tidegate.aliases import FILE
from tidegate.bundle_store import BundleStore

SETTLED_SECONDS = 2.0  # no file system in use has coarser times

Mark = tuple[int, ...]


class StoreWatch:
    """Remembers the marks of what was looked at; its calls block.

    Args:
        bundles: the store.
        clock: Unix time in seconds.
    """

    def __init__(self, bundles: BundleStore, clock: Callable[[], float] = time.time) -> None:
        self._bundles = bundles
        self._clock = clock
        self._marks: dict[str, Mark] = {}

    def changed(self, known: Iterable[str]) -> dict[str, Mark | None]:
        """Models to look at, with the mark to remember once that was done; None where it is too young to be trusted.

        Args:
            known: models to look at also when they are gone.
        """
        known = set(known)
        marks = {name: self._mark(name) for name in known.union(self._bundles.folders())}
        moved = {name: mark for name, mark in marks.items() if mark is None or mark != self._marks.get(name)}
        return {name: mark for name, mark in moved.items() if name in known or self._bundles.versions(name)}

    def remember(self, name: str, mark: Mark | None) -> None:
        """Look at a model no more until its mark is another one; with None, look at it again in any case."""
        if mark is None:
            self._marks.pop(name, None)
        else:
            self._marks[name] = mark

    def _mark(self, name: str) -> Mark | None:
        """Of a model's folder and its aliases; None where either was written a moment ago, or the folder is gone."""
        found: list[int] = []
        for path in (self._bundles.root / name, self._bundles.root / name / FILE):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            if abs(self._clock() - stat.st_mtime) < SETTLED_SECONDS:
                return None
            found += [stat.st_ino, stat.st_mtime_ns, stat.st_size]
        return tuple(found) or None
