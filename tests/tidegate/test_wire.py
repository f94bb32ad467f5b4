"""The outermost layer: heads are bounded, TLS is spoken, a proxy's prefix and headers are understood."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from playwright.sync_api import expect
from starlette.types import Receive, Scope, Send

from tests import bundles
from tests.demos.browser import chromium, classify, watched
from tests.proxies import proxy
from tests.servers import Server, running, tidegate
from tidegate.bundle_store import BundleStore
from tidegate.cli.wire import MAX_HEAD_BYTES, MAX_HEADERS, MAX_TARGET_BYTES, BoundedProtocol, check_tls
from tidegate.errors import UsageError
from tidegate.settings import Settings

KEY = "the operators key"
PREDICT = "/models/sentiment/predict"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    bundles.sentiment(BundleStore(folder / "bundles"))
    return folder


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here, so no certificate could be made: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def plain(home: Path) -> Iterator[Server]:
    with running(["serve"], home) as server:
        yield server


def exchange(url: str, *parts: bytes) -> bytes:
    """Send bytes as they are and read the answer to its end."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
            while data := connection.recv(65_536):
                answer += data
        except (BrokenPipeError, ConnectionResetError):
            pass
    return answer


START = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"


@pytest.mark.slow
def test_a_head_within_the_bounds_is_answered(plain: Server) -> None:
    fields = b"".join(b"x-%d: %s\r\n" % (number, b"v" * 300) for number in range(MAX_HEADERS - 2))
    target = b"/healthz?" + b"q" * (MAX_TARGET_BYTES - 100)

    assert exchange(plain.url, START, fields, b"\r\n").startswith(b"HTTP/1.1 200")
    long = b"GET %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n" % target
    assert exchange(plain.url, long).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([START, b"".join(b"x-%d: v\r\n" % number for number in range(MAX_HEADERS)), b"\r\n"], b"431"),
        ([START, b"x: ", b"v" * MAX_HEAD_BYTES, b"\r\n\r\n"], b"431"),
        ([START, b"x: ", *([b"v" * 16_384] * 40)], b"431"),
        ([START, *([b"x: y\r\n" * 2_000] * 10)], b"431"),
        ([b"GET /" + b"a" * MAX_TARGET_BYTES + b" HTTP/1.1\r\nhost: localhost\r\n\r\n"], b"414"),
        ([b"GET /" + b"a" * 65_536, *([b"a" * 65_536] * 10)], b"431"),
        ([b"GET / HTTP/9.9\r\n\r\n"], b"400"),
        ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], b"400"),
    ],
    ids=["many", "large", "endless", "endlessly many", "long target", "endless target", "version", "tls hello"],
)
def test_a_head_without_bounds_is_refused_and_harms_nobody(plain: Server, parts: list[bytes], status: bytes) -> None:
    assert exchange(plain.url, *parts)[9:12] in (status, b"")  # a reset may overtake the answer
    with plain.client() as client:
        assert client.post(PREDICT, json={"inputs": "a"}).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_tls_is_spoken_by_every_worker_and_the_demo(home: Path, certificate: tuple[Path, Path], workers: str) -> None:
    cert, key = certificate
    arguments = ["serve", "--workers", workers, "--tls-cert", str(cert), "--tls-key", str(key)]
    with running(arguments, home, TIDEGATE_API_KEY=KEY) as server:
        assert server.url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(cert))
        bearer = {"authorization": f"Bearer {KEY}"}
        for _ in range(8):
            with httpx.Client(base_url=server.url, verify=trust, headers=bearer) as client:
                assert client.post(PREDICT, json={"inputs": "a"}).status_code == 200
                assert client.get("/demo/sentiment/", timeout=30).status_code == 200
                signed = client.post("/login", data={"key": KEY})
                assert "; Secure" in signed.headers["set-cookie"]
        with pytest.raises(httpx.TransportError):
            httpx.get(server.url.replace("https:", "http:") + "/healthz")


@pytest.mark.parametrize("fault", ["no file", "no pem", "swapped", "one alone"])
def test_a_certificate_that_cannot_be_served_fails_at_start(
    tmp_path: Path, certificate: tuple[Path, Path], fault: str
) -> None:
    cert, key = certificate
    wrong = tmp_path / "wrong.pem"
    if fault == "one alone":
        with pytest.raises(UsageError, match="belong together"):
            Settings.load({}, tls_cert=cert)
        return
    if fault == "no pem":
        wrong.write_text("nothing")
    pair = {"no file": (wrong, key), "no pem": (cert, wrong), "swapped": (key, cert)}[fault]
    with pytest.raises(UsageError, match="both are PEM files"):
        check_tls(Settings(tls_cert=pair[0], tls_key=pair[1]))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ROOT_PATH", "tidegate"),
        ("ROOT_PATH", "/a b"),
        ("ROOT_PATH", "/a//b"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TRUSTED_PROXIES", "proxy.example.org"),
    ],
)
def test_a_wrong_proxy_setting_fails_at_start(variable: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"TIDEGATE_{variable}"):
        Settings.load({f"TIDEGATE_{variable}": value})


