from pathlib import Path

import pytest

from exporters.texts import choose_samples, read_rows, sample_rows
from tidegate.errors import UsageError


def test_reads_quoted_multiline_unicode_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('\ufefftext,label\n"Größe, ""so""\nzwei",positive\n', encoding="utf-8")
    assert read_rows(file) == [('Größe, "so"\nzwei', "positive")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'text'"),
        (b"text,label\n", "no rows"),
        (b"sentence,label\na,b\n", "no column 'text'; it has: sentence, label"),
        (b"text,label\n  ,positive\n", "line 2: the text is empty"),
        (b"text,label\nfine\n", "line 2: the label is empty"),
        (b"text,label\n\xff\xfe,positive\n", "UTF-8"),
        (b'text,label\n"never closed,positive\n', "cannot read"),
    ],
)
def test_bad_files_are_refused_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_rows(file)


def test_a_missing_file_and_a_directory_are_usage_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            read_rows(path)


def test_sampling_is_seeded_and_keeps_the_order() -> None:
    rows = [(f"text {index}", "a") for index in range(100)]
    sampled = sample_rows(rows, 10, seed=1)
    assert sampled == sample_rows(rows, 10, seed=1) != sample_rows(rows, 10, seed=2)
    assert sampled == sorted(sampled, key=rows.index)
    assert sample_rows(rows, 100) == rows


def test_samples_are_short_distinct_and_cover_every_label() -> None:
    rows = [("long " * 60, "a"), *[(f"b {index}", "b") for index in range(50)], ("c", "c"), ("c", "c"), ("a1", "a")]
    samples = choose_samples(rows, 12)
    assert len(samples) == len(set(samples)) == 12
    assert {"a1", "c"} <= set(samples)
    assert not any(len(sample) > 160 for sample in samples)


def test_a_label_with_long_texts_only_still_has_a_sample() -> None:
    rows = [("long " * 60, "a"), *[(f"b {index}", "b") for index in range(50)]]
    assert "long " * 60 in choose_samples(rows, 12)
