"""Forms of the dashboard: choices that go into the address (`method="get"`), so that every view is a link.

They need no script. Values from outside are escaped here. Before: a view; after: `content.Markup` on its page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from demos.dashboard.content import Markup

Choices = dict[str, str]  # value to the words that it is shown as


@dataclass(frozen=True, slots=True)
class Select:
    """One of several values; the chosen one may be none of them, and is then offered too."""

    name: str
    label: str
    choices: Mapping[str, str]
    chosen: str


@dataclass(frozen=True, slots=True)
class Word:
    """Words to type; `known` are suggested."""

    name: str
    label: str
    value: str
    known: Sequence[str] = ()


Field = Select | Word


def form(
    fields: Sequence[Field], button: str, *, kept: Sequence[tuple[str, str]] = (), to: str = "", name: str = ""
) -> Markup:
    """A form.

    Args:
        fields: what it asks for.
        button: the word on it.
        kept: what else of the query goes with it.
        to: where it leads, beside this page's address; empty for this page.
        name: its id, by which `content.Choice` belongs to `choices`.
    """
    hidden = "".join(f'<input type="hidden" name="{escape(key)}" value="{escape(value)}">' for key, value in kept)
    action = f' action="{escape(to)}"' if to else ""
    named = f' id="{escape(name)}"' if name else ""
    inner = "".join(_field(field) for field in fields)
    return Markup(
        f'<form class="ask" method="get"{action}{named}>{hidden}{inner}<button>{escape(button)}</button></form>'
    )


def _field(field: Field) -> str:
    name = escape(field.name)
    if isinstance(field, Word):
        known = "".join(f'<option value="{escape(word)}"></option>' for word in field.known)
        list_id = f"{name}-known" if known else ""
        listed = f' list="{list_id}"' if known else ""
        choices = f'<datalist id="{list_id}">{known}</datalist>' if known else ""
        inner = f'<input type="search" name="{name}" value="{escape(field.value)}"{listed}>{choices}'
    else:
        shown = dict(field.choices) if field.chosen in field.choices else {**field.choices, field.chosen: field.chosen}
        options = "".join(
            f'<option value="{escape(value)}"{" selected" if value == field.chosen else ""}>{escape(word)}</option>'
            for value, word in shown.items()
        )
        inner = f'<select name="{name}">{options}</select>'
    return f"<label><span>{escape(field.label)}</span>{inner}</label>"
