"""`tidegate monitor --backfill` judges a file of past inputs, and keeps what it found only if asked to."""

import csv
import json
from pathlib import Path

import pytest
from sqlalchemy import func, select

from monitoring import alerts
from monitoring.report import drift_report
from tests import bundles
from tests.monitoring.conftest import NOVEL, House
from tests.monitoring.test_commands import tidegate
from tidegate.store import records, windows

START = 1_767_225_600  # 2026-01-01


@pytest.fixture
def past(tmp_path: Path) -> Path:
    """Twelve hours of texts, 100 an hour, another kind in the last three; not in order of time."""
    texts = [*bundles.headlines(900, seed=5), *(f"{NOVEL} {number}" for number in range(300))]
    rows = [(START + number * 36, text) for number, text in enumerate(texts)]
    file = tmp_path / "past.csv"
    with file.open("w", newline="", encoding="utf-8") as target:
        csv.writer(target).writerows([("sent_at", "title"), *reversed(rows)])
    return file


def backfill(house: House, past: Path, *more: str) -> dict[str, list[dict[str, object]]]:
    arguments = ("--backfill", str(past), "--model", "sentiment", "--text-column", "title", "--window-rows", "100")
    done = tidegate(house, "monitor", *arguments, *more, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_file_is_judged_window_by_window_and_nothing_is_kept(house: House, past: Path) -> None:
    found = backfill(house, past, "--time-column", "sent_at")

    assert [window["status"] for window in found["windows"]] == ["ok"] * 9 + ["drift"] * 3
    assert found["windows"][0]["started_at"] == START
    assert [alarm["last"] for alarm in found["alarms"]] == [1_199]
    with house.database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(windows)) == 0


@pytest.mark.slow
def test_what_is_recorded_has_its_own_times_and_is_history_not_news(house: House, past: Path) -> None:
    house.now = START + 1e6
    house.writer().write(house.usual(100, "live"))
    for _ in range(2):  # the second time everything is there already
        backfill(house, past, "--time-column", "sent_at", "--record")
    report = drift_report(house.database, house.bundles, 30.0, ("sentiment", 1))
    (alert,) = alerts.list_alerts(house.database)

    assert [window["status"] for window in report["windows"]] == ["ok"] * 9 + ["drift"] * 3 + ["ok"]
    assert (report["status"], report["alert"]) == ("ok", False), "the newest window is the live one"
    assert (alert.state, alert.resolved_by, alert.last_seen_at) == ("resolved", "backfill", START + 1_199 * 36)
    with house.database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(records)) == 100, "no text of the file is kept"


@pytest.mark.slow
def test_people_read_where_the_alarm_was(house: House, past: Path) -> None:
    done = tidegate(house, "monitor", "--backfill", str(past), "--model", "sentiment", "--text-column", "title")

    assert done.returncode == 0, done.stderr
    assert "windows, " in done.stdout.splitlines()[0]
    assert "alarm (" in done.stdout


@pytest.mark.slow
def test_a_table_of_columns_is_held_against_another_one(house: House, tmp_path: Path) -> None:
    usual, new = tmp_path / "usual.csv", tmp_path / "new.csv"
    usual.write_text("age,city\n" + "".join(f"{20 + n % 50},{'ABC'[n % 3]}\n" for n in range(600)))
    new.write_text("age,city\n" + "".join(f"{20 + n % 50},{'ABD'[n % 3]}\n" for n in range(200)))
    done = tidegate(house, "monitor", "--backfill", str(new), "--reference", str(usual))

    assert done.returncode == 0, done.stderr
    assert "city never seen: 33.5% of rows" in done.stdout or "city never seen: 33.0% of rows" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say --model NAME for texts, or --reference TABLE for columns"),
        (("--model", "sentiment", "--reference", "a.csv"), "and not both"),
        (("--model", "sentiment", "--record"), "it takes --model and --time-column"),
        (("--model", "sentiment", "--text-column", "body"), "has no column 'body'; it has: sent_at, title"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error(
    house: House, past: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = tidegate(house, "monitor", "--backfill", str(past), *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
