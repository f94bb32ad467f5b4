import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete
from sqlalchemy.exc import OperationalError

from demos.share import MAX_LIFETIME_SECONDS, ShareLinks
from tidegate.errors import Forbidden, ItemNotFound, NotReady, Unauthorized, UsageError
from tidegate.store import open_database, shares

SECRET = b"one secret of thirty-two bytes .."
START = 1_790_000_000.0


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return open_database(f"sqlite:///{tmp_path_factory.mktemp('state') / 'state.db'}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(database: Engine, clock: Clock) -> ShareLinks:
    with database.begin() as connection:
        connection.execute(delete(shares))
    return ShareLinks(database, SECRET, clock)


def test_a_token_opens_the_share_it_was_made_for(links: ShareLinks) -> None:
    share_id, token = links.create("sentiment", 60)

    share = links.check(token)

    assert (share.id, share.model, share.created_at, share.expires_at) == (share_id, "sentiment", START, START + 60)


def test_a_token_is_plain_in_a_url(links: ShareLinks) -> None:
    _, token = links.create("sentiment", 60)

    assert set(token) <= set(string.ascii_letters + string.digits + "-_.")


def test_another_process_with_the_same_secret_and_database_takes_the_token(
    links: ShareLinks, database: Engine, clock: Clock
) -> None:
    _, token = links.create("sentiment", 60)

    assert ShareLinks(database, SECRET, clock).check(token).model == "sentiment"


def test_a_token_signed_with_another_secret_is_not_ours(links: ShareLinks, database: Engine, clock: Clock) -> None:
    _, token = ShareLinks(database, b"another secret of thirty-two ...", clock).create("sentiment", 60)

    with pytest.raises(Unauthorized, match="not one of ours"):
        links.check(token)


def test_a_link_ends_to_the_second(links: ShareLinks, clock: Clock) -> None:
    _, token = links.create("sentiment", 60)
    clock.now = START + 59.999
    links.check(token)

    clock.now = START + 60

    with pytest.raises(Forbidden, match="ended on 21 September 2026 at 14:14 UTC"):
        links.check(token)


def test_a_revoked_link_opens_nothing(links: ShareLinks) -> None:
    share_id, token = links.create("sentiment", 60)

    links.revoke(share_id)

    with pytest.raises(Forbidden, match="withdrawn"):
        links.check(token)


def test_revoking_leaves_other_links_open(links: ShareLinks) -> None:
    share_id, _ = links.create("sentiment", 60)
    _, other = links.create("sentiment", 60)

    links.revoke(share_id)

    assert links.check(other).model == "sentiment"


def test_revoking_twice_keeps_the_first_time(links: ShareLinks, clock: Clock) -> None:
    share_id, _ = links.create("sentiment", 60)
    links.revoke(share_id)
    clock.now += 5
    links.revoke(share_id)

    assert links.find(share_id).revoked_at == START


@pytest.mark.parametrize("share_id", ["", "nope", "' OR 1=1 --", "0" * 400])
def test_revoking_what_is_not_there_says_so(links: ShareLinks, share_id: str) -> None:
    links.create("sentiment", 60)

    with pytest.raises(ItemNotFound, match="share list"):
        links.revoke(share_id)


def test_a_signed_id_that_the_database_does_not_hold_opens_nothing(links: ShareLinks, database: Engine) -> None:
    _, token = links.create("sentiment", 60)
    with database.begin() as connection:
        connection.execute(delete(shares))

    with pytest.raises(Unauthorized, match="not known here"):
        links.check(token)


def test_a_database_that_does_not_answer_opens_nothing(tmp_path: Path, clock: Clock) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    links = ShareLinks(database, SECRET, clock)
    _, token = links.create("sentiment", 60)
    with database.begin() as connection:
        shares.drop(connection)

    with pytest.raises(NotReady, match=OperationalError.__name__):
        links.check(token)
    database.dispose()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), MAX_LIFETIME_SECONDS + 1])
