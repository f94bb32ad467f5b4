"""The explanation of a drift: what of some windows differs, which words and examples show it, and by how much.

Put together from the windows' sums (`attribution`), the texts of them that are still kept (`words`, `examples`) and,
only when the report of an alert is asked for, a domain classifier (`explain`), whose result is kept with the alert.
Before: `trends`; after: `report`. Limits: texts of old windows are gone, and then sums are all that speaks.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine, select, update

from monitoring import attribution, examples, explain, trends, words
from monitoring.alerts import CLASSIFIER, Alert
from monitoring.reference import Reference
from tidegate.bundle import Bundle
from tidegate.errors import BundleCorrupt
from tidegate.store import alerts as alerts_table

Document = dict[str, Any]


def explain_windows(
    database: Engine, bundle: Bundle, reference: Reference, window_ids: Sequence[int], drifted: Sequence[str]
) -> Document:
    """What of some windows differs from the reference.

    Args:
        database: the state database.
        bundle: of the model version.
        reference: the bundle's.
        window_ids: windows in question.
        drifted: features of them that are beyond their threshold.
    """
    with database.connect() as connection:
        whole = trends.merged(connection, reference, window_ids)
        texts = examples.kept_texts(connection, window_ids)
        table = words.read_words(bundle.path)
        moved = words.moved_words(table, texts) if table else words.MovedWords()
        strangest = examples.strangest(connection, window_ids, [word.word for word in moved.new])
    return {
        "window_ids": list(window_ids),
        "classes": [asdict(share) for share in attribution.class_shares(reference, whole)],
        "shift": asdict(attribution.kind_of_shift(reference, whole, drifted)),
        "words": asdict(moved),
        "classifier": None,
        "examples": strangest,
    }


def classify(database: Engine, bundle: Bundle, alert: Alert) -> Document | None:
    """How well the texts of an alert's windows can be told from the bundle's own; worked out once, then kept.

    None where too few texts are kept, or the bundle has none of its own.
    """
    if CLASSIFIER in alert.detail:
        kept: Document | None = alert.detail[CLASSIFIER]
        return kept
    with database.connect() as connection:
        texts = examples.kept_texts(connection, alert.window_ids)
    found = explain.separate(texts, _own_texts(bundle))
    document = None if found is None else asdict(found)
    with database.begin() as connection:
        of_alert = alerts_table.c.id == alert.id
        detail = connection.scalar(select(alerts_table.c.detail).where(of_alert).with_for_update()) or {}
        connection.execute(update(alerts_table).where(of_alert).values(detail=detail | {CLASSIFIER: document}))
    return document


def _own_texts(bundle: Bundle) -> list[str]:
    """Texts that the bundle was verified on; `exporters.verification` writes them."""
    if bundle.manifest.verification is None:
        return []
    file = bundle.file(bundle.manifest.verification)
    try:
        return [str(text) for text in json.loads(file.read_bytes())["texts"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleCorrupt(f"{file} is no verification set; export the bundle again") from None
