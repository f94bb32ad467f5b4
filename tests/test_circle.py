"""The main job, end to end, as a new user runs it: real processes, real HTTP, real data where it is at hand.

`tidegate quickstart` makes the transformer and the TF-IDF model of headlines that it makes for newcomers; beside them
stands a TF-IDF model of financial_phrasebank. `answers.py` asks the source models in the export environment through
MLflow's own loaders, not through ours.
"""

import csv
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import httpx
import pytest

from examples import headlines
from tests.faults.faults import until
from tests.servers import TIDEGATE, Server, environment, export_python, running, shared_data, tidegate
from tidegate.environments import CHECKOUT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

T = TypeVar("T")
UNSEEN = 825  # texts of each model's kind that it has not seen: eight windows and what fills the ninth


@dataclass(frozen=True, slots=True)
class World:
    """What `tidegate quickstart` has made, and a model of real sentences beside it.

    Attributes:
        printed: by quickstart, on stdout.
        unseen: by model, texts of the kind that it was trained on.
    """

    home: Path
    printed: str
    unseen: dict[str, list[str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything trained, registered and exported; real sentences only where they are at hand."""
    export_python()
    home = tmp_path_factory.mktemp("world")
    printed = tidegate("quickstart", "--exit-when-ready", "--home", home, "--port", "0").stdout
    made_up = [text for text, _ in headlines.generate(UNSEEN, seed=77)]
    return World(home, printed, {"headlines": made_up, "headlines-tfidf": made_up})


@pytest.fixture(scope="module")
def real(world: World) -> World:
    """The same, with `phrases-tfidf`, trained on four fifths of financial_phrasebank."""
    rows = _read(shared_data("financial_phrasebank.csv"))
    Random(0).shuffle(rows)
    data = world.home / "training.csv"
    with data.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows[UNSEEN:]])
    command = [export_python(), CHECKOUT / "examples" / "train_tfidf.py", "--data", data, "--home", world.home]
    options = ["--register", "phrases-tfidf", "--alias", "champion", "--threshold", "quartile"]
    _run([*map(str, command), *options])
    tidegate("export", "models:/phrases-tfidf@champion", "--name", "phrases-tfidf", "--home", world.home)
    return World(world.home, world.printed, {**world.unseen, "phrases-tfidf": [text for text, _ in rows[:UNSEEN]]})


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    """Quickstart again, which finds everything made."""
    with running(["quickstart"], world.home) as server:
        yield server


def test_quickstart_ends_ready_and_its_curl_line_works(world: World, server: Server) -> None:
    assert re.search(r"^ready http://127\.0\.0\.1:\d+$", world.printed.strip())
    until(lambda: any("curl" in line for line in server.stderr))
    curl = next(line for line in server.stderr if line.strip().startswith("curl"))
    answered = subprocess.run(curl, shell=True, check=True, capture_output=True, text=True).stdout  # noqa: S602
    labels = {entry["label"] for entry in json.loads(answered)[0]}
    pages = [line.split()[1] for line in server.stderr if re.match(r"\s+(demo|docs|metrics)\s", line)]

    assert labels == {"negative", "neutral", "positive"}
    assert len(pages) == 4
    for page in pages:
        assert httpx.get(page, follow_redirects=True, timeout=60).status_code == 200, page


@pytest.mark.parametrize("model", ["headlines", "headlines-tfidf"])
def test_a_hundred_headlines_get_the_labels_of_the_source_model(world: World, server: Server, model: str) -> None:
    _answers_as_its_source(world, server, model)


def test_a_hundred_real_sentences_get_the_labels_of_the_source_model(real: World, server: Server) -> None:
    _answers_as_its_source(real, server, "phrases-tfidf")


def test_headlines_raise_no_alert_and_movie_reviews_do(world: World, server: Server) -> None:
    _alerts_at_reviews_alone(world, server, "headlines")


def test_real_sentences_raise_no_alert_and_movie_reviews_do(real: World, server: Server) -> None:
    _alerts_at_reviews_alone(real, server, "phrases-tfidf")


def _answers_as_its_source(world: World, server: Server, model: str) -> None:
    """Every label is the source's; one whose choice hangs by less than the variant's measured error may differ.

    Tuning serves the variant that is fastest on this machine. fp32 differs by some 1e-7; int8 by hundredths, which the
    bundle's evidence tells, from its own evaluation texts: others may be off by twice that. No more than the one in a
    hundred that the export gate lets pass may differ.
    """
    texts = world.unseen[model][:100]
    with server.client() as client:
        told = _wait_for(lambda: _ready(client, model))  # the server finds new models itself
        answers = [_ask(client, model, text) for text in texts]
    errors = {evidence["variant"]: evidence["max_abs_error"] for evidence in told["evidence"]}
    source = _source_answers(world.home, model, texts)
    differing = [
        (text, answer, label, margin)
        for text, answer, (label, margin) in zip(texts, answers, source, strict=True)
        if answer != label
    ]

    assert [each for each in differing if each[-1] > 2 * errors[told["variant"]]] == [], told["variant"]
    assert len(differing) <= 1, (told["variant"], differing)


def _ready(client: httpx.Client, model: str) -> dict[str, Any]:
    """What the server tells of it, once it serves it; empty before."""
    response = client.get(f"/models/{model}")
    return response.json() if response.status_code == 200 else {}


def _alerts_at_reviews_alone(world: World, server: Server, model: str) -> None:
    reviews = [text for text, _ in _read(shared_data("movie_reviews.csv"))]
    Random(0).shuffle(reviews)
    with server.client() as client:
        texts = world.unseen[model]
        _send(client, model, texts[:-100])
        window = client.get(f"/models/{model}/drift").json()["windows"][-1]
        # The open window is filled with its own kind, so that none holds both and what is queued can be told.
        _send(client, model, texts[-100:][: -window["rows"] % 100 if window["open"] else 0])
        quiet = client.get(f"/models/{model}/drift").json()
        _send(client, model, reviews[: len(texts)])
        loud = client.get(f"/models/{model}/drift").json()

    assert (quiet["status"], quiet["alert"]) == ("ok", False), quiet
    assert (loud["status"], loud["alert"]) == ("drift", True), loud
    told = json.loads(tidegate("drift", model, "--json", "--home", world.home).stdout)
    assert (told["status"], told["alert"]) == ("drift", True)
    queued = json.loads(tidegate("relabel", "list", model, "--json", "--home", world.home).stdout)
    drifted = [item for item in queued if item["reason"] == "drift"]
    assert len(drifted) == 50
    assert {item["text"] for item in drifted} <= set(reviews)
    assert {item["reason"] for item in queued} <= {"drift", "random", "margin", "diverse", "witness"}
    alerts = json.loads(tidegate("alerts", "list", "--json", "--home", world.home).stdout)
    assert [(alert["model"], alert["kind"]) for alert in alerts].count((model, "drift")) == 1


def test_labels_come_back_from_label_studio(world: World, server: Server, tmp_path: Path) -> None:
    tasks_file = tmp_path / "tasks.json"
    tidegate("relabel", "export", "headlines", "--format", "labelstudio", "--output", tasks_file, "--home", world.home)
    tasks = json.loads(tasks_file.read_text())
    choice = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["neutral"]}}
    waiting = _imported(world, tasks_file, tasks, [{"result": [choice], "completed_by": 1}])
    left = _imported(world, tasks_file, tasks, [{"result": [choice], "completed_by": person} for person in (1, 2)])

    assert len(tasks) >= 50
    assert {(item["state"], item["wanted"]) for item in waiting} <= {("labelled", 2)}
    assert left == []


def _imported(
    world: World, file: Path, tasks: list[dict[str, Any]], annotations: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What is still on the queue of "headlines" after every task came back with these annotations."""
    file.write_text(json.dumps([task | {"annotations": annotations} for task in tasks]))
    tidegate("relabel", "import", file, "--format", "labelstudio", "--home", world.home)
    return json.loads(tidegate("relabel", "list", "headlines", "--json", "--home", world.home).stdout)  # type: ignore[no-any-return]


def test_a_changed_byte_is_refused_by_name_and_stops_no_other_model(world: World, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(world.home / "bundles", home / "bundles")
    victim = next((home / "bundles" / "headlines-tfidf" / "1").glob("*.onnx"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))

    port = _free_port()
    command = [*TIDEGATE, "serve", "--home", str(home), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()) as process:
        url = f"http://127.0.0.1:{port}"
        states = _wait_for(lambda: _loaded(url))
        question = {"inputs": "Profit rose"}
        answered = httpx.post(f"{url}/models/headlines/predict", json=question, timeout=60).status_code
        refused = httpx.post(f"{url}/models/headlines-tfidf/predict", json=question, timeout=60)
        process.terminate()
        printed = process.communicate()[0]

    assert states["headlines"]["status"] == "ready"
    assert victim.name in states["headlines-tfidf"]["error"]
    assert (answered, refused.status_code) == (200, 503)
    assert b"ready http" not in printed


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["up", "models:/none@champion"], 1, "none"),
        (["export", "models:/none/1", "--name", "m"], 1, "none"),
        (["export", "runs:/0123456789abcdef/model", "--name", "m"], 1, "0123456789abcdef"),
        (["export", "not-a-run", "--name", "m"], 1, "not-a-run"),
        (["export", "models:/x@y", "--name", "../m"], 2, "'../m'"),
        (["export", "models:/headlines-tfidf@champion", "--name", "m", "--data", "/nowhere.csv"], 2, "nowhere.csv"),
        (["serve"], 1, "quickstart"),
        (["serve", "--host", "0.0.0.0"], 2, "TIDEGATE_API_KEY"),
        (["serve", "--port", "99999"], 2, "port"),
        (["drift", "none"], 1, "none"),
        (["share", "create", "none"], 1, "none"),
        (["share", "create", "none", "--expires", "soon"], 2, "soon"),
        (["loadtest", "http://127.0.0.1:9", "--model", "m"], 1, "127.0.0.1:9"),
        (["bundles", "show", "none"], 1, "none"),
    ],
)
def test_bad_input_to_a_command_is_one_clear_line(
    world: World, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    home = world.home if arguments[0] == "export" else tmp_path
    options: list[str] = [] if arguments[0] == "loadtest" else ["--home", str(home)]

    done = tidegate(*arguments, *options, check=False)

    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def _read(file: Path) -> list[tuple[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return [(row["text"], row["label"]) for row in csv.DictReader(lines)]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode:
        pytest.fail(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _ask(client: httpx.Client, model: str, text: str) -> str:
    response = client.post(f"/models/{model}/predict", json={"inputs": text, "parameters": {"top_k": 1}})
    assert response.status_code == 200, response.text
    label: str = response.json()[0][0]["label"]
    return label


def _send(client: httpx.Client, model: str, texts: list[str]) -> None:
    for start in range(0, len(texts), 100):
        response = client.post(f"/models/{model}/predict", json={"inputs": texts[start : start + 100]})
        assert response.status_code == 200, response.text


def _source_answers(home: Path, model: str, texts: list[str]) -> list[tuple[str, float]]:
    """By the source model: label of each text, and how far its probabilities are from giving another one."""
    asked = home / f"{model}.asked.json"
    asked.write_text(json.dumps(texts))
    script = Path(__file__).with_name("answers.py")
    answers: list[tuple[str, float]] = json.loads(
        _run([str(export_python()), str(script), str(home), model, str(asked)])
    )
    return answers


def _wait_for(condition: Callable[[], T]) -> T:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def _loaded(url: str) -> dict[str, dict[str, str]]:
    """States of all models, once none is loading; empty before."""
    try:
        states: dict[str, dict[str, str]] = httpx.get(f"{url}/readyz", timeout=60).json()["models"]
    except httpx.ConnectError:
        return {}
    return {} if any(state["status"] == "loading" for state in states.values()) else states


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
