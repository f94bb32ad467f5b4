import csv
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.headlines import LABELS, generate

SCRIPT = Path(__file__).parents[2] / "examples" / "headlines.py"


@given(rows=st.integers(1, 300), seed=st.integers())
@settings(max_examples=30, deadline=None)
def test_as_many_distinct_clean_headlines_as_asked_for(rows: int, seed: int) -> None:
    made = generate(rows, seed)
    assert len({text for text, _ in made}) == len(made) == rows
    assert all(text == " ".join(text.split()) and "{" not in text for text, _ in made)
    assert {label for _, label in made} <= set(LABELS)


def test_the_seed_decides() -> None:
    assert generate(50, 1) == generate(50, 1)
    assert not {text for text, _ in generate(50, 1)} & {text for text, _ in generate(50, 2)}


def test_labels_are_balanced() -> None:
    counts = Counter(label for _, label in generate(3000, 0))
    assert all(900 < counts[label] < 1100 for label in LABELS)


def test_the_same_words_stand_under_opposite_labels() -> None:
    """What makes a bag of words fail: each direction and each measure occurs on both sides."""
    labels: dict[str, Counter[str]] = {}
    for text, label in generate(3000, 0):
        for word in set(text.lower().split()):
            labels.setdefault(word, Counter())[label] += 1
    for word in ("rose", "fell", "profit", "loss", "not", "although", "earlier"):
        sides = labels[word]
        assert min(sides["negative"], sides["positive"]) > 0.3 * max(sides["negative"], sides["positive"]), word


PAINS = (" loss", "costs", "debt", "churn", "scrap", "rate", "expense", "bill", "downtime", "risk")


def test_compared_figures_decide_and_agree_with_their_label() -> None:
    """`net profit ... EUR 5.0 mn ..., from EUR 7.0 mn`: more of a gain is good, less of a pain is good."""
    checked = 0
    for text, label in generate(3000, 0):
        if " a year earlier" in text and "the same as" not in text:
            now, before = (float(figure) for figure in re.findall(r"(?:EUR|USD) ([\d.]+) mn", text))
            is_gain = not any(pain in text for pain in PAINS)
            assert label == ("positive" if (now > before) == is_gain else "negative"), text
            checked += 1
    assert checked > 150


def test_the_command_writes_a_csv(tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    subprocess.run([sys.executable, str(SCRIPT), "--rows", "5", "--seed", "3", "--out", str(out)], check=True)
    with out.open(newline="") as file:
        assert list(csv.reader(file)) == [["text", "label"], *map(list, generate(5, 3))]
    done = subprocess.run([sys.executable, str(SCRIPT), "--rows", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--rows 0" in done.stderr


@pytest.mark.parametrize("word", ["Oyj", "EUR", "%"])
def test_headlines_look_like_headlines(word: str) -> None:
    assert any(word in text for text, _ in generate(200, 0))
