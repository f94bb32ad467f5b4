"""The labels that a model version answers with: what feedback and imported labels are checked against.

Before: the bundle store; after: `job` (feedback) and `relabel` (imports).
"""

from tidegate.aliases import CHAMPION
from tidegate.bundle_store import BundleStore


class KnownLabels:
    """Labels per model version, read once each: published versions never change."""

    def __init__(self, bundles: BundleStore) -> None:
        self._bundles = bundles
        self._read: dict[tuple[str, int], tuple[str, ...]] = {}

    def __call__(self, model: str, version: int) -> tuple[str, ...]:
        """The classes of a version and its fallback label; the champion's when that version was removed.

        Raises:
            BundleNotFound: the model has no version at all.
            BundleCorrupt: the bytes of the bundle are not those published.
        """
        key = (model, version)
        if key not in self._read:
            removed = version not in self._bundles.versions(model)
            manifest = self._bundles.load(model, CHAMPION if removed else version).manifest
            fallback = manifest.postprocessing.fallback_label
            extra = () if fallback is None or fallback in manifest.labels else (fallback,)
            self._read[key] = (*manifest.labels, *extra)
        return self._read[key]
