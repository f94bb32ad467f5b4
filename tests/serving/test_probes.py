"""A stranger's and an insider's bad manners against a real server: no 5xx, no leak, nothing written elsewhere.

Paths are sent byte for byte. What must never be in an answer: files of this machine, the home folder's secrets and
path, a trace. What must never be in a log, a metric or the state database: keys, and texts where none belong.
"""

import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests import bundles
from tests.demos.hostile import CLOSED, STRAY
from tests.servers import Server, running, tidegate
from tidegate.bundle_store import BundleStore

pytestmark = pytest.mark.slow

KEY = "marked-key-4f1d2c"
PATHS = (
    *("../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
    *("..%252f..%252fetc%252fpasswd", "..%5c..%5c..%5cetc%5cpasswd", "....//....//etc/passwd", "..;/..;/etc/passwd"),
    *("%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd", "..%c0%af..%c0%afetc/passwd", "/etc/passwd", "%2fetc%2fpasswd"),
    *("file:///etc/passwd", "sentiment/../../state.db", "sentiment%2f..%2f..%2fstate.db", "../secret", "..%2fsecret"),
    *("sentiment/1/bundle.json", "sentiment%2f1%2fbundle.json", "../bundles/sentiment/1/bundle.json", "state.db"),
    *("sentiment%00", "sentiment%00.json", "%00", "%0d%0aset-cookie:%20a=b", "sentiment%0a", "sentiment%20", "%20"),
    *("sentiment.", "sentiment/", "SENTIMENT", "sentiment;x", "sentiment?x", "sentiment#x", ".", "..", "...", "~root"),
    *("%ff%fe", "%f0%9f%98%80", "%", "%2", "%zz", "%u002e", "-", "_", "*", "{m}", "${jndi:ldap://x}", "a" * 300),
    *("<script>alert(1)</script>", "%3Cscript%3E", "' OR 1=1 --", '"', "`id`", "$(id)", "|id", "con", "nul.txt"),
)
BASES = (
    *("/", "/models/", "/models/sentiment/", "/models/sentiment/aliases/", "/v2/", "/v2/models/", "/v2/repository/"),
    *("/hf/", "/tei/", "/v1/models/", "/demo/", "/docs/", "/relabel/", "/dashboard/", "/static/", "/login/"),
)
TARGETS = (*STRAY, *CLOSED, *(base + path for base, path in itertools.product(BASES, PATHS)))
LEAKS = (b"root:x:0:0", b"Traceback (most recent", b"site-packages", b"SQLite format 3", b'"sha256":')


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marked-home")
    store = BundleStore(folder / "bundles")
    bundles.sentiment(store)
    bundles.wordpieces(store, "other")
    return folder


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    with running(["serve"], home) as started:
        yield started


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("marked-home")
    bundles.sentiment(BundleStore(folder / "bundles"))
    with running(["serve"], folder, TIDEGATE_API_KEY=KEY) as started:
        yield started


class Wire:
    """Asks byte for byte, over one connection as long as it lasts."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._socket: socket.socket | None = None

    def ask(self, method: str, target: str, *headers: str) -> tuple[int, bytes]:
        """Status, and all of the answer; 0 when the server closed without one."""
        lines = [f"{method} {target} HTTP/1.1", f"host: {self._address.netloc}", "connection: close", *headers, "", ""]
        with socket.create_connection((self._address.hostname, self._address.port), 20) as connection:
            connection.sendall("\r\n".join(lines).encode("utf-8"))
            answer = b""
            while data := connection.recv(65_536):
                answer += data
        return int(answer[9:12] or 0), answer


def test_no_path_is_answered_with_a_fault_or_a_leak(server: Server, home: Path) -> None:
    wire = Wire(server.url)
    secrets = (*LEAKS, (home / "secret").read_bytes(), str(home).encode())
    faults, leaks = [], []
    for target in TARGETS:
        status, answer = wire.ask("GET", target)
        if status >= 500 or status == 0:
            faults.append((status, target))
        leaks += [(target, secret) for secret in secrets if secret in answer]

    assert len(TARGETS) > 1_000
    assert (faults, leaks) == ([], [])


def test_no_method_on_any_path_is_answered_with_a_fault(server: Server) -> None:
    wire = Wire(server.url)
    paths = (*STRAY[:60], *CLOSED[:60], *(f"{base}{path}" for base in BASES for path in PATHS[:6]))
    body = "content-type: application/json", "content-length: 0"
    faults = [
        (status, method, path)
        for path in paths
        for method in ("POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND")
        if (status := wire.ask(method, path, *body)[0]) >= 500 or status == 0
    ]

    assert faults == []


@pytest.mark.parametrize(
    "target",
    ["*", "http://evil.example/models", "//evil.example/models", "models", "/mod els", "/\x7f", "/é", "?", "#"],
)
def test_a_target_that_is_none_is_refused_or_not_found(server: Server, target: str) -> None:
    assert Wire(server.url).ask("GET", target)[0] in (200, 307, 400, 404)
    assert httpx.get(f"{server.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/demo/sentiment/", 200),
        ("/demo/sentiment/theme.css", 200),
        ("/demo/sentiment/gradio_api/queue/data?session_hash=x", 404),
        ("/models/sentiment/predict", 405),
        ("/v2/health/ready", 200),
    ],
)
def test_head_is_answered_as_get_is_and_without_a_body(server: Server, path: str, status: int) -> None:
    found, answer = Wire(server.url).ask("HEAD", path)

    assert found == status
    assert answer.endswith(b"\r\n\r\n")


def test_a_stranger_learns_of_no_route_and_no_model(locked: Server) -> None:
    wire = Wire(locked.url)
    answers = {target: wire.ask("GET", target) for target in TARGETS}
    passed = {target for target, (status, _) in answers.items() if status not in (400, 401)}

    assert passed <= {"/healthz", "/readyz", "/login", "/v2/health/live", "/v2/health/ready"}
    assert all(b"sentiment" not in answer.partition(b'"instance"')[0] for _, answer in answers.values())


@pytest.mark.parametrize("name", ["../other", "..", "other/../../secret", "a\x00b", "other/1", "", ".", "x" * 300])
def test_a_name_in_a_body_or_an_alias_leaves_no_folder(server: Server, home: Path, name: str) -> None:
    before = sorted(path for path in home.rglob("*") if "state.db" not in path.name)
    with server.client() as client:
        answers = [
            client.put(f"/models/sentiment/aliases/{json.dumps(name)[1:-1]}", json={"version": 1}),
            client.put("/models/sentiment/aliases/shadow", json={"version": name}),
            client.post("/v1/embeddings", json={"model": name, "input": "a"}),
            client.post("/invocations", params={"model": name}, json={"inputs": ["a"]}),
            client.post("/models/sentiment/feedback", json={"prediction_id": name, "label": name}),
        ]

    assert [answer.status_code for answer in answers if not 400 <= answer.status_code < 500] == []
    assert before == sorted(path for path in home.rglob("*") if "state.db" not in path.name)


@pytest.mark.parametrize(
    "body", [b"[" * 1_900_000, b'{"a":' * 300_000, b'{"inputs":' + b"[" * 5_000 + b"]" * 5_000 + b"}"]
)
def test_a_body_nested_without_end_is_refused(server: Server, body: bytes) -> None:
    with server.client() as client:
        for path in ("/models/sentiment/predict", "/models/sentiment/feedback", "/v2/models/sentiment/infer"):
            answer = client.post(path, content=body, headers={"content-type": "application/json"})

            assert answer.status_code in (400, 422), path
            assert answer.elapsed.total_seconds() < 2


SECRETS = {
    name: f"marked-{name}-{number}7c3e"
    for number, name in enumerate(("text", "comment", "label", "path", "query", "agent", "cookie", "bearer", "share"))
}


def test_what_callers_send_stays_out_of_logs_metrics_and_other_peoples_answers(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    made = tidegate("keys", "create", "app", "--role", "admin", "--home", tmp_path).stdout.strip()
    with running(["serve"], tmp_path, TIDEGATE_API_KEY=KEY, TIDEGATE_KEEP_RECORDS="0") as server:
        document = httpx.get(f"{server.url}/openapi.json", headers={"x-api-key": made}).json()
        asked = 0
        with httpx.Client(base_url=server.url, timeout=60) as client:
            _ask_on_the_demo(client, made)  # before one of the routes unloads the model
            for key in (KEY, made, SECRETS["bearer"]):
                headers = {
                    "authorization": f"Bearer {key}",
                    "user-agent": SECRETS["agent"],
                    "cookie": f"tidegate_session={SECRETS['cookie']}; tidegate_share={SECRETS['share']}",
                    "x-caller-key": SECRETS["agent"],
                }
                headers_without_cookie = {name: value for name, value in headers.items() if name != "cookie"}
                for path, methods in document["paths"].items():
                    for method, chosen in itertools.product(methods, (headers, headers_without_cookie)):
                        for name in ("sentiment", SECRETS["path"]):
                            target = path.replace("{model}", name).replace("{alias}", SECRETS["path"])
                            body = _marked_body(path) if method in ("post", "put") else None
                            where = target.replace("{", "").replace("}", "")
                            query = {"q": SECRETS["query"], "model": name}
                            answer = client.request(method, where, params=query, json=body, headers=chosen)
                            asked += 1
                            assert answer.status_code < 500 or answer.status_code == 503, (method, where, answer.text)
                            assert KEY not in answer.text
                            assert made not in answer.text
            metrics = client.get("/metrics", headers={"x-api-key": made}).text
    log = "".join(server.stderr)
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("state.db*"))

    assert asked > 100
    for name, secret in (*SECRETS.items(), ("key", KEY), ("made", made)):
        assert secret not in log, name
        assert secret not in metrics, name
        if name not in ("text", "comment"):
            assert secret.encode() not in stored, name
    assert SECRETS["text"].encode() not in stored, "keep_records is 0"


def _ask_on_the_demo(client: httpx.Client, key: str) -> None:
    """A question as the page asks it, and some that it would not."""
    page, headers = "/demo/sentiment", {"x-api-key": key}
    assert client.get(f"{page}/", headers=headers).status_code == 200
    answered = 0
    for number, data in ((0, [SECRETS["text"]]), (0, []), (0, [7]), (4, ["x", SECRETS["label"], SECRETS["comment"]])):
        question = {"data": data, "fn_index": number, "session_hash": SECRETS["cookie"], "trigger_id": None}
        answer = client.post(f"{page}/gradio_api/run/predict", json=question, headers=headers)
        answered += answer.status_code == 200
    assert answered == 1


def _marked_body(path: str) -> object:
    if path.endswith("/feedback"):
        return {"prediction_id": SECRETS["text"], "label": SECRETS["label"], "comment": SECRETS["comment"]}
    if "/aliases/" in path:
        return {"version": 1}
    if path.startswith("/v2"):
        return {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [SECRETS["text"]]}]}
    if path.startswith("/v1/models"):
        return {"instances": [SECRETS["text"]]}
    return {"inputs": SECRETS["text"], "input": SECRETS["text"], "model": SECRETS["label"]}