@pytest.mark.slow
@pytest.mark.parametrize(("cut", "workers"), [(True, "1"), (False, "1"), (True, "2")])
def test_everything_works_below_a_root_path(home: Path, cut: bool, workers: str) -> None:
    arguments = ["serve", "--root-path", "/tide/gate/", "--trusted-proxies", "127.0.0.1", "--workers", workers]
    with running(arguments, home, TIDEGATE_API_KEY=KEY) as server, proxy(server.url, "/tide/gate", cut=cut) as url:
        bearer = {"authorization": f"Bearer {KEY}"}
        assert httpx.post(f"{url}{PREDICT}", json={"inputs": "a"}, headers=bearer).status_code == 200
        assert httpx.get(f"{url}/models", headers=bearer).status_code == 200
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/", headers=bearer).headers["location"] == "/tide/gate/docs"
        servers = httpx.get(f"{url}/openapi.json", headers=bearer).json()["servers"]
        assert servers == [{"url": "/tide/gate"}]
        for path in ("/models", "/docs", "/demo/sentiment/", "/nowhere"):
            assert httpx.get(f"{url}{path}").status_code == 401, path
        for _ in range(4 * int(workers)):  # a connection each: one of two workers has the demos
            page = httpx.get(f"{url}/demo/sentiment/", headers=bearer, timeout=30)
            assert (page.status_code, "gradio_config" in page.text) == (200, True)
        signed = httpx.post(f"{url}/login", data={"key": KEY, "to": "/docs"})
        assert signed.headers["location"] == "/tide/gate/docs"
        assert "; Path=/tide/gate;" in signed.headers["set-cookie"]
        assert "; Secure" in signed.headers["set-cookie"]  # the proxy is trusted, and says https
        assert httpx.get(f"{server.url}/models", headers=bearer).status_code == 200  # without the proxy, too


@pytest.mark.slow
def test_a_visitor_signs_in_below_a_root_path_and_uses_docs_and_demo(home: Path) -> None:
    with (
        chromium() as browser,
        running(["serve", "--root-path", "/tg"], home, TIDEGATE_API_KEY=KEY) as server,
        proxy(server.url, "/tg", scheme="http") as url,
    ):
        origin = url.removesuffix("/tg")
        context, watch = watched(browser, origin)
        page = context.new_page()
        page.goto(f"{url}/docs")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.get_by_label("Key").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("This key opens nothing here")).to_be_visible()
        page.get_by_label("Key").fill(KEY)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Tidegate")).to_be_visible()

        watch.failures.clear()  # the 401 of the form itself
        watch.complaints.clear()
        page.goto(f"{url}/demo/sentiment/")
        classify(page, "profit rises on strong sales")
        assert (watch.outside(), watch.failures, watch.complaints) == ([], [], [])
        page.goto(f"{url}/login")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        context.close()


@pytest.mark.slow
def test_without_a_key_what_comes_through_a_proxy_is_refused_trusted_or_not(home: Path) -> None:
    for arguments in (["serve"], ["serve", "--trusted-proxies", "127.0.0.1"]):
        with running(arguments, home) as server, proxy(server.url, "") as url:
            assert httpx.get(f"{url}/models").status_code == 403
            assert httpx.get(f"{url}/healthz").status_code == 200
            assert httpx.get(f"{url}/readyz").json() == {"ready": True}
            assert httpx.get(f"{server.url}/models").status_code == 200


@pytest.mark.slow
def test_beyond_loopback_a_key_in_the_database_is_enough(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    refused = tidegate("serve", "--host", "0.0.0.0", "--port", "0", "--home", tmp_path, check=False)
    assert refused.returncode == 2
    assert "tidegate keys create" in refused.stderr

    key = tidegate("keys", "create", "app", "--role", "predict", "--home", tmp_path).stdout.strip()
    with running(["serve", "--host", "0.0.0.0"], tmp_path) as server:
        assert httpx.get(f"{server.url}/models").status_code == 401
        assert httpx.get(f"{server.url}/models", headers={"x-api-key": key}).status_code == 200


class Hasty(BoundedProtocol):
    head_seconds = 0.5


async def say_hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


@pytest.fixture
def hasty() -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(say_hello, http=Hasty, log_config=None, lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.mark.parametrize(
    ("first", "ending"),
    [
        (b"", b""),
        (b"GET / HT", b"HTTP/1.1 408 Request Timeout"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx:", b"HTTP/1.1 408 Request Timeout"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost", b"HTTP/1.1 408 Request Timeout"),
    ],
    ids=["nothing", "half a line", "half a head", "half a second one"],
)
def test_a_head_that_does_not_come_is_not_waited_for(hasty: str, first: bytes, ending: bytes) -> None:
    started = time.monotonic()
    answer = exchange(hasty, first)

    assert 0.3 < time.monotonic() - started < 4
    assert ending in answer
    assert httpx.get(hasty).text == "hi"


def test_a_connection_that_is_kept_is_not_cut_by_its_first_head(hasty: str) -> None:
    with httpx.Client(base_url=hasty) as client:
        for _ in range(4):
            assert client.get("/").text == "hi"
            time.sleep(0.3)
