"""The route that makes a text a behavioural test, and where the tests of a bundle are shown."""

import asyncio
from pathlib import Path

import pytest

from serving.access import ANNOTATE, PREDICT
from serving.keys import ApiKeys
from tests import bundles
from tests.serving.apps import Running, on_gateway
from tidegate.behaviour import load_suite
from tidegate.behaviour_file import kept_file
from tidegate.behaviour_report import FILE, Failure, Report, SuiteResult, Verdict, write_report
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.store import open_database

BODY = {"text": "the profit falls", "label": "negative", "note": "said <so>"}


def test_a_text_becomes_a_test_once_however_often_it_is_sent(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        answers = await asyncio.gather(*(g.client.post("/models/sentiment/behaviour", json=BODY) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {201}
        assert sorted(answer.json()["added"] for answer in answers) == [False] * 7 + [True]
        other = await g.client.post("/models/sentiment/behaviour", json=BODY | {"label": "positive"})
        assert (other.status_code, other.json()["pointer"]) == (422, "/label")

    on_gateway(tmp_path, scenario)
    [example] = load_suite(kept_file(tmp_path, "sentiment")).examples
    assert example.model_dump() == BODY


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (BODY | {"label": "happy"}, 422),
        (BODY | {"text": "  "}, 422),
        (BODY | {"text": "x" * 30_000}, 422),
        (BODY | {"kind": "x"}, 422),
        ({"text": "x"}, 422),
        ([BODY], 422),
    ],
)
def test_what_is_no_example_is_refused(tmp_path: Path, body: object, status: int) -> None:
    async def scenario(g: Running) -> None:
        answer = await g.client.post("/models/sentiment/behaviour", json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")

    on_gateway(tmp_path, scenario)
    assert not kept_file(tmp_path, "sentiment").exists()


def test_a_model_that_is_not_there_or_answers_vectors_has_no_tests(tmp_path: Path) -> None:
    bundles.embedder(BundleStore(tmp_path / "bundles"))

    async def scenario(g: Running) -> None:
        assert (await g.client.post("/models/none/behaviour", json=BODY)).status_code == 404
        vectors = await g.client.post("/models/embedder/behaviour", json=BODY)
        assert (vectors.status_code, "about labels" in vectors.json()["detail"]) == (422, True)

    on_gateway(tmp_path, scenario)


def test_a_file_that_somebody_broke_is_told_and_left_alone(tmp_path: Path) -> None:
    file = kept_file(tmp_path, "sentiment")
    file.parent.mkdir()
    file.write_text("tests: [")

    async def scenario(g: Running) -> None:
        answer = await g.client.post("/models/sentiment/behaviour", json=BODY)
        assert (answer.status_code, "is not YAML: line" in answer.json()["detail"]) == (503, True)

    on_gateway(tmp_path, scenario)
    assert file.read_text() == "tests: ["


def test_what_points_at_a_person_is_blanked_out_where_the_settings_say_so(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        sent = BODY | {"text": "write to ann@example.org", "note": "from ben@example.org"}
        assert (await g.client.post("/models/sentiment/behaviour", json=sent)).status_code == 201

    on_gateway(tmp_path, scenario, redact="all")
    [example] = load_suite(kept_file(tmp_path, "sentiment")).examples
    assert (example.text, example.note) == ("write to [email]", "from [email]")


def test_it_takes_a_key_that_may_annotate(tmp_path: Path) -> None:
    keys = ApiKeys(open_database(f"sqlite:///{tmp_path / 'state.db'}"))
    _, reader = keys.create("reader", PREDICT)
    _, annotator = keys.create("ann", ANNOTATE)

    async def scenario(g: Running) -> None:
        for key, status in (("", 401), (reader, 403), (annotator, 201)):
            headers = {"authorization": f"Bearer {key}"} if key else {}
            answer = await g.client.post("/models/sentiment/behaviour", json=BODY, headers=headers)
            assert answer.status_code == status

    on_gateway(tmp_path, scenario, keys=keys)


def reported(store: BundleStore) -> Bundle:
    """A bundle with a report of one test that passed and two that failed."""
    plain = bundles.sentiment(store)
    shown = (Failure(text="a <b>secret</b> text", why="negative 0.90, not positive"),)
    tests = tuple(
        Verdict(
            name=name, kind="invariance", gate=gate, cases=4, failures=0 if passed else 4, passed=passed, shown=shown
        )
        for name, gate, passed in (("fine", True, True), ("bad | worse", True, False), ("odd", False, False))
    )
    suites = (
        SuiteResult(suite="kept", source="kept", tests=tests),
        SuiteResult(suite="sentiment", source="built-in", skipped="no labels"),
    )
    with store.staging("sentiment") as folder:
        for file in plain.manifest.files:
            (folder / file).write_bytes(plain.file(file).read_bytes())
        write_report(Report(variant="fp32", suites=suites), folder)
        made = store.publish(
            "sentiment",
            folder,
            lambda version, files: plain.manifest.model_copy(
                update={"version": version, "files": files, "behaviour": FILE}
            ),
        )
    store.set_alias("sentiment", "champion", made.manifest.version)
    return made


def test_the_card_and_the_description_tell_how_a_version_behaves_and_show_no_text(tmp_path: Path) -> None:
    reported(BundleStore(tmp_path / "bundles"))

    async def scenario(g: Running) -> None:
        described = await g.client.get("/models/sentiment")
        card = await g.client.get("/models/sentiment/card")
        assert described.json()["behaviour"] == {
            "tests": 3,
            "passed": 1,
            "failed_gating": ["kept: bad | worse"],
            "failed_informing": ["kept: odd"],
        }
        assert "## How it behaves" in card.text
        assert "| kept: bad \\| worse |  | 4 of 4 (0% to 100%) | 0% | yes | failed |" in card.text
        assert "secret" not in card.text + described.text

    on_gateway(tmp_path, scenario)


def test_a_bundle_from_before_tells_nothing_of_it(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        assert (await g.client.get("/models/sentiment")).json()["behaviour"] is None
        assert "How it behaves" not in (await g.client.get("/models/sentiment/card")).text

    on_gateway(tmp_path, scenario)
