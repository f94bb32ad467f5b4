"""The look at a server before any load: each thing that can be wrong has its own error."""

import socket

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from loadtests.target import checked_url, inspect
from tests.loadtests.toy_server import LABELS, Toy, served
from tidegate.errors import ModelNotFound, NotReady, TidegateError, Unauthorized, UsageError


def test_a_ready_model_shows_its_labels_samples_and_version() -> None:
    with served(Toy()) as url:
        target = inspect(url + "/", "toy")

    assert (target.url, target.model, target.version) == (url, "toy", "3")
    assert (target.labels, target.samples) == (frozenset(LABELS), ("profit rose",))


def test_the_fallback_label_may_be_answered_too() -> None:
    toy = Toy()
    toy.card = JSONResponse({"labels": LABELS, "postprocessing": {"fallback_label": "unsure"}})
    with served(toy) as url:
        assert "unsure" in inspect(url, "toy").labels


def test_an_unknown_model_is_an_error_that_names_the_known_ones() -> None:
    with served(Toy()) as url, pytest.raises(ModelNotFound, match="'other'; it serves: toy"):
        inspect(url, "other")


def test_no_server_is_an_error_that_says_how_to_start_one() -> None:
    with socket.socket() as taken:  # bound, so that nobody else listens there, but not listening
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotReady, match=r"no server answers at http://127\.0\.0\.1:\d+ .*tidegate serve"):
            inspect(f"http://127.0.0.1:{taken.getsockname()[1]}", "toy")


def test_a_missing_key_is_an_error_and_the_right_key_is_sent() -> None:
    toy = Toy()
    toy.key = "secret-key"
    with served(toy) as url:
        with pytest.raises(Unauthorized, match="TIDEGATE_API_KEY") as caught:
            inspect(url, "toy", "wrong-key")
        assert inspect(url, "toy", "secret-key").labels

    assert "wrong-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (JSONResponse({"detail": "loading toy"}, status_code=503), NotReady, "loading toy"),
        (PlainTextResponse("<html>hello</html>"), TidegateError, "no Tidegate server"),
        (JSONResponse({"name": "toy"}), TidegateError, "no Tidegate server"),
        (JSONResponse({"title": "oh no"}, status_code=500), TidegateError, "answered 500 .*oh no"),
        (RedirectResponse("http://203.0.113.1/"), TidegateError, "answered 307"),
    ],
)
def test_a_server_that_is_not_ready_or_not_ours_is_refused(
    answer: Response, error: type[TidegateError], words: str
) -> None:
    toy = Toy()
    toy.card = answer
    with served(toy) as url, pytest.raises(error, match=words):
        inspect(url, "toy")


def test_a_model_that_answers_wrongly_without_load_is_not_put_under_load() -> None:
    toy = Toy()
    toy.spoil = 1
    with served(toy) as url, pytest.raises(TidegateError, match="a label the model does not have"):
        inspect(url, "toy")


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with served(Toy()) as url:
        assert inspect(url, "toy").labels


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8080", "ftp://host", "http://", "http://host:port", "http://host?x=1", "http://host#x", "//host"],
)
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:8080"):
        checked_url(url)


def test_credentials_in_the_url_are_refused_without_repeating_them() -> None:
    with pytest.raises(UsageError) as caught:
        checked_url("http://anna:hunter2@host")

    assert "hunter2" not in str(caught.value)
