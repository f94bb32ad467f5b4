import ast
import json
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos import snippets

URL = "http://127.0.0.1:8080/models/headline-sentiment/predict"
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60) | st.text(
    "'\"\\`$(){};!\n\r\u2028 a", max_size=30
)
HOSTILE = "it's \"over\" `id` $(id) ${HOME} \\' </script> \u2028 \n\x00\x1b !! ü 利益"


def words(command: str) -> list[str]:
    """The arguments that a shell would pass."""
    return shlex.split(command.replace(" \\\n", " "))


@given(text=TEXTS)
def test_the_shell_passes_every_text_to_curl_in_one_argument(text: str) -> None:
    passed = words(snippets.curl(URL, text, with_key=False))

    assert passed[:3] == ["curl", "-s", URL]
    assert json.loads(passed[passed.index("--data-raw") + 1]) == {"inputs": text}
    assert len(passed) == 7


@settings(max_examples=25)
@given(text=TEXTS)
def test_a_real_shell_reads_the_command_as_it_is_meant(text: str) -> None:
    command = snippets.curl(URL, text, with_key=True).replace("curl", "printf '%s\\n'", 1)

    said = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, check=True, env={snippets.KEY: "secret"}
    ).stdout

    assert json.loads(said.decode().split("\n")[-2]) == {"inputs": text}
    assert b"authorization: Bearer secret" in said


@given(text=TEXTS, with_key=st.booleans())
def test_python_reads_every_text_as_the_same_string(text: str, with_key: bool) -> None:
    tree = ast.parse(snippets.python(URL, text, with_key=with_key))

    [inputs] = [node for node in ast.walk(tree) if isinstance(node, ast.Dict) and _keys(node) == ["inputs"]]
    assert ast.literal_eval(inputs) == {"inputs": text}
    assert len(tree.body) == (5 if with_key else 4)


@given(text=TEXTS)
def test_javascript_gets_every_text_as_a_json_literal_on_its_line(text: str) -> None:
    line = snippets.javascript(URL, text, with_key=False).split("\n")[3]

    literal = line.removeprefix("  body: JSON.stringify({ inputs: ").removesuffix(" }),")
    assert json.loads(literal) == text
    assert not set("\u2028\u2029") & set(literal)


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")
def test_node_reads_a_hostile_text_as_it_is() -> None:
    program = snippets.javascript(URL, HOSTILE, with_key=True)
    check = (
        "globalThis.fetch = async (url, sent) => ({ json: async () => [url, sent.headers, JSON.parse(sent.body)] });\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ask.mjs"
        file.write_text(check + program, encoding="utf-8")
        said = subprocess.run(["node", file], capture_output=True, check=True, env={snippets.KEY: "k"}).stdout

    url, headers, body = json.loads(said)
    assert (url, headers["authorization"], body) == (URL, "Bearer k", {"inputs": HOSTILE})


def _keys(node: ast.Dict) -> list[object]:
    return [key.value for key in node.keys if isinstance(key, ast.Constant)]
