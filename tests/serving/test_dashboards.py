"""Dashboard and alert rules ask for metrics that exist, in expressions that parse; alerts fire when they should."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml

from tests import bundles
from tests.servers import running
from tidegate.bundle_store import BundleStore

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "monitoring" / "dashboards"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.+?) \|", re.MULTILINE)
TABLE = {name: (kind, labels) for name, kind, labels in ROW.findall((ROOT / "docs/reference/metrics.md").read_text())}
FROM_PROMETHEUS = {"up"}  # of each scrape, and no metric of ours
ADDED_BY_PROMETHEUS = {"instance", "job", "le"}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def plain(expression: str) -> str:
    """An expression of the dashboard with Grafana's variables filled in."""
    return re.sub(r"\$\{?(__rate_interval)\}?", "5m", expression).replace("$model", ".+").replace("$instance", ".+")


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], plain(target["expr"])
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], plain(annotation["expr"])
    for rule in RULES:
        yield rule["alert"], rule["expr"]


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """(metric, labels that are matched) of each selector."""
    found = re.findall(r"\b([a-z_]+)(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', expression))
    named = [(name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels or ""))) for name, labels in found]
    return [(name, labels) for name, labels in named if name.startswith("tidegate_") or name in FROM_PROMETHEUS]


def family(name: str) -> tuple[str, str] | None:
    """What the table says of a metric, or of the histogram that a series belongs to."""
    histogram = TABLE.get(re.sub(r"_(bucket|sum|count)$", "", name), ("", ""))
    return histogram if histogram[0] == "histogram" and name not in TABLE else TABLE.get(name)


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_expression_parses_and_asks_for_metrics_and_labels_that_exist(where: str, expression: str) -> None:
    promql_parser.parse(expression)
    asked = selectors(expression)

    assert asked, where
    for name, labels in asked:
        if name in FROM_PROMETHEUS:
            continue
        documented = family(name)
        assert documented is not None, f"{where}: {name} is no metric of ours"
        assert labels <= set(re.findall(r"`(\w+)`", documented[1])) | ADDED_BY_PROMETHEUS, f"{where}: {name}"
    grouped = {
        label.strip() for group in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression) for label in group.split(",")
    }
    known = {label for name, _ in asked for label in re.findall(r"`(\w+)`", (family(name) or ("", ""))[1])}
    assert grouped <= known | ADDED_BY_PROMETHEUS, where


def test_legends_and_summaries_name_labels_that_their_expressions_keep() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                by = re.search(r"\bby \(([^)]*)\)", target["expr"])
                kept = (
                    by[1]
                    if by
                    else " ".join(
                        entry[1] for entry in map(family, re.findall(r"tidegate_\w+", target["expr"])) if entry
                    )
                )
                assert label in ADDED_BY_PROMETHEUS or label in kept, f"{panel['title']}: {label}"


def test_the_dashboard_has_the_fields_that_grafana_needs() -> None:
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time", "refresh", "version"} <= DASHBOARD.keys()
    assert "id" not in DASHBOARD, "Grafana gives it when it imports the file"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert names == {"datasource", "instance", "model"}
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        taken = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, f"{panel['title']} lies over another panel"
        cells |= taken
    for panel in PANELS:
        assert {"title", "type", "datasource", "targets", "fieldConfig", "options"} <= panel.keys()
        assert panel["datasource"]["uid"] == "${datasource}"
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)


def test_the_dashboard_shows_what_an_operator_asks_for() -> None:
    titles = " ".join(panel["title"].lower() for panel in DASHBOARD["panels"])
    asked = (
        "outcome",
        "latency",
        "queue wait",
        "rows of a batch",
        "padding",
        "shed",
        "version",
        "drift",
        "relabel",
        "gpu",
    )

    assert [each for each in asked if each not in titles] == []


