"""YAML from people and runs that nobody has to trust: text, lists and mappings, and nothing else.

Every scalar is read as text, so that the label `no` and the label `1` stay what was written; tags build nothing.
Refused are files that are too large or too deep, aliases (a few lines of them multiply to gigabytes), and a key that
stands twice, of which YAML readers keep the last one without a word. Depth and aliases are looked for before anything
is built.
Before: a file's bytes; after: `behaviour` checks the shape, `behaviour_file` finds places to write at.
"""

from typing import Any

import yaml

from tidegate.errors import UsageError

MAX_BYTES = 1_000_000  # parsed in about a second
MAX_DEPTH = 8  # a suite needs 5

# The C reader of PyYAML where there is one.
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def read_yaml(content: bytes, source: str) -> Any:
    """Text, lists and mappings of a YAML document; None where it is empty. Raises what `compose` does."""
    node = compose(content, source)
    return None if node is None else _Loader("").construct_document(node)


def compose(content: bytes, source: str) -> Any:
    """The checked tree of nodes of a YAML document, with their places; None where it is empty.

    Raises:
        UsageError: too large, not UTF-8, too deep, an alias, a key twice, or not YAML; names the line.
    """
    if len(content) > MAX_BYTES:
        raise UsageError(f"{source} has {len(content):,} bytes; {MAX_BYTES:,} are the most: split the tests up")
    try:
        text = content.decode("utf-8-sig")
        _refuse_bombs(text, source)
        node = yaml.compose(text, Loader=_Loader)
    except UnicodeDecodeError as error:
        raise UsageError(f"{source} is not UTF-8: {error.reason} at byte {error.start}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{source} is not YAML: {_where(error)}") from None
    _refuse_doubles(node, source)
    return node


def _refuse_bombs(text: str, source: str) -> None:
    """Aliases multiply and depth overflows; both show before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise UsageError(
                f"{source}, line {_line(event)}: the alias *{event.anchor} is not read; write the value again"
            )
        if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            depth += 1
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise UsageError(f"{source}, line {_line(event)}: nested deeper than {MAX_DEPTH} levels")


def _refuse_doubles(node: Any, source: str) -> None:
    """YAML readers keep the last of two equal keys, and a test would vanish unseen."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise UsageError(f"{source}, line {line}: a key is a word, not a list or mapping")
            if key.value in seen:
                raise UsageError(f"{source}, line {line}: the key {key.value!r:.80} stands twice")
            seen.add(key.value)
            _refuse_doubles(value, source)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_doubles(value, source)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark is not None else str(problem)
