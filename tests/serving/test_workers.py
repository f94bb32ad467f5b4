"""Several workers are one server: one port, one sum of figures, one set of windows; one that dies is replaced."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import SecretStr
from sqlalchemy import Engine, Select, func, select

from tests import bundles, postgres
from tests.servers import Server, running, tidegate
from tidegate import store
from tidegate.bundle_store import BundleStore
from tidegate.cli import gateway
from tidegate.cli.workers import Orders, Supervisor
from tidegate.errors import TidegateError
from tidegate.settings import Settings
from tidegate.store import alerts, records, shares, windows

PREDICT = "/models/sentiment/predict"
KEY = "a key that nobody may see"


def make_home(folder: Path) -> Path:
    bundles.sentiment(BundleStore(folder / "bundles"))
    return folder


def ask(url: str, path: str, body: object = None, **headers: str) -> httpx.Response:
    """One request over a connection of its own, so that the kernel chooses a worker for it."""
    return httpx.request("GET" if body is None else "POST", url + path, json=body, headers=headers, timeout=30)


def predict(url: str, text: str = "profit rises") -> httpx.Response:
    return ask(url, PREDICT, {"inputs": text})


def figure(url: str, name: str) -> float:
    """A figure of `/metrics`, by name and labels as they are written there; 0 where it is not."""
    lines = [line.rpartition(" ") for line in ask(url, "/metrics").text.splitlines()]
    return next((float(value) for found, _, value in lines if found == name), 0.0)


ANSWER, WEIGH = 4, 10  # events of the demo page: at once, and through Gradio's queue
ANSWERED = 'tidegate_requests_total{model="sentiment",outcome="200"}'


def answered_by(home: Path, worker: int) -> float:
    """How many predictions one worker has answered, from the file that it counts them in."""
    [file] = home.glob(f"workers-*/counter_{worker}.db")
    metrics = MultiProcessCollector.merge([str(file)])  # type: ignore[no-untyped-call]
    samples = [sample for metric in metrics for sample in metric.samples if sample.name == "tidegate_requests_total"]
    return float(sum(sample.value for sample in samples))


def ask_until_both_have_answered(url: str, home: Path) -> int:
    """How many questions it took; a worker listens a moment after it has said that its models are loaded."""
    sent = 0
    while sent < 20 or not (answered_by(home, 0) and answered_by(home, 1)):
        assert sent < 200, "one worker never got a connection"
        assert predict(url).json()[0][0]["label"] == "positive"
        sent += 1
    return sent


def children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    rows = [line.split() for line in done.stdout.splitlines()]
    return [int(row[0]) for row in rows if not row[1].startswith("Z")]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(
        tmp_path_factory.mktemp("workers") / "a-folder-with-a-name-so-long-that-no-socket-could-carry-it" / "h"
    )


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    with running(["serve", "--workers", "2"], home) as started:
        yield started


def test_both_workers_answer_and_each_shows_the_sum_of_both(home: Path, server: Server) -> None:
    before = figure(server.url, ANSWERED)
    sent = ask_until_both_have_answered(server.url, home)

    assert len(children(server.process.pid)) == 2
    assert {figure(server.url, ANSWERED) for _ in range(12)} == {before + sent}
    assert figure(server.url, "tidegate_workers") == 2
    assert figure(server.url, 'tidegate_requests_in_flight{model="sentiment"}') == 0


def test_monitoring_counts_every_prediction_once_in_one_set_of_windows(home: Path, server: Server) -> None:
    for _ in range(40):
        assert predict(server.url).status_code == 200
    expected = figure(server.url, ANSWERED)
    with closing_database(home) as database:
        eventually(lambda: counted(database) == (expected, expected))
        with database.connect() as connection:
            open_windows = connection.scalar(select(func.count()).select_from(windows).where(windows.c.open))
    assert open_windows == 1
    assert figure(server.url, 'tidegate_monitor_rows_total{model="sentiment"}') == expected


def test_a_demo_answers_though_its_question_and_its_answer_come_over_different_connections(server: Server) -> None:
    page = ask(server.url, "/demo/sentiment/")
    assert page.status_code == 200
    for turn in range(8):
        session = f"visitor{turn}"
        question = {"data": ["profit rises"], "fn_index": WEIGH, "session_hash": session, "trigger_id": None}
        assert ask(server.url, "/demo/sentiment/gradio_api/queue/join", question).status_code == 200
        stream = ask(server.url, f"/demo/sentiment/gradio_api/queue/data?session_hash={session}")
        events = [orjson.loads(line[6:]) for line in stream.text.split("\n\n") if line.startswith("data: ")]
        [done] = [event for event in events if event["msg"] == "process_completed"]
        assert "profit" in done["output"]["data"][0]


def test_every_worker_answers_for_a_demo_as_the_one_that_has_it(server: Server) -> None:
    pages = [ask(server.url, "/demo/sentiment/") for _ in range(12)]
    missing = [ask(server.url, "/demo/nope/", accept="text/html") for _ in range(12)]

    assert len({(page.status_code, page.content, frozenset(page.headers)) for page in pages}) == 1
    assert len({(page.status_code, page.content, frozenset(page.headers)) for page in missing}) == 1
    assert (pages[0].status_code, missing[0].status_code) == (200, 404)


def test_a_share_link_opens_its_demo_and_nothing_else_whichever_worker_answers(home: Path, server: Server) -> None:
    link = tidegate("share", "create", "sentiment", "--home", home).stdout.strip()
    welcomes = [httpx.get(link, timeout=60) for _ in range(8)]
    cookie = welcomes[0].headers["set-cookie"].partition(";")[0]

    assert {welcome.status_code for welcome in welcomes} == {303}
    assert {ask(server.url, "/demo/sentiment/", cookie=cookie).status_code for _ in range(8)} == {200}
    assert {ask(server.url, "/metrics", cookie=cookie).status_code for _ in range(8)} == {403}
    assert {ask(server.url, "/demo/sentiment/?share=forged").status_code for _ in range(8)} == {401}


def test_visits_uses_and_the_rate_of_a_link_are_counted_once_whichever_worker_answers(
    home: Path, server: Server
) -> None:
    terms = ("--max-visits", "3", "--rate", "5", "--expires", "1h")
    link = tidegate("share", "create", "sentiment", *terms, "--home", home).stdout.strip()
    form = {"content-type": "application/x-www-form-urlencoded"}
    visits = [httpx.post(link, headers=form, content=b"", timeout=60) for _ in range(8)]
    cookie = visits[0].headers["set-cookie"].partition(";")[0]

    def question(number: int) -> int:
        asked = {"data": ["profit rises"], "fn_index": ANSWER, "session_hash": f"link{number}", "trigger_id": None}
        return ask(server.url, "/demo/sentiment/gradio_api/run/predict", asked, cookie=cookie).status_code

    assert [visit.status_code for visit in visits] == [303] * 3 + [403] * 5
    assert [question(number) for number in range(8)].count(200) in (5, 6)  # one more may come due meanwhile
    with closing_database(home) as database:
        row = select(shares.c.visits, shares.c.uses).where(shares.c.max_visits == 3)
        eventually(lambda: _first(database, row)[1] >= 5)
        assert _first(database, row) in ((3, 5), (3, 6))


def _first(database: Engine, row: Select[Any]) -> tuple[int, int]:
    with database.connect() as connection:
        found = connection.execute(row).one()
    return int(found.visits), int(found.uses)


def test_a_port_that_workers_answer_on_is_taken(home: Path, server: Server) -> None:
    port = server.url.rpartition(":")[2]
    for workers in ("1", "2"):
        refused = tidegate("serve", "--workers", workers, "--port", port, "--home", home, check=False)
        assert refused.returncode == 2
        assert "Address already in use" in refused.stderr


@pytest.mark.slow
def test_a_killed_worker_is_replaced_while_the_other_answers(tmp_path: Path) -> None:
    with running(["serve", "--workers", "2"], make_home(tmp_path)) as server:
        sent = ask_until_both_have_answered(server.url, tmp_path)
        with_demos, other = children(server.process.pid)
        os.kill(with_demos, signal.SIGKILL)
        # What is told of only when all its threads are gone: until then connections may still be put into its queue.
        eventually(lambda: any("worker 0 ended (killed by SIGKILL)" in line for line in server.stderr))

        assert [predict(server.url).status_code for _ in range(10)] == [200] * 10
        assert ask(server.url, "/demo/sentiment/").status_code == 503
        assert figure(server.url, "tidegate_workers") == 1
        eventually(lambda: figure(server.url, "tidegate_workers") == 2)
        eventually(lambda: ask(server.url, "/demo/sentiment/").status_code == 200)
        assert len({*children(server.process.pid), with_demos, other}) == 3
        assert figure(server.url, ANSWERED) == sent + 10
        assert figure(server.url, 'tidegate_model_ready{model="sentiment"}') == 1


@pytest.mark.slow
def test_exit_when_ready_waits_for_every_worker_and_a_model_that_failed_is_named(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    argv = (sys.executable, "-c", EXIT_WHEN_READY, str(home))
    good = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    [file] = home.glob("bundles/sentiment/1/model.onnx")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    bad = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)

    assert (good.returncode, good.stdout[:13]) == (0, "ready http://")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "NotReady: sentiment: " in bad.stderr
    assert "are killed" not in good.stderr + bad.stderr, "a worker that was told to end did not"
    assert list(home.glob("workers-*")) == []


EXIT_WHEN_READY = """
import sys
from tidegate.cli import gateway
from tidegate.settings import Settings
settings = Settings.load({}, home=sys.argv[1], port=0, workers=2)
gateway.run(settings, gateway.open_door(settings), exit_when_ready=True)
"""


@pytest.mark.slow
def test_sigterm_ends_every_worker_with_exit_code_0_and_leaves_nothing(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    with running(["serve", "--workers", "2"], home, TIDEGATE_API_KEY=KEY) as server:
        workers = children(server.process.pid)
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in workers]
        statuses = [ask(server.url, PREDICT, {"inputs": "profit"}, authorization=f"Bearer {KEY}") for _ in range(8)]
        strangers = [ask(server.url, path) for path in ("/models", "/demo/sentiment/") for _ in range(8)]
        server.process.terminate()

        assert server.process.wait(60) == 0
        assert {status.status_code for status in statuses} == {200}
        assert {stranger.status_code for stranger in strangers} == {401}
        assert len(workers) == 2
        assert not [pid for pid in workers if alive(pid)]
        assert not any(KEY.encode() in command for command in commands)
    assert not any("are killed" in line for line in server.stderr)
    assert list(home.glob("workers-*")) == []
    with closing_database(home) as database:
        assert counted(database) == (8, 8)


@pytest.mark.slow
def test_workers_end_with_a_supervisor_that_was_killed_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    with running(["serve", "--workers", "2"], home) as server:
        workers = children(server.process.pid)
        predict(server.url)
        server.process.kill()
        eventually(lambda: not any(alive(pid) for pid in workers))
    left = list(home.glob("workers-*"))
    with running(["serve", "--workers", "2"], home) as server:
        predict(server.url)
        [folder] = home.glob("workers-*")

    assert len(left) == 1
    assert folder not in left
    with closing_database(home) as database:
        assert counted(database) == (2, 2)


class Failing(Supervisor):
    """Its workers end at once."""

    command = (sys.executable, "-c", "import sys; sys.exit(3)")


def test_workers_that_cannot_start_end_the_server_with_a_reason(tmp_path: Path) -> None:
    supervisor = Failing(Settings(home=tmp_path, workers=2), tmp_path, lambda _failed: False)

    with pytest.raises(TidegateError, match=r"worker [01] ended 3 times at its start .*exit code 3"):
        asyncio.run(supervisor.run())


def test_the_cores_are_split_evenly_among_workers_and_each_has_one_at_least(tmp_path: Path) -> None:
    def threads(workers: int, total: int) -> list[int]:
        supervisor = Supervisor(
            Settings(home=tmp_path, workers=workers, threads=total), tmp_path, lambda _failed: False
        )
        return [supervisor.orders(index, first=True).settings.threads for index in range(workers)]

    assert threads(2, 4) == [2, 2]
    assert threads(3, 8) == [2, 2, 2]
    assert threads(4, 2) == [1, 1, 1, 1]


def test_orders_bring_every_setting_and_its_secrets_to_the_worker(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, workers=2, api_key=SecretStr(KEY), device="cpu", drain_seconds=3)
    orders = Orders(index=1, folder=tmp_path, listen_at_once=False, settings=settings)

    assert Orders.model_validate_json(orders.line()) == orders
    assert KEY not in repr(orders)


# What a worker's monitoring thread does, without a server around it, so that many start at the same moment.
WRITER = """
import sys, time
from pathlib import Path
from prometheus_client import CollectorRegistry
from monitoring import profiles
from monitoring.metrics import MonitoringMetrics
from monitoring.reference import References
from monitoring.writer import Writer
from tests import bundles
from tidegate import store
from tidegate.bundle_store import BundleStore
from tidegate.settings import Settings
home, url, me = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
settings = Settings(home=home, window_rows=100, database_url=url)
kept = BundleStore(settings.bundles_dir)
models = [kept.load("one"), kept.load("two")][:: 1 if me % 2 else -1]
database = store.open_database(settings.state_url)
writer = Writer(database, References(kept), settings, MonitoringMetrics(CollectorRegistry()), time.time)
texts = [f"an utterly unseen film !!! 1999 nobody has written {me} {index}" for index in range(30)]
batches = [
    [row for model in models for row in bundles.predictions(model, texts, prefix=f"{model.manifest.name}-{me}-{turn}-")]
    for turn in range(8)
]
profiles.warm_up()
print("ready", flush=True)
sys.stdin.readline()
for batch in batches:
    writer.write(batch)
