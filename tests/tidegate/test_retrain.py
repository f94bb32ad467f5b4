"""Retraining by command: the recipe's place is taken by a command, gates stop it, and it goes on where it was."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from monitoring.labels import items, retrainings
from monitoring.labels.data_sets import list_data_sets
from monitoring.labels.retrainings import list_retrainings
from tests import bundles
from tests.servers import export_python, tidegate
from tests.trained import copy_news
from tidegate import store
from tidegate.bundle_store import BundleStore
from tidegate.cli import retraining, retraining_steps
from tidegate.cli.training import filled
from tidegate.environments import CHECKOUT
from tidegate.errors import GateRefused, UsageError
from tidegate.settings import Settings
from tidegate.store import annotations, relabel_items

OPTIONS = retraining.Options("", quality=False, promote=False, percent=None, margin=1.0)


def put_labels(database: Engine, count: int, *, model: str = "news", label: str = "positive") -> None:
    """Accepted items, each answered by one person."""
    texts = [f"item {number} of {model}: orders rise and demand grows by {number}" for number in range(count)]
    rows = [
        {
            "id": f"{model}-{number}", "model": model, "version": 1, "prediction_id": f"p{number}", "text": text,
            "text_digest": items.digest(text), "predicted": label, "score": 0.5, "scores": [0.2, 0.3, 0.5],
            "reason": "margin", "state": "accepted", "label": label, "annotator": "ann", "created_at": 1.0, "wanted": 1,
        }
        for number, text in enumerate(texts)
    ]  # fmt: skip
    answers = [
        {
            "item_id": row["id"],
            "annotator": "ann",
            "verdict": "label",
            "label": label,
            "source": "page",
            "created_at": 1.0,
        }
        for row in rows
    ]
    with database.begin() as connection:
        connection.execute(insert(relabel_items), rows)
        connection.execute(insert(annotations), answers)


def work(home: Path, model: str = "sentiment") -> retraining.Work:
    settings = Settings(home=home)
    database = store.open_database(settings.state_url)
    begun = retrainings.begin(database, model, 1, 1.0)
    return retraining.Work(settings, database, BundleStore(settings.bundles_dir), model, OPTIONS, begun)


def test_a_commands_places_are_filled_in_and_no_shell_reads_it() -> None:
    words = filled(
        "python 'my train.py' --data={data} --name {register} $HOME {other}", {"data": "/a b", "register": "m"}
    )

    assert words == ["python", "my train.py", "--data=/a b", "--name", "m", "$HOME", "{other}"]


@pytest.mark.parametrize("command", ["python 'train.py", "  "])
def test_a_command_that_cannot_be_read_is_a_usage_error(command: str) -> None:
    with pytest.raises(UsageError, match="--command"):
        filled(command, {})


def test_what_is_done_is_not_done_again_and_what_failed_is_written_down(tmp_path: Path) -> None:
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    done: list[str] = []

    def step(name: str, error: Exception | None = None) -> retraining.Step:
        def do(_: retraining.Work) -> dict[str, object]:
            done.append(name)
            if error is not None:
                raise error
            return {"version": 1}

        return do

    with pytest.raises(KeyboardInterrupt):
        retraining.carry_out(work(tmp_path), [("one", step("one")), ("two", _interrupted)])
    again = work(tmp_path)
    with pytest.raises(GateRefused):
        retraining.carry_out(again, [("one", step("one")), ("two", step("two", GateRefused("no better")))])
    (row,) = list_retrainings(again.database)

    assert done == ["one", "two"]
    assert (row.state, row.step, row.detail["why"]) == ("refused", "one", "no better")
    assert work(tmp_path).retraining.id == row.id + 1


def _interrupted(_: retraining.Work) -> dict[str, object]:
    raise KeyboardInterrupt


def test_one_retraining_a_model_at_a_time(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with (
        retraining.alone(settings, "news"),
        retraining.alone(settings, "other"),
        pytest.raises(UsageError, match="news is being retrained"),
        retraining.alone(settings, "news"),
    ):
        pass


def test_the_canary_is_set_once_and_the_champion_when_asked_to(tmp_path: Path) -> None:
    published = BundleStore(tmp_path / "bundles")
    for _ in range(2):
        bundles.sentiment(published)
    under_way = work(tmp_path)
    under_way.retraining = retrainings.advance(under_way.database, under_way.retraining, "export", 2.0, {}, version=2)
    first, second = retraining_steps.deploy(under_way), retraining_steps.deploy(under_way)
    since = published.aliases("sentiment").since

    assert first == second == {"aliases": ["canary"]}
    assert published.aliases("sentiment").since == since
    under_way.options = retraining.Options("", quality=False, promote=True, percent=None, margin=1.0)
    assert retraining_steps.deploy(under_way) == {"aliases": ["champion"]}


def test_a_worse_version_is_stopped_with_the_numbers(tmp_path: Path) -> None:
    published = BundleStore(tmp_path / "bundles")
    bundles.sentiment(published)
    bundles.sentiment(published, threshold=1.0, fallback="neutral")  # answers neutral to nearly all
    under_way = work(tmp_path)
    found = {"data_set": 1, "version": 2}
    under_way.retraining = retrainings.advance(under_way.database, under_way.retraining, "export", 2.0, {}, **found)
    under_way.splits.mkdir(parents=True)
    rows = [f"profit rises again {number},positive" for number in range(40)]
    (under_way.splits / "evaluation.csv").write_text("\n".join(["text,label", *rows]))
    (under_way.splits / "random.csv").write_text("text,label\n")

    with pytest.raises(
        GateRefused, match=r"on the evaluation rows it is right on 0.0% of 40 texts, the live version on"
    ):
        retraining_steps.gate(under_way)


def test_a_model_without_labels_is_told_what_to_do(tmp_path: Path) -> None:
    export_python()
    bundles.sentiment(BundleStore(tmp_path / "bundles"))
    done = tidegate("retrain", "sentiment", "--home", tmp_path, "--no-quality", check=False)

    assert done.returncode != 0
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_command_trains_in_place_of_the_recipe_and_a_failed_one_keeps_its_data_set(tmp_path: Path) -> None:
    copy_news(tmp_path)
    database = store.open_database(Settings(home=tmp_path).state_url)
    put_labels(database, 40)
    script = CHECKOUT / "examples" / "train_tfidf.py"
    command = f"python {script} --splits {{data}} --register {{register}} --home {{home}} --seed {{seed}} --epochs 1"
    retrain: list[str | Path] = ["retrain", "news", "--no-quality", "--max-accuracy-drop", "50", "--home", tmp_path]
    failed = tidegate(*retrain, "--command", "python -c 'raise SystemExit(5)'", check=False)
    found = json.loads(tidegate(*retrain, "--command", command, "--json").stdout)

    assert failed.returncode == 1
    assert "stopped with exit code 5" in failed.stderr
    assert (found["state"], found["run"], found["version"]) == ("canary", "models:/news/2", 2)
    assert len(list_data_sets(database)) == 1  # the failed one had made it
    assert [row.state for row in list_retrainings(database)] == ["canary", "failed"]
    assert tidegate("retrain", "nobody", "--home", tmp_path, check=False).returncode == 1
