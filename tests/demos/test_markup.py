import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos import markup
from demos.client import Reply
from tests import bundles
from tidegate.bundle import Manifest
from tidegate.bundle_store import BundleStore
from tidegate.tasks import decide


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    store = BundleStore(tmp_path_factory.mktemp("bundles"))
    return bundles.sentiment(store, "headline-sentiment", threshold=0.6, fallback="unsure").manifest


class Reader(HTMLParser):
    """Collects tags and text, and fails on tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def reply(manifest: Manifest, *scores: float) -> Reply:
    answer = decide(scores, manifest.labels, manifest.postprocessing)
    return Reply("id", answer, 3, "int8", 0.0123)


def test_an_answer_shows_label_bars_best_first_and_the_small_print(manifest: Manifest) -> None:
    text = read(markup.result(reply(manifest, 0.1, 0.2, 0.7), manifest)).text

    assert re.search(
        r"Answerpositive 70.0\s%positive70.0\s%neutral20.0\s%negative10.0\s%12\sms · version 3 · int8", text
    )


def test_an_abstained_answer_says_what_it_would_have_said_and_why_not(manifest: Manifest) -> None:
    text = read(markup.result(reply(manifest, 0.2, 0.3, 0.5), manifest)).text

    assert "Abstainedunsure" in text
    assert re.search(r"best guess, positive, reaches 50.0\s%. It takes 60\s% for this model", text)


def test_no_share_is_rounded_to_certainty_or_to_nothing(manifest: Manifest) -> None:
    text = read(markup.result(reply(manifest, 1e-9, 0.0, 1 - 1e-9), manifest)).text

    assert ">99.9" in text
    assert "<0.1" in text
    assert re.search(r"neutral0.0\s%", text)
    assert "100.0" not in text


def test_the_threshold_is_explained_only_where_there_is_one(manifest: Manifest) -> None:
    free = manifest.model_copy(
        update={"postprocessing": manifest.postprocessing.model_copy(update={"threshold": None})}
    )

    assert re.search(r"Below 60\s% .* it says unsure instead", read(markup.threshold_note(manifest)).text)
    assert markup.threshold_note(free) == ""
    assert "left:" not in markup.result(reply(free, 0.2, 0.3, 0.5), free)


def test_many_labels_are_cut_to_the_likeliest_and_the_rest_is_counted(manifest: Manifest) -> None:
    labels = tuple(f"label {number}" for number in range(30))
    wide = manifest.model_copy(update={"labels": labels})

    text = read(markup.result(reply(wide, *(number / 435 for number in range(30))), wide)).text

    assert len(re.findall(r"label \d+[\d.]+\s%", text)) == markup.MOST_BARS
    assert "22 less likely labels" in text


@pytest.mark.parametrize(
    ("description", "dataset", "said"),
    [
        ("Synthetic headlines.", "", True),
        ("", "synthetic_headlines", True),
        ("Financial headlines", "financial_phrasebank", False),
        ("", "", False),
    ],
)
def test_synthetic_data_is_named(manifest: Manifest, description: str, dataset: str, said: bool) -> None:
    lineage = manifest.lineage.model_copy(update={"dataset_name": dataset})
    one = manifest.model_copy(update={"description": description, "lineage": lineage})

    assert ("synthetic data" in read(markup.header(one)).text) == said


def test_the_header_says_how_often_the_model_is_right(manifest: Manifest) -> None:
    text = read(markup.header(manifest)).text

    assert "Headline sentiment" in text
    assert re.search(r"Right on 100.0\s% of 3 evaluation texts \(95\s% interval 90.100\)", text)


hostile = st.text(alphabet="<>&\"'/=`$*_#[]()!\\\n\r\t abscript", max_size=40)


@given(label=hostile, note=hostile, score=st.floats(0, 1))
def test_no_value_becomes_markup_or_ends_the_block(manifest: Manifest, label: str, note: str, score: float) -> None:
    post = manifest.postprocessing.model_copy(update={"fallback_label": label or "x"})
    labels = (label, "b", "c")
    one = manifest.model_copy(update={"labels": labels, "description": note, "postprocessing": post})
    parts = [
        markup.header(one),
        markup.threshold_note(one),
        markup.problem(note),
        markup.notice(note, good=True),
        markup.result(reply(one, score, 0.0, 0.0), one),
    ]

    allowed = {"div", "p", "h1", "ul", "li", "span", "b", "i", "em", "strong"}
    for part in parts:
        assert read(part).tags <= allowed
        assert "\n" not in part
        assert part.startswith("<div class=")
