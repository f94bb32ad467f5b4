"""Rollouts: makes them, keeps their counts in the state database, and moves aliases by stated rules if asked to.

Before: `serving.repository` asks for a rollout when aliases move and calls `judge` every second; after: rows that
`GET /models/{m}/traffic` adds up. Several workers may judge at once: the alias moves only while the canary is still the
one that was judged, so the second to come finds nothing to do.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from serving.model import ServedModel
from serving.promotion import Verdict, judge
from serving.rollout import Rollout
from tidegate.aliases import CHAMPION, Aliases
from tidegate.bundle_store import BundleStore
from tidegate.comparisons import Accuracy, Comparison
from tidegate.errors import TidegateError

WRITE_SECONDS = 2.0

log = logging.getLogger(__name__)


class ComparisonLog(Protocol):
    """Where counts are kept; see `tidegate.comparisons.ComparisonStore`. Called in threads."""

    def write(self, model: str, since: float, counts: Mapping[int, Comparison]) -> None:
        """Keep this process's counts of a rollout."""
        ...

    def read(self, model: str, since: float) -> dict[int, Comparison]:
        """Counts of all processes, by version."""
        ...

    def accuracy(self, model: str, since: float) -> dict[int, Accuracy]:
        """By version, how many predictions with feedback were right."""
        ...


class Rollouts:
    """Every model's rollout, their counts and verdicts."""

    def __init__(self, comparisons: ComparisonLog | None = None, *, auto_promote: bool = False) -> None:
        self._comparisons = comparisons
        self._auto_promote = auto_promote
        self._written: dict[str, float] = {}

    def of(
        self,
        champion: ServedModel,
        canary: ServedModel | None,
        shadow: ServedModel | None,
        percent: float,
        since: float,
    ) -> Rollout:
        """A rollout; made anew at each change, so that counts of another pair of versions never mix."""
        return Rollout(champion, canary, shadow, percent, since)

    async def judge(self, rollout: Rollout, name: str, bundles: BundleStore) -> None:
        """Write the counts of a model's rollout when it is time, and promote or roll back if asked to."""
        if not rollout.compares or self._comparisons is None:
            return
        now = time.monotonic()
        if now - self._written.get(name, 0.0) < WRITE_SECONDS:
            return
        self._written[name] = now
        try:
            await asyncio.to_thread(self._comparisons.write, name, rollout.since, rollout.counts)
            if self._auto_promote and rollout.canary is not None:
                await asyncio.to_thread(self._act, name, rollout, bundles)
        except TidegateError as error:
            log.error("rollout of %s: %s", name, error)
        except Exception:
            log.exception("the counts of the rollout of %s could not be kept", name)

    def document(self, name: str, rollout: Rollout) -> dict[str, Any]:
        """`GET /models/{m}/traffic`; blocks."""
        found = self._comparisons.read(name, rollout.since) if self._comparisons else rollout.counts
        right = self._comparisons.accuracy(name, rollout.since) if self._comparisons else {}
        roles = {"champion": rollout.champion, "canary": rollout.canary, "shadow": rollout.shadow}
        versions = [
            {"role": role, "version": model.manifest.version}
            | found.get(model.manifest.version, Comparison()).document()
            | _accuracy(right.get(model.manifest.version))
            for role, model in roles.items()
            if model is not None
        ]
        document: dict[str, Any] = {
            "model": name,
            "since": rollout.since or None,
            "canary_percent": rollout.percent if rollout.canary else None,
            "auto_promote": self._auto_promote,
            "versions": versions,
        }
        if rollout.canary is not None:
            verdict = self._verdict(rollout, found, right)
            document["verdict"] = {"decision": verdict.decision, "reason": verdict.reason}
        return document

    def _verdict(self, rollout: Rollout, found: Mapping[int, Comparison], right: Mapping[int, Accuracy]) -> Verdict:
        champion = rollout.champion.manifest.version
        canary = rollout.canary.manifest.version if rollout.canary else champion
        return judge(
            found.get(champion, Comparison()), found.get(canary, Comparison()), right.get(champion), right.get(canary)
        )

    def _act(self, name: str, rollout: Rollout, bundles: BundleStore) -> None:
        """Move the aliases as the verdict says, unless they moved meanwhile; runs in a thread."""
        if self._comparisons is None or rollout.canary is None:
            return
        found = self._comparisons.read(name, rollout.since)
        verdict = self._verdict(rollout, found, self._comparisons.accuracy(name, rollout.since))
        if verdict.decision == "wait":
            return
        version, since = rollout.canary.manifest.version, rollout.since

        def move(aliases: Aliases) -> Aliases:
            if aliases.canary != version or aliases.since != since:
                return aliases
            log.warning("%s: %s %s: %s", name, verdict.decision, version, verdict.reason)
            return aliases.pointing(CHAMPION, version) if verdict.decision == "promote" else aliases.without("canary")

        bundles.change_aliases(name, move)


def _accuracy(found: Accuracy | None) -> dict[str, Any]:
    if found is None or not found.total:
        return {"accuracy": None, "feedback": 0}
    return {"accuracy": found.right / found.total, "feedback": found.total}
