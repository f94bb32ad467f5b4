"""The labels that a model version answers with: what feedback and imported labels are checked against.

Before: the bundle store; after: `job` (feedback), `answers` and the desk.
"""

from tidegate.aliases import CHAMPION
from tidegate.bundle_store import BundleStore


class KnownLabels:
    """Labels per model version, read once each: published versions never change."""

    def __init__(self, bundles: BundleStore) -> None:
        self._bundles = bundles
        self._read: dict[tuple[str, int], tuple[tuple[str, ...], tuple[str, ...]]] = {}

    def __call__(self, model: str, version: int) -> tuple[str, ...]:
        """The classes of a version and its fallback label; the champion's when that version was removed.

        Raises:
            BundleNotFound: the model has no version at all.
            BundleCorrupt: the bytes of the bundle are not those published.
        """
        classes, fallback = self._of(model, version)
        return (*classes, *fallback)

    def classes(self, model: str, version: int) -> tuple[str, ...]:
        """What people choose from: the classes alone, in the order of the scores; raises what a call does."""
        return self._of(model, version)[0]

    def _of(self, model: str, version: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        key = (model, version)
        if key not in self._read:
            removed = version not in self._bundles.versions(model)
            manifest = self._bundles.load(model, CHAMPION if removed else version).manifest
            fallback = manifest.postprocessing.fallback_label
            extra = () if fallback is None or fallback in manifest.labels else (fallback,)
            self._read[key] = (tuple(manifest.labels), extra)
        return self._read[key]