def test_every_alert_says_what_is_wrong_what_to_do_and_how_urgent_it_is() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]
    asked = "NotReady Stuck Shedding Slow Errors Drift MonitoringDrops NoScrape"
    assert {f"Tidegate{each}" for each in asked.split()} <= {rule["alert"] for rule in RULES}


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed, so nothing runs the rules; apt-get install prometheus has it")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_prometheus_takes_the_rules_and_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"dashboard:{n}", "expr": expression} for n, (_, expression) in enumerate(expressions())]
    (tmp_path / "dashboard.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    for file in (FOLDER / "alerts.yml", tmp_path / "dashboard.yml"):
        done = promtool("check", "rules", file)
        assert done.returncode == 0, done.stdout + done.stderr


M = 'instance="a:80", job="tidegate", model="m"'
# Series over 30 minutes, one sample a minute, and the labels of the alert that they make fire.
FIRE: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "TidegateNoScrape": ({'up{instance="a:80", job="tidegate"}': "1x5 0x30"}, {"instance": "a:80", "job": "tidegate"}),
    "TidegateNotReady": (
        {f"tidegate_model_ready{{{M}}}": "0x30", f'tidegate_model_standing{{{M}, standing="unloaded"}}': "0x30"},
        {"instance": "a:80", "job": "tidegate", "model": "m"},
    ),
    "TidegateStuck": (
        {f'tidegate_model_standing{{{M}, standing="stuck"}}': "0x5 1x30"},
        {"instance": "a:80", "job": "tidegate", "model": "m", "standing": "stuck"},
    ),
    "TidegateShedding": (
        {
            f'tidegate_shed_total{{{M}, reason="deadline"}}': "0+6x30",
            f'tidegate_requests_total{{{M}, outcome="200"}}': "0+60x30",
        },
        {"instance": "a:80", "reason": "deadline"},
    ),
    "TidegateSlow": (
        {
            f'tidegate_request_seconds_bucket{{{M}, le="1.0"}}': "0+90x30",
            f'tidegate_request_seconds_bucket{{{M}, le="2.0"}}': "0+100x30",
            f'tidegate_request_seconds_bucket{{{M}, le="+Inf"}}': "0+100x30",
        },
        {"instance": "a:80", "model": "m"},
    ),
    "TidegateErrors": (
        {
            f'tidegate_requests_total{{{M}, outcome="200"}}': "0+98x30",
            f'tidegate_requests_total{{{M}, outcome="504"}}': "0+2x30",
        },
        {"instance": "a:80", "model": "m"},
    ),
    "TidegateDrift": (
        {f"tidegate_drift_alerts_total{{{M}}}": "0x10 1x30"},
        {"instance": "a:80", "job": "tidegate", "model": "m"},
    ),
    "TidegateModelPages": (
        {f'tidegate_alerts_open{{{M}, kind="contract", severity="page"}}': "0x10 1x30"},
        {"instance": "a:80", "model": "m", "kind": "contract"},
    ),
    "TidegateWebhookFails": (
        {'tidegate_webhook_failures_total{instance="a:80", job="tidegate"}': "0+1x30"},
        {"instance": "a:80", "job": "tidegate"},
    ),
    "TidegateAlertsUndelivered": (
        {'tidegate_deliveries{instance="a:80", job="tidegate", state="dead"}': "0x10 2x30"},
        {"instance": "a:80"},
    ),
    "TidegateMonitoringDrops": (
        {'tidegate_monitor_dropped_total{instance="a:80", job="tidegate"}': "0+5x30"},
        {"instance": "a:80", "job": "tidegate"},
    ),
}
WELL = {
    'up{instance="a:80", job="tidegate"}': "1x30",
    f"tidegate_model_ready{{{M}}}": "1x30",
    'tidegate_model_ready{instance="a:80", job="tidegate", model="put away"}': "0x30",
    'tidegate_model_standing{instance="a:80", job="tidegate", model="put away", standing="unloaded"}': "1x30",
    f'tidegate_requests_total{{{M}, outcome="200"}}': "0+1000x30",
    f'tidegate_requests_total{{{M}, outcome="422"}}': "0+500x30",
    f'tidegate_shed_total{{{M}, reason="queue_full"}}': "0+1x30",
    f'tidegate_shed_total{{{M}, reason="rate_limit"}}': "0+900x30",
    f'tidegate_alerts_open{{{M}, kind="drift", severity="ticket"}}': "1x30",
    f'tidegate_alerts_open{{{M}, kind="contract", severity="page"}}': "0x30",
    'tidegate_deliveries{instance="a:80", job="tidegate", state="dead"}': "0x30",
    'tidegate_deliveries{instance="a:80", job="tidegate", state="delivered"}': "9x30",
}


