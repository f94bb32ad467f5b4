"""What the docs show is true: commands and options exist, links lead somewhere, generated pages are fresh."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tidegate.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")
ANCHOR = re.compile(r"\]\(([^)#:]*)#([^)]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def _commands() -> list[tuple[str, str]]:
    """(page, command line) of every `tidegate ...` line in a shell block."""
    found = []
    for page in PAGES:
        if page.name == "commands.md":  # usage lines, generated from the commands themselves
            continue
        for block in BLOCK.findall(page.read_text()):
            joined = block.replace("\\\n", " ")
            lines = [line.strip().removeprefix("$ ") for line in joined.splitlines()]
            found += [(page.name, line) for line in lines if re.match(r"(\S*/)?tidegate( |$)", line)]
    return found


@pytest.mark.parametrize(("page", "line"), _commands())
def test_every_command_in_the_docs_exists_with_its_options(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}

    assert not hasattr(command, "commands") or not words or words[0] in known, f"{page}: no command in {line!r}"
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, f"{page}: {word} in {line!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them: lower case, hyphens for spaces, no punctuation."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(page.read_text())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_anchor_in_a_link_is_a_heading_there(page: Path) -> None:
    for target, anchor in ANCHOR.findall(page.read_text()):
        assert anchor in _anchors(page.parent / target if target else page), f"{page.name} links to {target}#{anchor}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        linked = {(page.parent / target).resolve() for target in LINK.findall(page.read_text()) if ".md" in target}
        waiting += [target for target in linked if target.is_file() and target not in reached]

    assert set(PAGES) - reached <= {ROOT / "CHANGELOG.md"}


def test_the_generated_pages_say_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_no_page_loads_or_names_a_machine_path() -> None:
    for page in PAGES:
        assert not re.search(r"(/work/|/root/|/home/[a-z])", page.read_text()), page.name


def test_the_page_of_the_architecture_names_every_file_of_monitoring() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    files = {file.stem for file in (ROOT / "monitoring").glob("*.py")} - {"__init__"}

    assert files == {name for name in files if f"`{name}`" in page}
