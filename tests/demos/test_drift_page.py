"""The drift report page says what the report says, to people: without a script, escaped, on paper and on a phone."""

import html
import re
from pathlib import Path

import pytest

from demos import drift_page
from demos.drift_page import render
from tests.demos.browser import chromium, keep, watched
from tests.demos.reports import HOSTILE, drift_report

TEXTS = {f"p{number}": f"{HOSTILE} input {number}" for number in range(4)}


def test_the_page_says_what_happened_what_to_do_and_how_to_acknowledge() -> None:
    page = html.unescape(render(drift_report(), TEXTS))

    assert "differ from what this model was made for, most of all in unknown rate" in page
    assert "label what waits on the relabel queue" in page
    assert "tidegate alerts ack 7" in page
    assert "12 % of the texts are cut" in page


def test_every_feature_has_its_trend_and_its_distributions() -> None:
    report = drift_report()
    page = render(report, TEXTS)

    for feature in report["features"]:
        name = feature["name"].replace("_", " ")
        assert f"<title>{name}: distance from the reference</title>" in page
        assert f"<title>{name}: reference and window</title>" in page


def test_texts_names_and_words_of_callers_are_text_never_markup() -> None:
    page = render(drift_report(), TEXTS)

    assert "<script" not in page
    assert page.count(html.escape(HOSTILE)) >= len(TEXTS) + 2


def test_examples_whose_texts_are_no_longer_kept_are_left_out() -> None:
    page = render(drift_report(), TEXTS)

    assert "input 3" in page
    assert "<code>p4</code>" not in page


def test_a_very_long_example_is_cut() -> None:
    assert "x" * 700 not in render(drift_report(), {"p0": "x" * 5_000})


def test_without_drift_the_page_is_short_and_claims_nothing() -> None:
    page = render(drift_report(alert=False), {})

    assert "looks like what this model was made for" in page
    for absent in ("Open alerts", "What changed", "Example inputs", "Broken bounds"):
        assert absent not in page


def test_a_model_that_has_seen_nothing_has_a_page() -> None:
    nothing = drift_report(alert=False) | {
        "status": "insufficient", "features": [], "windows": [], "trends": {}, "distributions": [], "alarm": None,
        "accuracy": None, "periods": {"hour": [], "day": []}, "sentence": "no predictions yet",
    }  # fmt: skip

    assert "<svg" not in render(nothing, {})


def test_an_estimate_that_cannot_be_trusted_says_so() -> None:
    report = drift_report()
    doubted = report | {"accuracy": report["accuracy"] | {"trusted": False, "why": "the two estimates disagree"}}

    assert "Do not rely on it:</b> the two estimates disagree" in render(doubted, TEXTS)


def test_links_stay_below_the_root_path() -> None:
    assert 'href="/tide/models/headlines/drift"' in render(drift_report(), TEXTS, "/tide")


def test_the_policy_allows_the_page_its_own_style_and_nothing_else() -> None:
    policy = drift_page._HEADERS["content-security-policy"]

    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/]{43}='; form-action 'none'; base-uri 'none'; "
        r"frame-ancestors 'none'",
        policy,
    )
    assert "style=" not in render(drift_report(), TEXTS), "the policy would drop it"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1440, False), (1440, True)])
def test_the_page_fits_a_phone_and_a_desk_and_asks_for_nothing(tmp_path: Path, width: int, dark: bool) -> None:
    file = tmp_path / "page.html"
    file.write_text(render(drift_report(), TEXTS))
    with chromium() as browser:
        context, watch = watched(browser, file.as_uri(), width=width, dark=dark)
        page = context.new_page()
        page.goto(file.as_uri())
        keep(page, f"drift-{width}-{'dark' if dark else 'light'}")
        seen = page.evaluate("[document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]")

        assert seen == [width, "rgb(11, 20, 24)" if dark else "rgb(245, 247, 248)"]
        assert (watch.requests, watch.failures, watch.complaints) == ([file.as_uri()], [], [])
        assert page.get_by_role("img").first.is_visible()
