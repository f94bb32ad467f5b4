from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos.paths import demo_path
from tests.demos.hostile import CLOSED, DEMO, STRAY

NEEDED = [
    ("GET", ""),
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/theme.css"),
    ("GET", "/page.js"),
    ("GET", "/assets/index-DphvyggB.js"),
    ("GET", "/assets/Index--ZTB3667.js"),
    ("GET", "/assets/KaTeX_Main-Regular.woff2"),
    ("GET", "/static/fonts/IBMPlexSans/IBMPlexSans-Bold.woff2"),
    ("GET", "/static/js/iframeResizer.contentWindow.min.js"),
    ("GET", "/gradio_api/queue/data"),
    ("GET", "/gradio_api/app_id"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/run/predict"),
]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "Post", ""]


@pytest.mark.parametrize(("method", "rest"), NEEDED)
def test_what_the_page_needs_is_allowed(method: str, rest: str) -> None:
    path = demo_path(DEMO + rest, (DEMO + rest).encode())

    assert path is not None
    assert path.model == "headline-sentiment"
    assert path.allows(method)


@pytest.mark.parametrize(("method", "rest"), NEEDED)
def test_what_the_page_needs_is_allowed_for_its_method_only(method: str, rest: str) -> None:
    path = demo_path(DEMO + rest, None)

    assert path is not None
    assert {m for m in METHODS if path.allows(m)} == ({"POST"} if method == "POST" else {"GET", "HEAD"})


@pytest.mark.parametrize("target", CLOSED)
def test_what_the_page_does_not_need_is_closed_for_every_method(target: str) -> None:
    raw_path = target.partition("?")[0]
    path = demo_path(unquote(raw_path), raw_path.encode())

    assert path is None or not any(path.allows(method) for method in METHODS)


def test_there_are_more_than_150_hostile_paths_and_no_two_are_the_same() -> None:
    assert len(set(STRAY + CLOSED)) == len(STRAY + CLOSED) > 150


@given(rest=st.text(alphabet="/.%\\;=abz_-~\x00\n ", max_size=40))
def test_a_path_with_dots_escapes_or_doubled_slashes_is_never_allowed(rest: str) -> None:
    path = demo_path(f"{DEMO}/{rest}", None)

    odd = any(part in ("", ".", "..") for part in rest.split("/")[:-1]) or any(c in rest for c in "%\\;=\x00\n ~")
    assert path is None or not (odd and path.allows("GET"))


@given(name=st.text(min_size=1, max_size=80))
def test_only_names_of_models_are_read_as_models(name: str) -> None:
    path = demo_path(f"/demo/{name}/", None)

    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum() and name[0].isalnum() and len(name) < 65
    if "/" not in name:
        assert (path is not None) == plain
