"""A model's own file of behavioural tests, `behaviour/NAME.yaml` in the home folder: where it is, and how it grows.

People write and version it; commands, the gateway and the demos append examples to it. What is appended is text at the
right place, so that comments and order stay as they were; the result is read again before it replaces the file, and one
that would say anything else is refused. One writer at a time, over every process: a lock file beside it.
Before: `behaviour` reads; after: `behaviour_suites` runs.
"""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tidegate.behaviour import Example, Suite, read_suite
from tidegate.behaviour_yaml import compose
from tidegate.bundle import Manifest
from tidegate.bundle_store import checked_name
from tidegate.errors import InvalidInput, NotReady, UsageError
from tidegate.home import make_private
from tidegate.redaction import Redactor
from tidegate.settings import Settings

STARTER = """\
# Behavioural tests of {name}: what it must and must not do, whatever its accuracy says.
# `tidegate behaviour run {name}` runs them; every export does, and is refused where one fails that the live version
# passes. docs/how-to/behavioural-tests.md explains each line.

# Built-in suites whose gated tests shall refuse a version of this model, too:
# include: [general]

# tests:
#   - name: praise is positive                  # every label is one of: {labels}
#     kind: minimum-functionality
#     templates: ["The {{thing}} was great."]
#     slots: {{thing: [film, hotel, lesson]}}
#     expect: positive
#
#   - name: who it is about does not matter
#     kind: invariance
#     sample: 50                                # texts of the model's own evaluation data
#     change: [names, places, companies]
#     max_failure_rate: 0.1
#
#   - name: blame on top does not raise positive
#     kind: direction
#     texts: ["The film was long."]
#     add: ["I hated it."]
#     expect: {{label: positive, must: not rise, by: 0.1}}

# Texts that were answered wrongly, with their right labels; keep them last, new ones are appended.
examples: []
"""


def kept_file(home: Path, name: str) -> Path:
    """Where a model's own tests are, whether or not there are any yet."""
    return home / "behaviour" / f"{checked_name(name)}.yaml"


def start(home: Path, name: str, labels: tuple[str, ...]) -> Path:
    """Write a file to begin with.

    Raises:
        UsageError: there is one already.
    """
    file = kept_file(home, name)
    with _alone(file):
        if file.exists():
            raise UsageError(f"{file} is there already; edit it, or move it away")
        _replace(file, STARTER.format(name=name, labels=", ".join(labels)).encode())
    return file


def example_of(manifest: Manifest, text: str, label: str, note: str = "") -> Example:
    """An example for a model's file, checked against the model.

    Raises:
        InvalidInput: a text or note that is empty, too long or no text, or a label that it does not have.
    """
    labels = list(dict.fromkeys([*manifest.labels, *filter(None, [manifest.postprocessing.fallback_label])]))
    if label not in labels:
        raise InvalidInput(
            f"{label[:80]!r} is no label of {manifest.name}; it has: {', '.join(labels)}", pointer="/label"
        )
    try:
        f"{text}{note}".encode()
        if not text.strip():
            raise InvalidInput("the text is empty", pointer="/text")
        return Example(text=text, label=label, note=note)
    except UnicodeEncodeError:
        raise InvalidInput("the text holds half a character, which no file can carry", pointer="/text") from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InvalidInput(fault["msg"], pointer=f"/{fault['loc'][0]}") from None


def keep(settings: Settings, manifest: Manifest, text: str, label: str, note: str = "") -> bool:
    """Append what somebody sent, redacted where the settings say so; False where the file has it already.

    Raises:
        InvalidInput: see `example_of` and `append`.
        NotReady: somebody has to mend the file first.
    """
    redact = Redactor.of(settings.redact)
    example = example_of(manifest, redact(text), label, redact(note))
    try:
        return append(settings.home, manifest.name, example)
    except UsageError as error:
        raise NotReady(f"the behavioural tests of {manifest.name} cannot be added to: {error}") from None


def append(home: Path, name: str, example: Example) -> bool:
    """Append an example; False where the file has that text with that label already.

    Raises:
        InvalidInput: the file has the text with another label.
        UsageError: the file cannot be read, or not be added to.
    """
    file = kept_file(home, name)
    with _alone(file):
        content = file.read_bytes() if file.is_file() else b""
        suite = read_suite(content, str(file))
        for known in suite.examples:
            if known.text == example.text:
                _check_label(known, example, file)
                return False
        grown = added(content, example, str(file))
        _check_grown(suite, read_suite(grown, str(file)), example, file)
        _replace(file, grown)
    return True


def added(content: bytes, example: Example, source: str) -> bytes:
    """The bytes of a file with an example more, after those that it has.

    Raises:
        UsageError: not YAML, or its examples are written between brackets.
    """
    text = content.decode("utf-8-sig")
    node = _examples(compose(content, source))
    if node is None:
        return f"{_ended(text)}examples:\n{_entry(example, 2)}".encode()
    if not node.value:  # `examples: []`, or nothing at all
        head, rest = text[: node.start_mark.index].rstrip(), text[node.end_mark.index :].lstrip(" \t")
        return f"{head}\n{_entry(example, 2)}{rest.removeprefix(chr(10))}".encode()
    if node.flow_style:
        raise UsageError(f"{source}: write its examples as a list with dashes, so that more can be appended")
    lines = _ended(text).splitlines(keepends=True)
    place = node.end_mark.line + (node.end_mark.column > node.start_mark.column)
    while not lines[place - 1].strip():  # blank lines stay before what comes next
        place -= 1
    return "".join([*lines[:place], _entry(example, node.start_mark.column), *lines[place:]]).encode()


def _examples(root: Any) -> Any:
    """The node of `examples`; None where there is none."""
    pairs = root.value if isinstance(root, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == "examples"), None)


def _entry(example: Example, indent: int) -> str:
    """An example as an item of a list, each value quoted on one line."""
    fields = example.model_dump(exclude_defaults=True)
    lines = [f"{name}: {_quoted(value)}" for name, value in fields.items()]
    return "".join(f"{' ' * indent}{'- ' if place == 0 else '  '}{line}\n" for place, line in enumerate(lines))


def _quoted(value: str) -> str:
    written = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return str(written).rstrip("\n")


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _check_label(known: Example, example: Example, file: Path) -> None:
    if known.label != example.label:
        raise InvalidInput(
            f"the tests of this model expect {known.label!r} for that text, and {example.label!r} is sent; "
            f"if that is right, change the label in {file.name}",
            pointer="/label",
        )


def _check_grown(before: Suite, after: Suite, example: Example, file: Path) -> None:
    """Text was put into a file that people write by hand: it may only have gained that one example."""
    if after != before.model_copy(update={"examples": (*before.examples, example)}):
        raise UsageError(f"{file} is laid out in a way that cannot be appended to; add the example by hand")


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    make_private(file.parent)
    with file.with_name(f".{file.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when this process ends, however it ends
        yield


def _replace(file: Path, content: bytes) -> None:
    """Readers see the old file or the new one, also after a power cut."""
    draft = file.with_name(f".{file.stem}-{uuid.uuid4().hex}")
    try:
        with draft.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if file.exists():
            draft.chmod(file.stat().st_mode)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
