"""The appraisal: what is known of a model version's accuracy now, by estimate and by labels drawn at random.

The estimate is of the window that forgets slowly, some two thousand rows: a single window of a hundred is too few to
say anything about accuracy worth waking somebody for. Labels are those of the last seven days; where they contradict
the estimate, it is no longer trusted. Before: `alarm`, `accuracy`, `labelled`; after: `closing`, `report`.
"""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from monitoring.accuracy import Estimate, finding
from monitoring.alarm import Detector
from monitoring.findings import Finding
from monitoring.labels import labelled
from monitoring.labels.labelled import Measured
from monitoring.reference import Reference
from monitoring.windows import Key

LABEL_SECONDS = 7 * 86_400.0
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Appraisal:
    """Accuracy without labels, and with the few there are."""

    estimate: Estimate
    measured: Measured

    def document(self) -> dict[str, Any]:
        """As JSON takes it: the estimate, and what labels say; rounded, since last digits depend on the process."""
        labelled = asdict(self.measured) | {"trusted": self.measured.trusted}
        said = asdict(self.estimate) | {"labelled": labelled}
        return {name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in said.items()}


def appraise(
    connection: Connection, key: Key, detector: Detector, reference: Reference, now: float
) -> Appraisal | None:
    """What is known at a moment (Unix seconds); None before the first window, or where nothing can estimate."""
    if detector.slow.summary is None:
        return None
    estimate = reference.estimate(detector.slow.summary, worth=detector.slow.worth)
    if estimate is None:
        return None
    checks = labelled.read(connection, *key, since=now - LABEL_SECONDS, until=now)
    return Appraisal(labelled.reconciled(estimate, checks), labelled.measure(checks))


def findings_of(appraisal: Appraisal, key: Key, window_id: int, bearable: float) -> list[Finding]:
    """A page where accuracy has surely dropped by more than is bearable, by labels or else by estimate."""
    reference = appraisal.estimate.reference
    said = finding(appraisal.measured, reference, bearable, "labelled") or finding(
        appraisal.estimate, reference, bearable
    )
    if said is None:
        return []
    message = f"{key[0]}/{key[1]}: {said.text}"
    return [Finding("accuracy", "page", message, [], [window_id], appraisal.document())]
