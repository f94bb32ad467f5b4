"""The behavioural gate of an export: what is run, what it refuses, and what goes out all the same."""

from pathlib import Path

import pytest

from exporters.behaviour import BehaviourRefused
from exporters.pipeline import ExportRequest, export_run
from monitoring.building import build_reference
from tests.exporters.models import EVALUATION, TRAINING, plain_folder
from tidegate.behaviour import Example
from tidegate.behaviour_file import append
from tidegate.behaviour_report import read_report
from tidegate.bundle import Bundle
from tidegate.bundle_store import BundleStore
from tidegate.errors import UsageError

IMPOSSIBLE = "examples:\n  - {text: the profit rose, label: negative}\n  - {text: the profit rose , label: positive}\n"


def export(home: Path, run: Path, messages: list[str] | None = None, **options: object) -> Bundle:
    request = ExportRequest.model_validate({"run": str(run), "name": "m", "trust_pickle": True, **options})
    say = messages.append if messages is not None else print
    return export_run(request, BundleStore(home / "bundles"), "", build_reference, say)


def test_the_suites_that_hold_are_run_and_their_report_is_a_file_of_the_bundle(tmp_path: Path) -> None:
    bundle = export(tmp_path, plain_folder(tmp_path / "run"))
    report = read_report(bundle)
    assert report is not None
    assert bundle.manifest.behaviour in bundle.manifest.files
    assert report.variant == bundle.manifest.chosen
    assert [suite.suite for suite in report.suites] == ["financial-sentiment", "general", "sentiment"]
    assert report.failed(gated=True) == []  # built-in suites inform
    sampled = {test.name: test.cases for suite in report.suites[1:2] for test in suite.tests}
    assert sampled["one typing error does not matter"] == min(60, len(EVALUATION))


@pytest.mark.slow
def test_what_the_runs_own_tests_refuse_is_published_only_if_asked(tmp_path: Path) -> None:
    run = plain_folder(tmp_path / "run")
    (run / "behaviour.yaml").write_text(IMPOSSIBLE)
    with pytest.raises(
        BehaviourRefused, match=r"run: 'examples' fails 1 of 2, at most 0 \('the profit rose"
    ) as refused:
        export(tmp_path, run)
    assert refused.value.exit_code == 3
    assert refused.value.report.failed(gated=True) == ["run: examples"]
    assert BundleStore(tmp_path / "bundles").names() == []
    messages: list[str] = []
    bundle = export(tmp_path, run, messages, allow_behaviour_failures=True)
    report = read_report(bundle)
    assert report is not None
    assert report.failed(gated=True) == ["run: examples"]
    assert any("published all the same, as was asked" in message for message in messages)


@pytest.mark.slow
def test_what_the_live_version_fails_too_may_go_out_and_what_is_worse_may_not(tmp_path: Path) -> None:
    run, surer = plain_folder(tmp_path / "run"), plain_folder(tmp_path / "surer", threshold=1.0)
    first = export(tmp_path, run)
    known, text = [text for text, label in TRAINING if label == "positive"][:2]
    append(tmp_path, "m", Example(text=known, label="negative"))  # the live version fails it, and so does the next
    messages: list[str] = []
    assert export(tmp_path, run, messages).manifest.version == first.manifest.version + 1
    assert any("no worse than the live version: kept: 'examples' fails 1 of 1" in message for message in messages)
    append(tmp_path, "m", Example(text=text, label="positive"))  # what abstains always does not answer that
    with pytest.raises(BehaviourRefused, match=r"'examples' fails 2 of 2.*; the live version 1\."):
        export(tmp_path, surer)
    assert BundleStore(tmp_path / "bundles").versions("m") == [1, 2]


@pytest.mark.slow
def test_tests_that_cannot_be_read_or_name_no_label_stop_the_export(tmp_path: Path) -> None:
    run = plain_folder(tmp_path / "run")
    (run / "behaviour.yaml").write_text("tests: [")
    with pytest.raises(UsageError, match=r"behaviour\.yaml is not YAML: line"):
        export(tmp_path, run)
    (run / "behaviour.yaml").write_text("examples: [{text: x, label: happy}]")
    with pytest.raises(UsageError, match="the model has no label 'happy'"):
        export(tmp_path, run)
    assert BundleStore(tmp_path / "bundles").names() == []
