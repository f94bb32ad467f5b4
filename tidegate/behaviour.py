"""Behavioural tests: what a model must and must not do, written down in a small YAML file; the nouns and the reader.

Three kinds, after CheckList: minimum functionality (this text, that label), invariance (a change that must not matter)
and direction (a change that must move a class's probability one way, or must not). After this, `behaviour_cases`
expands a test into cases and `behaviour_run` judges a model's answers to them.
Errors name file, test, field and value. Limits: English built-in changes; what `behaviour_yaml` refuses.
Source: Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList".
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from tidegate.behaviour_change import CHANGES, slots_of
from tidegate.behaviour_yaml import read_yaml
from tidegate.errors import UsageError

MAX_CASES = 60  # of one test, unless it says otherwise; the 95 % interval is then 25 points wide at worst
# What a test that makes its own texts may fail unless it says otherwise: templates and typing errors make some texts
# that people would argue about. Where somebody wrote text and label, nothing.
MADE_FAILURES = 0.1

EXAMPLES = "examples"  # name of the test that a suite's examples make

Kind = Literal["minimum-functionality", "invariance", "direction"]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Texts = Annotated[tuple[Text, ...], Field(max_length=1_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Fillings = dict[Word, Annotated[tuple[Word, ...], Field(min_length=1, max_length=200)]]


class Part(BaseModel):
    """Base of everything in a suite: frozen, and unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Test(Part):
    """What every kind of test has; its texts are given, made from templates, or drawn from the model's own data."""

    name: Word
    capability: Annotated[str, Field(max_length=200)] = ""
    texts: Texts = ()
    templates: Texts = ()
    slots: Fillings = {}
    sample: int = Field(0, ge=0, le=1_000, description="Texts of the model's evaluation data.")
    max_failure_rate: Share | None = Field(None, description="Share of the cases; None: see `allowed`.")
    max_cases: int = Field(MAX_CASES, ge=1, le=1_000)
    gate: bool | None = Field(None, description="Whether failing it refuses a version; None: as the suite says.")

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if sum((bool(self.texts), bool(self.templates), self.sample > 0)) != 1:
            raise ValueError("say where its texts come from: one of texts, templates and sample")
        return self

    @property
    def allowed(self) -> float:
        """Largest share of failed cases with which it passes."""
        return MADE_FAILURES if self.max_failure_rate is None else self.max_failure_rate


class MinimumFunctionality(_Test):
    """Texts whose label nobody doubts."""

    kind: Literal["minimum-functionality"]
    expect: Word | None = Field(None, description="The label to be answered; or ...")
    expect_not: Word | None = Field(None, description="... the label not to be answered.")

    @model_validator(mode="after")
    def _expects_one_thing(self) -> Self:
        if (self.expect is None) == (self.expect_not is None):
            raise ValueError("say one of expect and expect_not")
        if self.sample:
            raise ValueError("texts of a sample have no one label; use texts or templates")
        return self

    @property
    def allowed(self) -> float:
        """None where texts are listed one by one."""
        made = MADE_FAILURES if self.templates else 0.0
        return made if self.max_failure_rate is None else self.max_failure_rate


class Invariance(_Test):
    """Changes that must not change the answer."""

    kind: Literal["invariance"]
    change: tuple[Word, ...] = Field(min_length=1, max_length=20, description="Built-in changes, lists or slots.")
    tolerance: Share | None = Field(None, description="Most that the answered class's probability may move.")


class Move(Part):
    """How a class's probability has to move, or must not."""

    label: Word
    must: Literal["rise", "fall", "not rise", "not fall"]
    by: Share = Field(0.0, description="At least, for rise and fall; more than, for not rise and not fall.")


class Direction(_Test):
    """An addition that moves a class's probability one way, or must not."""

    kind: Literal["direction"]
    add: tuple[Text, ...] = Field(min_length=1, max_length=200)
    where: Literal["end", "start"] = "end"
    expect: Move


Test = Annotated[MinimumFunctionality | Invariance | Direction, Field(discriminator="kind")]


class Example(Part):
    """One text that somebody saw answered wrongly, and its right label."""

    text: Text
    label: Word
    note: Annotated[str, Field(max_length=2_000)] = ""