def test_a_lifetime_out_of_range_is_refused(links: ShareLinks, seconds: float) -> None:
    with pytest.raises(UsageError, match="366 days"):
        links.create("sentiment", seconds)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"max_visits": 0}, "opened 0 times"),
        ({"max_visits": 1_000_001}, "1,000,000"),
        ({"rate_per_minute": 0.5}, "0.5 a minute"),
        ({"rate_per_minute": float("nan")}, "nan a minute"),
        ({"notice": "x" * 501}, "500 printable"),
        ({"notice": "two\nlines"}, "500 printable"),
        ({"password": "short"}, "5 characters"),
    ],
)
def test_terms_out_of_range_are_refused_and_make_no_link(links: ShareLinks, terms: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        links.create("sentiment", 60, **terms)

    assert links.list() == []


def test_a_link_keeps_its_terms_and_never_shows_its_password(links: ShareLinks) -> None:
    share_id, _ = links.create(
        "sentiment", 60, password="eight or more", max_visits=3, rate_per_minute=30, notice="Nothing secret"
    )

    [share] = links.list()

    assert (share.id, share.max_visits, share.rate_per_minute, share.notice) == (share_id, 3, 30, "Nothing secret")
    assert (share.visits, share.uses) == (0, 0)
    assert "scrypt" not in repr(share)


def test_a_pass_is_no_token_and_a_token_no_pass(links: ShareLinks) -> None:
    share_id, token = links.create("sentiment", 60)
    one, other = links.issue_pass(share_id), links.issue_pass(share_id)

    assert one != other
    assert links.read_pass(one) == links.read_pass(other) == share_id
    with pytest.raises(Unauthorized, match="open the share link again"):
        links.read_pass(token)
    with pytest.raises(Unauthorized, match="not one of ours"):
        links.read(one)


def test_the_list_is_newest_first_and_says_the_state(links: ShareLinks, clock: Clock) -> None:
    oldest, _ = links.create("a", 10)
    clock.now += 1
    revoked, _ = links.create("b", 100)
    clock.now += 1
    newest, _ = links.create("c", 100)
    links.revoke(revoked)
    clock.now += 20

    states = [(share.id, share.state(clock.now)) for share in links.list()]

    assert states == [(newest, "open"), (revoked, "revoked"), (oldest, "expired")]


@pytest.fixture(scope="module")
def held(database: Engine) -> tuple[ShareLinks, str]:
    links = ShareLinks(database, SECRET, lambda: START)
    return links, links.create("sentiment", 60)[1]


@given(data=st.data())
def test_every_changed_token_is_refused(held: tuple[ShareLinks, str], data: st.DataObject) -> None:
    links, token = held
    alphabet = string.ascii_letters + string.digits + "-_.=+/ \u00e9\x00"
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from(alphabet))
    changed = data.draw(
        st.sampled_from(
            [
                token[:place] + letter + token[place + 1 :],
                token[:place] + letter + token[place:],
                token[:place] + token[place + 1 :],
                token[:place],
                token + letter,
                letter + token,
                token.swapcase(),
                token + token,
            ]
        )
    )
    if changed == token:
        assert links.check(changed)
    else:
        with pytest.raises(Unauthorized):
            links.check(changed)


@given(token=st.text(max_size=200))
def test_text_that_is_no_token_is_refused(held: tuple[ShareLinks, str], token: str) -> None:
    with pytest.raises(Unauthorized):
        held[0].check(token)


def test_every_spelling_of_the_last_signature_digit_but_one_is_refused(held: tuple[ShareLinks, str]) -> None:
    links, token = held
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"

    accepted = [letter for letter in alphabet if _holds(links, token[:-1] + letter)]

    assert accepted == [token[-1]]


def _holds(links: ShareLinks, token: str) -> bool:
    try:
        links.check(token)
    except Unauthorized:
        return False
    return True
