"""Many demos in one real process stay small, whoever visited them. No time is asserted: see `benchmarks demos`."""

from pathlib import Path

import pytest

from benchmarks.demos.many import measure_crowd

pytestmark = pytest.mark.slow


def test_a_dozen_demos_are_small_and_two_hundred_visits_leave_nothing(tmp_path: Path) -> None:
    found = measure_crowd(tmp_path, models=12, visits=200)

    assert found.demo_mib < 3
    assert found.growth < 0.05
    assert found.idle_cpu < 0.05
