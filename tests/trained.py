"""A small model of headlines, trained, registered and exported once for all tests that want some run to work with.

What its steps themselves promise is tested in `tests/examples` and `tests/exporters`.
"""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tests.servers import environment, export_python, tidegate
from tests.shared import once
from tidegate.environments import CHECKOUT

SMALL = ("--rows", "900", "--epochs", "3", "--analyzer", "word", "--ngrams", "1", "2", "--threshold", "none")


def news() -> Path:
    """A home whose registry has `news`, champion, and whose store has its bundle; nobody may change it."""
    export_python()  # here, so that the test is skipped where there is none
    return once("news", _train)


def copy_news(home: Path) -> Path:
    """The same for one test alone, in an empty folder."""
    shutil.copytree(news(), home, dirs_exist_ok=True)
    store = home / "mlflow" / "mlflow.db"
    with closing(sqlite3.connect(store)) as theirs:
        rows = "\n".join(theirs.iterdump()).replace(str(news()), str(home))  # it keeps whole paths of artifacts
    store.unlink()
    with closing(sqlite3.connect(store)) as own:
        own.executescript(rows)
    return home


def _train(home: Path) -> None:
    script = str(CHECKOUT / "examples" / "train_tfidf.py")
    command = [str(export_python()), script, *SMALL, "--home", str(home), "--register", "news", "--alias", "champion"]
    subprocess.run(command, check=True, capture_output=True, env=environment())
    tidegate("export", "models:/news@champion", "--name", "news", "--home", home)
