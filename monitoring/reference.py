"""The reference: what a model's inputs and predictions look like when nothing has drifted.

Built once at export, in the export environment, and kept in the bundle: `reference.bin` (a whylogs profile,
mergeable and readable by whylogs itself) and `drift.json` (bins and calibration, all that scoring needs).
Features of the text alone come from the training texts; features that depend on what was fitted to those
texts (vocabulary, confidences) come from the evaluation split, on which nothing was fitted.
Before: `features`; after: `calibration` here, `drift` where the model serves.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
from pydantic import ValidationError

from monitoring import profiles
from monitoring.bins import FeatureBins, category_bins, numeric_bins
from monitoring.calibration import Calibration, calibrate
from monitoring.features import INPUT, LABEL, PREDICTION, VOCABULARY, input_features, record_features
from tidegate.bundle import Bundle, Part, first_fault
from tidegate.bundle_store import BundleStore
from tidegate.errors import BundleCorrupt, InvalidInput
from tidegate.preprocess import Encoded
from tidegate.records import Record

PROFILE = "reference.bin"
CALIBRATION = "drift.json"
SCHEMA_VERSION: Final = 1


class Reference(Part):
    """`drift.json`: all that scoring a window needs."""

    schema_version: Literal[1] = SCHEMA_VERSION
    features: tuple[FeatureBins, ...] = ()
    calibration: Calibration = Calibration()


class References:
    """References of published bundles, each read once: published versions never change."""

    def __init__(self, bundles: BundleStore) -> None:
        self._bundles = bundles
        self._read: dict[tuple[str, int], Reference] = {}

    def get(self, model: str, version: int) -> Reference:
        """The reference of a version.

        Raises:
            BundleNotFound: no such version.
            BundleCorrupt: a file of it is not what was published, or holds no reference.
        """
        key = (model, version)
        if key not in self._read:
            self._read[key] = load_reference(self._bundles.load(model, version))
        return self._read[key]


def build_reference(
    labels: Sequence[str],
    training: Sequence[tuple[str, Encoded]],
    evaluation: Sequence[Record],
    folder: Path,
) -> None:
    """Write `reference.bin` and `drift.json` into a folder.

    Args:
        labels: the model's classes, in the bundle's order; none of embeddings, whose reference is of inputs alone.
        training: training texts as the bundle encodes them.
        evaluation: the evaluation split as the chosen variant answers it. With fewer than 50 rows the
            reference is written without calibration, and every window will be called insufficient.
        folder: the bundle's staging folder.

    Raises:
        InvalidInput: no training texts or no evaluation records.
    """
    if not training or not evaluation:
        raise InvalidInput(
            f"a reference needs texts: got {len(training)} training texts and {len(evaluation)} evaluation records"
        )
    texts = input_features(
        [text for text, _ in training],
        [encoded.words for _, encoded in training],
        [encoded.truncated for _, encoded in training],
    )
    documents = record_features(evaluation)
    fitted = documents[[*VOCABULARY, *PREDICTION, LABEL] if labels else list(VOCABULARY)]
    features = _bins(texts, fitted, labels)
    reference = Reference(features=features, calibration=calibrate(documents, features))
    profile = profiles.merge(profiles.profile_frame(texts), profiles.profile_frame(fitted))
    (folder / PROFILE).write_bytes(profiles.serialize(profile))
    (folder / CALIBRATION).write_text(reference.model_dump_json())


def load_reference(bundle: Bundle) -> Reference:
    """The reference that a verified bundle carries.

    Raises:
        BundleCorrupt: the file does not fit the schema.
    """
    file = bundle.file(bundle.manifest.drift_calibration)
    try:
        return Reference.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise BundleCorrupt(
            f"{file} does not fit schema {SCHEMA_VERSION}: {first_fault(error)}; export it again"
        ) from None


def _bins(texts: pd.DataFrame, fitted: pd.DataFrame, labels: Sequence[str]) -> tuple[FeatureBins, ...]:
    from_fitted = (*VOCABULARY, *PREDICTION) if labels else VOCABULARY
    sources = dict.fromkeys(INPUT, texts) | dict.fromkeys(from_fitted, fitted)
    numbers = [numeric_bins(name, frame[name].to_numpy(np.float64)) for name, frame in sources.items()]
    return (*numbers, category_bins(LABEL, fitted[LABEL].tolist(), labels)) if labels else tuple(numbers)
