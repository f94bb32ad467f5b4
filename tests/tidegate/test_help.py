"""What `--help` shows is what is written, in panels, with examples that can be typed."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from rich.text import Text

from tidegate.cli import PANELS, app
from tidegate.settings import Settings


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group, with the words that reach it."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*path, name))


COMMANDS = list(_commands(typer.main.get_command(app)))
EXAMPLES = [
    command.epilog.removeprefix("Example: ")
    for _, command in COMMANDS
    if (command.epilog or "").startswith("Example: ")
]


@pytest.mark.parametrize("path_and_command", COMMANDS, ids=lambda pair: " ".join(pair[0]) or "tidegate")
def test_nothing_of_the_help_is_taken_for_markup(path_and_command: tuple[tuple[str, ...], Any]) -> None:
    _, command = path_and_command
    texts = [command.help, command.epilog, *(getattr(each, "help", "") for each in command.params)]

    for text in filter(None, texts):
        assert Text.from_markup(text).plain == text


def test_every_command_stands_in_a_panel_in_the_order_of_the_table() -> None:
    registered = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    groups = [group.name or "" for group in app.registered_groups]
    listed = [name for names in PANELS.values() for name in names]

    assert sorted(listed) == sorted(registered + groups)
    assert [path[0] for path, _ in COMMANDS if len(path) == 1] == listed


def test_the_defaults_that_the_help_of_serve_tells_are_those_of_the_settings() -> None:
    serve = next(command for path, command in COMMANDS if path == ("serve",))
    told = {each.name: each.show_default for each in serve.params if isinstance(each.show_default, str)}
    settings = Settings().model_dump()

    assert told.pop("grpc_port") == "no gRPC"
    assert told == {name: str(settings[name]).removesuffix(".0") for name in told}


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_can_be_typed(line: str) -> None:
    words = shlex.split(line)[1:]
    command: Any = typer.main.get_command(app)
    while words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]

    command.make_context(command.name, words)
