"""A verdict on a closed window becomes findings: drift is worth a ticket, a broken contract a page, worst first."""

from typing import Any

import pytest
from sqlalchemy import insert

from monitoring import findings
from monitoring.alarm import Cause, Verdict
from monitoring.contracts import Breach
from monitoring.drift import FeatureScore, WindowScore
from tests.monitoring.states import KEY, State
from tidegate import store

CALM = WindowScore("ok")


def score(*surprises: float, limit: float = 3.0) -> WindowScore:
    """A window whose features are called f0, f1, ..."""
    features = [FeatureScore(f"f{i}", 0.1 * s, 0.3, s, s > limit, 1.0, 2.0) for i, s in enumerate(surprises)]
    return WindowScore("drift" if max(surprises) > limit else "ok", tuple(features), max(surprises), limit)


def verdict(
    *causes: Cause, window: WindowScore = CALM, slow: WindowScore = CALM, breaches: tuple[Breach, ...] = ()
) -> Verdict:
    drift = [cause for cause in causes if cause != "contract"]
    return Verdict(bool(drift), causes, window, CALM, slow, breaches, 0.001)


def close(state: State, scored: WindowScore) -> None:
    """A window of that score is in the database."""
    times: dict[str, Any] = {"started_at": 1.0, "ended_at": 2.0}
    values = {"model": KEY[0], "version": KEY[1], "rows": 200, "open": False, "sums": b"", "causes": []}
    found = {"status": scored.status, "surprise": scored.surprise, "limit": scored.limit}
    with state.database.begin() as connection:
        connection.execute(insert(store.windows).values(**values, **times, **found, features=scored.document()))


def found(state: State, given: Verdict) -> list[findings.Finding]:
    with state.database.begin() as connection:
        return findings.of_verdict(connection, KEY, 3, given)


def test_a_calm_verdict_finds_nothing(state: State) -> None:
    assert found(state, verdict()) == []


@pytest.mark.parametrize("last", [score(1.0), score(5.0, 2.0)])
def test_confirmed_drift_names_its_windows_furthest_first_and_the_features_of_the_newest(
    state: State, last: WindowScore
) -> None:
    for each in (score(4.0), score(9.0, 4.0, 1.0), last):
        close(state, each)
    (finding,) = found(state, verdict("window"))

    drifted = [2, 3, 1] if last.status == "drift" else [2, 1]
    assert (finding.kind, finding.severity, finding.window_ids) == ("drift", "ticket", drifted)
    newest = ["f0"] if last.status == "drift" else ["f0", "f1"]
    assert [feature["name"] for feature in finding.features] == newest
    assert finding.message.startswith(f"headlines/1: inputs drifted in {len(drifted)} of the last 3 windows: f0 ")


def test_slow_drift_has_the_features_of_the_window_that_forgets(state: State) -> None:
    for _ in range(3):
        close(state, score(1.0))
    (finding,) = found(state, verdict("slow", slow=score(6.0, 1.0)))

    assert finding.message == "headlines/1: inputs have drifted slowly: f0 0.60 (threshold 0.30)"
    assert (finding.window_ids, finding.detail) == ([3], {"causes": ["slow"]})


def test_a_sudden_change_that_the_slow_window_sees_first_is_not_called_slow(state: State) -> None:
    newest = score(9.0, 4.0, 1.0)
    close(state, newest)
    (finding,) = found(state, verdict("slow", window=newest, slow=score(6.0, 1.0)))

    assert finding.message.startswith(
        "headlines/1: inputs drifted in the newest window, and over the latest together: f0"
    )
    assert [feature["name"] for feature in finding.features] == ["f0", "f1"]
    assert finding.window_ids == [1]


def test_a_broken_contract_pages_with_the_worst_first(state: State) -> None:
    breaches = (Breach("empty texts", 0.2, 0.1, 0.01), Breach("texts in another script", 0.9, 0.1, 0.0))
    drift, contract = found(state, verdict("slow", "contract", slow=score(6.0), breaches=breaches))

    assert (drift.kind, contract.kind, contract.severity) == ("drift", "contract", "page")
    assert contract.features[0] == {"name": "texts in another script", "score": 0.9, "threshold": 0.1}
    assert contract.message == (
        "headlines/1: inputs break what was expected: texts in another script: 90.0% of rows, at most 10.0% were to be "
        "expected; empty texts: 20.0% of rows, at most 10.0% were to be expected"
    )


def test_the_message_names_five_features_and_counts_the_rest() -> None:
    features = [{"name": f"f{i}", "score": 0.5, "threshold": 0.1} for i in range(7)]

    assert findings.describe(("m", 3), "drifted", features).endswith("f4 0.50 (threshold 0.10) and 2 more")
    assert findings.describe(("m", 3), "drifted", []) == "m/3: drifted"
