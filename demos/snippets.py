"""The same question from a program: for a shell, for Python, for JavaScript, ready to be copied.

Pure: an address and a text in, source text out; each value is quoted by the rules of its language, so that no text
ends its string. Before: `demos.page`; after: `pre` elements. The key is a variable of the reader's, never a value.
Limits: the shell is POSIX; on Windows use Python.
Sources: POSIX.1-2024 2.2.2 (single quotes), ECMAScript 2019 12.8.4 (JSON is a subset of its literals).
"""

import json
import shlex

KEY = "TIDEGATE_API_KEY"


def curl(url: str, text: str, *, with_key: bool) -> str:
    """A command for a POSIX shell."""
    key = f' \\\n  -H "authorization: Bearer ${KEY}"' if with_key else ""
    return (
        f"curl -s {shlex.quote(url)}{key} \\\n"
        "  -H 'content-type: application/json' \\\n"
        f"  --data-raw {shlex.quote(_body(text))}"
    )


def python(url: str, text: str, *, with_key: bool) -> str:
    """A program for Python 3, which needs nothing installed."""
    imports = "import json\nimport os\nimport urllib.request" if with_key else "import json\nimport urllib.request"
    key = f', "authorization": "Bearer " + os.environ["{KEY}"]' if with_key else ""
    return (
        f"{imports}\n\n"
        "request = urllib.request.Request(\n"
        f"    {url!r},\n"
        f'    json.dumps({{"inputs": {text!r}}}).encode(),\n'
        f'    {{"content-type": "application/json"{key}}},\n'
        ")\n"
        "print(json.load(urllib.request.urlopen(request)))"
    )


def javascript(url: str, text: str, *, with_key: bool) -> str:
    """A module for Node 18 or later; a browser takes it too, where it has the key from elsewhere."""
    key = f", authorization: `Bearer ${{process.env.{KEY}}}`" if with_key else ""
    return (
        f"const answer = await fetch({_literal(url)}, {{\n"
        '  method: "POST",\n'
        f'  headers: {{ "content-type": "application/json"{key} }},\n'
        f"  body: JSON.stringify({{ inputs: {_literal(text)} }}),\n"
        "});\n"
        "console.log(JSON.stringify(await answer.json()));"
    )


def _body(text: str) -> str:
    """JSON with letters of every script as they are, and what a terminal would act on escaped."""
    return json.dumps({"inputs": text}, ensure_ascii=not text.isprintable())


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())
