"""The requests in docs/reference/protocols.md are answered as the page says, by a running server, asked with curl."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.protocols.classifiers import two_models as two_models
from tests.servers import Server

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "protocols.md"
SECTIONS = ("Hugging Face", "Text Embeddings Inference", "KServe V1", "MLflow", "Open Inference Protocol V2")
PAIR = re.compile(r"^```sh\n(curl .*?)^```\n\n```json\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str]]:
    """(command, answer) of each example in these sections."""
    parts = re.split(r"^## (.*)\n", PAGE.read_text(), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return [pair for name in SECTIONS for pair in PAIR.findall(sections[name])]


@pytest.mark.parametrize(("command", "answer"), examples())
def test_an_example_is_answered_as_the_page_says(two_models: Server, command: str, answer: str) -> None:
    here = command.replace("http://127.0.0.1:8080", two_models.url)
    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True)

    assert rounded(json.loads(done.stdout)) == json.loads(answer)


def rounded(node: Any) -> Any:
    """With numbers to four places, as the page shows them."""
    if isinstance(node, float):
        return round(node, 4)
    if isinstance(node, list):
        return [rounded(each) for each in node]
    return {key: rounded(value) for key, value in node.items()} if isinstance(node, dict) else node


def test_every_section_has_examples() -> None:
    assert len(examples()) >= len(SECTIONS)