def firing(alert: str, series: dict[str, str], folder: Path) -> str:
    """What promtool says of an alert that fires after 25 minutes of these series; empty when it does not."""
    values = [{"series": name, "values": told} for name, told in series.items()]
    expected_none = {"eval_time": "25m", "alertname": alert, "exp_alerts": []}
    test = {
        "rule_files": [str(FOLDER / "alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": values, "alert_rule_test": [expected_none]}],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(test))
    done = promtool("test", "rules", folder / "test.yml")
    said = done.stdout + done.stderr
    assert not done.returncode or "got:" in said, said
    return said.partition("got:")[2]


@pytest.mark.parametrize("alert", FIRE)
def test_an_alert_fires_when_it_should(alert: str, tmp_path: Path) -> None:
    series, labels = FIRE[alert]
    said = firing(alert, series, tmp_path)

    assert said, "it does not fire"
    assert [f'{name}="{value}"' for name, value in labels.items() if f'{name}="{value}"' not in said] == []
    assert "<no value>" not in said, "a summary names a label that the alert has not got"


@pytest.mark.parametrize("alert", [rule["alert"] for rule in RULES])
def test_no_alert_fires_while_all_is_well(alert: str, tmp_path: Path) -> None:
    assert firing(alert, WELL, tmp_path) == ""


@pytest.fixture(scope="module")
def scraping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A real Prometheus with our rules, which scrapes a real server that is asked something all the while."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed, so nothing scrapes; apt-get install prometheus has it")
    folder = tmp_path_factory.mktemp("prometheus")
    bundles.sentiment(BundleStore(folder / "home" / "bundles"))
    with running(["serve"], folder / "home", TIDEGATE_WINDOW_ROWS="50") as server:
        port = _free_port()
        scrape = {"job_name": "tidegate", "static_configs": [{"targets": [server.url.removeprefix("http://")]}]}
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(FOLDER / "alerts.yml")],
            "scrape_configs": [scrape],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        arguments = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        with (
            subprocess.Popen(
                [program, *arguments, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL
            ) as prometheus,
            httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1") as client,
        ):
            try:
                for turn in range(100):
                    asked_for = {"inputs": bundles.headlines(2, seed=turn)}
                    httpx.post(f"{server.url}/models/sentiment/predict", json=asked_for).raise_for_status()
                    time.sleep(0.1)
                yield client
            finally:
                prometheus.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def asked(client: httpx.Client, path: str, **parameters: str) -> Any:
    answer = client.get(path, params=parameters).json()
    assert answer["status"] == "success", answer
    return answer["data"]


@pytest.mark.slow
def test_a_real_prometheus_scrapes_the_server_and_answers_every_panel(scraping: httpx.Client) -> None:
    answered = {
        panel["title"]: sum(len(asked(scraping, "/query", query=plain(t["expr"]))["result"]) for t in panel["targets"])
        for panel in PANELS
    }
    empty = {title for title, series in answered.items() if not series}
    metadata = asked(scraping, "/metadata")

    # Without a GPU, canary or drift alert there is nothing to show of them.
    assert empty <= {"GPU memory", "GPU load", "Requests by version", "Drift alerts", "Share of errors"}
    assert metadata["tidegate_request_seconds"][0]["type"] == "histogram"
    assert metadata["tidegate_request_seconds"][0]["help"].startswith("From the texts to their answers")


@pytest.mark.slow
def test_a_real_prometheus_loads_the_rules_and_none_fires_on_a_server_that_is_well(scraping: httpx.Client) -> None:
    [group] = asked(scraping, "/rules")["groups"]
    firing = {
        alert["labels"]["alertname"] for alert in asked(scraping, "/alerts")["alerts"] if alert["state"] == "firing"
    }

    assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in RULES]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    assert firing == set()
