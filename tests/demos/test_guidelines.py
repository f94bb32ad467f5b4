"""Guidelines are shown as written, and nothing in them is more than text."""

from pathlib import Path

import pytest

from demos import guidelines


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("one\ntwo\n\nthree", "<p>one two</p><p>three</p>"),
        ("# Top\nand text", "<h3>Top</h3><p>and text</p>"),
        ("###### Deep", "<h6>Deep</h6>"),
        ("- a\n- b *c*\n\n1. d\n2) e", "<ul><li>a</li><li>b <em>c</em></li></ul><ol><li>d</li><li>e</li></ol>"),
        ("so:\r\n* a\r\n* b", "<p>so:</p><ul><li>a</li><li>b</li></ul>"),
        ("**a** and `x < *y*`", "<p><strong>a</strong> and <code>x &lt; *y*</code></p>"),
        ("2 * 3 * 4 and a ` b", "<p>2 * 3 * 4 and a ` b</p>"),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("# <b>\n- <i>", "<h3>&lt;b&gt;</h3><ul><li>&lt;i&gt;</li></ul>"),
    ],
)
def test_a_few_marks_are_read_and_all_else_is_text(text: str, html: str) -> None:
    assert guidelines.render(text) == html


def test_they_are_read_from_the_home_folder_up_to_a_limit(tmp_path: Path) -> None:
    folder = tmp_path / "guidelines"
    folder.mkdir()
    (folder / "m.md").write_bytes(b"\xef\xbb\xbfone \xff")
    (folder / "long.md").write_text("x" * 100_000)
    (folder / "folder.md").mkdir()

    assert guidelines.read(tmp_path, "m") == "one \ufffd"
    assert len(guidelines.read(tmp_path, "long")) == guidelines.MAX_BYTES
    assert guidelines.read(tmp_path, "folder") == guidelines.read(tmp_path, "none") == ""


def test_a_hostile_file_costs_little(tmp_path: Path) -> None:
    for text in ("*" * 20_000, "`" * 20_001, "- " * 20_000, "#" * 20_000, "1." * 20_000, "**a" * 8_000):
        assert guidelines.render(text)
