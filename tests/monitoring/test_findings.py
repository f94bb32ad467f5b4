"""Drift is found when two of a version's last three scored windows drifted, and is described worst first."""

from monitoring import findings
from tests.monitoring.conftest import House


def found(house: House) -> list[findings.Finding]:
    with house.database.begin() as connection:
        return findings.confirmed_drift(connection, ("sentiment", 1))


def test_a_finding_names_its_features_by_how_much_worst_first(house: House) -> None:
    house.writer().write(house.novel(200, "a"))
    (finding,) = found(house)

    assert (finding.kind, finding.severity) == ("drift", "ticket")
    assert all(f["score"] > f["threshold"] for f in finding.features)
    assert f"{finding.features[0]['name']} {finding.features[0]['score']:.2f}" in finding.message
    assert finding.message.startswith("sentiment/1: inputs drifted in 2 of the last 3 windows: ")


def test_one_drifted_window_of_three_is_no_finding(house: House) -> None:
    writer = house.writer()
    for rows in (house.novel(100, "a"), house.usual(200, "b"), house.novel(100, "c")):
        writer.write(rows)
        assert found(house) == []


def test_the_message_names_five_features_and_counts_the_rest() -> None:
    features = [{"name": f"f{i}", "score": 0.5, "threshold": 0.1} for i in range(7)]

    assert findings.describe(("m", 3), features, 2).endswith("f4 0.50 (threshold 0.10) and 2 more")


def test_the_window_furthest_from_the_reference_comes_first(house: House) -> None:
    writer = house.writer(relabel_per_alert=0)
    usual, novel = house.usual(50, "b"), house.novel(50, "c")
    writer.write([*usual, *novel])  # half and half
    writer.write(house.novel(100, "a"))
    (finding,) = found(house)

    assert finding.window_ids == [2, 1]
