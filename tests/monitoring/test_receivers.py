"""The setting names receivers by URL and shape; a receiver's name tells them apart and keeps the URL to itself."""

import pytest

from monitoring.receivers import receivers_of
from tidegate.errors import UsageError


def test_several_receivers_stand_with_commas_each_in_its_shape_and_once() -> None:
    found = receivers_of(
        "https://a.example/x?to=1,2, slack+https://hooks.slack.example/T/B/s3cr3t,alertmanager+http://am:9093/,"
        "https://a.example/x?to=1,2"
    )

    assert [(r.shape, r.host, r.url) for r in found] == [
        ("json", "a.example", "https://a.example/x?to=1,2"),
        ("slack", "hooks.slack.example", "https://hooks.slack.example/T/B/s3cr3t"),
        ("alertmanager", "am", "http://am:9093/api/v2/alerts"),
    ]
    assert [r.follows for r in found] == [False, False, True]


def test_a_name_tells_receivers_of_one_host_apart_and_shows_no_secret() -> None:
    one, two = receivers_of("slack+https://hooks.example/s3cr3t,slack+https://hooks.example/0ther")
    (again,) = receivers_of("slack+https://hooks.example/s3cr3t")

    assert one.name != two.name
    assert one.name == again.name
    assert "s3cr3t" not in f"{one} {one!r} {one.name}"


def test_nothing_set_is_nobody() -> None:
    assert receivers_of("") == receivers_of(" , ") == ()


@pytest.mark.parametrize("prefix", ["", "https://fine.example/, "])
@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "nonsense",
        "ftp://x/",
        "http://[::1",
        "https:///path",
        "teams+https://x/",
        "http://a:port/",
        "a b://x",
    ],
)
def test_what_cannot_be_posted_to_is_refused_without_being_shown(prefix: str, url: str) -> None:
    with pytest.raises(UsageError, match="TIDEGATE_WEBHOOK_URL") as refusal:
        receivers_of(prefix + url)

    assert url not in str(refusal.value).replace("http:// or https:// URL", "")
