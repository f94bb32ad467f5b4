"""On real texts: held-out headlines raise no alert, film reviews do, whichever split of the headlines it is."""

import csv
from pathlib import Path

import numpy as np
import pytest

from monitoring import profiles
from monitoring.drift import confirmed, score
from monitoring.features import record_features
from monitoring.reference import Reference, build_reference
from tests import bundles
from tests.monitoring.conftest import House
from tidegate.devices import choose
from tidegate.engine import Engine

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared data is not at {DATA}"),
]


def read(name: str) -> list[str]:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def statuses(house: House, reference: Reference, texts: list[str]) -> list[str]:
    frame = record_features(bundles.predictions(house.bundle, texts))
    windows = [frame.iloc[start : start + 200] for start in range(0, len(frame) - 199, 200)]
    return [score(profiles.profile_frame(window), reference).status for window in windows]


def test_headlines_stay_quiet_and_reviews_alert(house: House, tmp_path: Path) -> None:
    headlines, reviews = np.array(read("financial_phrasebank")), read("movie_reviews")
    engine = Engine.open(house.bundle, choose("cpu", ["CPUExecutionProvider"]), threads=1)
    quiet: list[str] = []
    for seed in range(6):
        training, held_out, fresh = np.split(np.random.default_rng(seed).permutation(headlines), [2_200, 3_000])
        rows = list(zip(training.tolist(), engine.encode(training.tolist()), strict=True))
        build_reference(
            house.bundle.manifest.labels, rows, bundles.predictions(house.bundle, held_out.tolist()), tmp_path
        )
        reference = Reference.model_validate_json((tmp_path / "drift.json").read_bytes())
        quiet += statuses(house, reference, fresh.tolist())
        assert statuses(house, reference, reviews[:1_000]) == ["drift"] * 5
        assert not confirmed(quiet[-3:])

    assert len(quiet) == 30
    assert quiet.count("drift") <= 3  # 1 % is 0.3 of them; the windows of one split share its luck