"""


@contextmanager
def closing_database(home: Path, url: str = "") -> Iterator[Engine]:
    database = store.open_database(Settings(home=home, database_url=url).state_url)
    try:
        yield database
    finally:
        database.dispose()


def counted(database: Engine) -> tuple[int, int]:
    """Rows in windows, and records."""
    with database.connect() as connection:
        in_windows = connection.scalar(select(func.coalesce(func.sum(windows.c.rows), 0))) or 0
        return in_windows, connection.scalar(select(func.count()).select_from(records)) or 0


def write_from_three_processes(home: Path, url: str) -> None:
    argv: Sequence[str] = (sys.executable, "-c", WRITER, str(home), url)
    pipe = subprocess.PIPE
    writers = [subprocess.Popen([*argv, str(n)], stdin=pipe, stdout=pipe, stderr=pipe, text=True) for n in range(3)]
    assert [writer.stdout.readline() for writer in writers if writer.stdout] == ["ready\n"] * 3
    for writer in writers:
        if writer.stdin:
            writer.stdin.write("go\n")
            writer.stdin.flush()
    ends = [writer.communicate(timeout=60) for writer in writers]
    assert [(writer.returncode, end[1]) for writer, end in zip(writers, ends, strict=True)] == [(0, "")] * 3


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_processes_that_write_at_once_lose_no_row_and_open_one_window_and_one_alert(
    tmp_path: Path, dialect: str
) -> None:
    kept = BundleStore(tmp_path / "bundles")
    bundles.sentiment(kept, "one")
    bundles.sentiment(kept, "two")
    with database_url(dialect) as url, closing_database(tmp_path, url) as database:
        write_from_three_processes(tmp_path, url)
        with database.connect() as connection:
            opened = list(connection.scalars(select(windows.c.model).where(windows.c.open)))
            raised = [tuple(row) for row in connection.execute(select(alerts.c.model, alerts.c.kind))]
        assert counted(database) == (1_440, 1_440)
    assert len(opened) == len(set(opened)), "a version has two open windows"
    assert len(raised) == len(set(raised)), "a version has two alerts of a kind"
    assert {model for model, kind in raised if kind == "drift"} == {"one", "two"}


@contextmanager
def database_url(dialect: str) -> Iterator[str]:
    if dialect == "sqlite":
        yield ""
    else:
        with postgres.server() as url:
            yield url


def test_a_port_reserved_for_workers_takes_no_connection_before_they_listen(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=0, workers=2)
    with closing(gateway.open_door(settings)) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.getsockname(), timeout=5)