class Suite(Part):
    """A file of tests.

    Attributes:
        name: given by the reader where the file has none.
        include: built-in suites whose gated tests gate for this model, too.
        gate: whether failing one of its tests refuses a version, unless the test says otherwise.
        labels: its own words for labels to the names that models have for them; empty: it uses the model's names.
        needs: words without whose labels no test of it makes sense; every word of `labels` when empty.
        lists: fill-ins for every test's templates.
        examples: last in the file, where new ones are appended.
    """

    name: Word = "suite"
    description: Annotated[str, Field(max_length=2_000)] = ""
    include: tuple[Word, ...] = ()
    gate: bool = True
    labels: dict[Word, tuple[Word, ...]] = {}
    needs: tuple[Word, ...] = ()
    lists: Fillings = {}
    tests: Annotated[tuple[Test, ...], Field(max_length=500)] = ()
    examples: Annotated[tuple[Example, ...], Field(max_length=20_000)] = ()

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        for fault in _faults(self):
            raise ValueError(fault)
        return self

    def gates(self, test: _Test) -> bool:
        """Whether failing a test of it refuses a version."""
        return self.gate if test.gate is None else test.gate


def _faults(suite: Suite) -> Iterator[str]:
    """What no field alone can show, of the first test that has it."""
    seen = {EXAMPLES}
    for test in suite.tests:
        if test.name in seen:
            yield f"test {test.name!r}: another test has that name, or it is `examples`, which is taken"
        seen.add(test.name)
        fillings = {**suite.lists, **test.slots}
        for slot in {slot for template in test.templates for slot in slots_of(template)} - fillings.keys():
            yield f"test {test.name!r}: templates use {{{slot}}}, and neither slots nor lists has it"
        for change in test.change if isinstance(test, Invariance) else ():
            if change not in CHANGES and change not in fillings:
                known = ", ".join([*CHANGES, *fillings])
                yield f"test {test.name!r}: change {change!r} is neither built in nor a list; there is: {known}"
    unknown = [word for word in suite.needs if word not in suite.labels]
    if unknown:
        yield f"needs {unknown[0]!r}, which labels does not have"


_SUITE = TypeAdapter(Suite)


def read_suite(content: bytes, source: str, name: str = "suite") -> Suite:
    """A suite from the bytes of a file.

    Args:
        content: YAML in UTF-8.
        source: what errors call it.
        name: of the suite where the file gives none.

    Raises:
        UsageError: too large, not YAML, or not a suite; names file, test, field and value.
    """
    document = read_yaml(content, source)
    if document in ("", None):
        document = {}
    if not isinstance(document, dict):
        raise UsageError(f"{source}: a suite is a mapping with `tests` or `examples`, not a {type(document).__name__}")
    try:
        given = {
            key: value for key, value in document.items() if value != ""
        }  # `tests:` with all of them commented out
        return _SUITE.validate_python({"name": name, **given})
    except ValidationError as error:
        raise UsageError(f"{source}: {_first_fault(error, document)}") from None


def load_suite(file: Path, name: str = "suite") -> Suite:
    """Read a file; `name` where it gives none. Raises what `read_suite` does, and UsageError where there is no file."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    return read_suite(content, str(file), name)


def _first_fault(error: ValidationError, document: Mapping[str, Any]) -> str:
    """The first fault as `test 'NAME': field: what, got VALUE`."""
    fault: Any = error.errors(include_url=False)[0]
    loc, where = list(fault["loc"]), ""
    if len(loc) > 1 and loc[0] in ("tests", "examples"):
        entry = document[loc[0]][loc[1]]
        name = entry.get("name", f"number {loc[1] + 1}") if isinstance(entry, dict) else f"number {loc[1] + 1}"
        where, loc = f"{loc[0].removesuffix('s')} {name!r}: ", loc[2:]
        loc = [step for step in loc if step not in Kind.__args__]  # type: ignore[attr-defined]
    field = ".".join(str(step) for step in loc)
    got = "" if isinstance(fault["input"], dict | list) else f", got {str(fault['input'])!r:.80}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}{field + ': ' if field else ''}{message}{got}"
