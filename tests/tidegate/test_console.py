"""Messages of commands reach people to the letter."""

import pytest

from tidegate.cli import console


@pytest.mark.parametrize("text", ["no column [text] in it", "closes [/nothing]", "[bold]loud[/]"])
def test_brackets_in_a_message_are_no_markup(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    console.say(text)

    assert capfd.readouterr().err == f"{text}\n"


def test_a_step_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    console.step("2/6 train", ": a recipe [of the run]")

    assert capfd.readouterr().err == "2/6 train: a recipe [of the run]\n"
