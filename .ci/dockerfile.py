"""Reads a Dockerfile into stages and instructions, for `check_dockerfile` (rules) and `image_steps` (steps).

Understands what our Dockerfile uses: comments, continued lines, ARGs before the first FROM, named stages. Here-
documents and escape directives are refused rather than misread. Needs only the standard library.
Reference: https://docs.docker.com/reference/dockerfile/
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import dropwhile

EXPORT_ONLY = ("torch", "transformers", "mlflow", "optimum")  # never in the serve image
_HEREDOC = re.compile(r"<<-?\s*['\"]?\w+")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its word in capitals, and the rest on one line, without leading flags (`--mount=...`)."""

    word: str
    rest: str


@dataclass(slots=True)
class Stage:
    """A `FROM ... AS name` and what follows it; `base` has the values of ARGs in it."""

    name: str
    base: str
    steps: list[Step] = field(default_factory=list)

    def rests(self, word: str) -> list[str]:
        """What stands behind each instruction of that word."""
        return [step.rest for step in self.steps if step.word == word]


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile. Here-documents and other escape characters are not understood, and refused."""
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for step in _steps(text):
        if step.word == "FROM":
            image, _, name = step.rest.partition(" AS ")
            base = re.sub(r"\$\{(\w+)\}", lambda found: arguments.get(found[1], ""), image).strip()
            stages.append(Stage(name.strip(), base))
        elif stages:
            stages[-1].steps.append(step)
        elif step.word == "ARG":
            name, _, value = step.rest.partition("=")
            arguments[name] = value
    return stages


def _steps(text: str) -> Iterator[Step]:
    if _HEREDOC.search(text) or re.search(r"^#\s*escape=", text, re.MULTILINE | re.IGNORECASE):
        raise SystemExit("Dockerfile: here-documents and escape directives are not understood; write plain lines")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for instruction in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = instruction.strip().partition(" ")
        yield Step(word.upper(), " ".join(dropwhile(lambda word: word.startswith("--"), rest.split())))
