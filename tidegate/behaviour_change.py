"""Changes to a text that must not change its answer, and templates: the material of `behaviour_cases`.

Each change is a pure function of a text and a source of randomness; where it finds nothing to change it returns the
text as it is, and the case is left out. Limits: English contractions, and short lists of names that exchange one for
another of their kind; a suite's own lists do the same for its own words.
Source: the perturbations of CheckList (Ribeiro et al. 2020).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random

Change = Callable[[str, Random], str]

_SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[^\W\d_]{4,}")
_END = re.compile(r"[.!?…\s]+$")

_CONTRACTIONS = {
    "is not": "isn't", "are not": "aren't", "was not": "wasn't", "were not": "weren't", "do not": "don't",
    "does not": "doesn't", "did not": "didn't", "cannot": "can't", "could not": "couldn't", "will not": "won't",
    "would not": "wouldn't", "has not": "hasn't", "have not": "haven't", "it is": "it's", "i am": "i'm",
    "we are": "we're", "they are": "they're",
}  # fmt: skip
_NAMES = (
    "Anna", "Ben", "Carlos", "Fatima", "Grace", "Hiroshi", "Ivan", "Kofi", "Lena", "Mary", "Mei", "Miguel", "Olga",
    "Omar", "Priya", "Sven",
)  # fmt: skip
_PLACES = (
    "Berlin", "Boston", "Cairo", "Chicago", "Dublin", "Finland", "France", "Germany", "Helsinki", "India", "Japan",
    "Kenya", "London", "Madrid", "Norway", "Oslo", "Paris", "Poland", "Rome", "Russia", "Spain", "Stockholm", "Sweden",
    "Tokyo", "Vienna",
)  # fmt: skip
_COMPANIES = (
    "Bosch", "Elisa", "Ericsson", "Fiskars", "Fortum", "Kesko", "Kone", "Metso", "Neste", "Nokia", "Orion", "Philips",
    "Ramirent", "Rautaruukki", "Ruukki", "Siemens", "Stora Enso", "Tieto", "UPM", "Vaisala", "Volvo", "Wartsila",
)  # fmt: skip
_ASIDES = (
    "This was sent from my phone.",
    "The page has the number 12.",
    "It was a Tuesday.",
    "The text above has been translated.",
)


def typos(text: str, rng: Random) -> str:
    """Two neighbouring letters of one word of four or more swapped, its first letter left."""
    places = [
        place
        for word in _WORD.finditer(text)
        for place in range(word.start() + 1, word.end() - 1)
        if text[place] != text[place + 1]
    ]
    if not places:
        return text
    place = rng.choice(places)
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def case(text: str, rng: Random) -> str:
    """All capitals, or none."""
    return rng.choice([written for written in (text.upper(), text.lower()) if written != text] or [text])


def punctuation(text: str, rng: Random) -> str:
    """What stands at the end, full stop or nothing, replaced by nothing or a full stop."""
    bare = _END.sub("", text)
    if not bare:
        return text
    return rng.choice([written for written in (bare, f"{bare}.", f"{bare} .") if written != text])


def contractions(text: str, rng: Random) -> str:
    """One of "is not" and the like contracted, or one of "isn't" and the like written out."""
    pairs = [*_CONTRACTIONS.items(), *((short, long) for long, short in _CONTRACTIONS.items())]
    found = [(match, new) for old, new in pairs for match in re.finditer(rf"\b{re.escape(old)}\b", text, re.IGNORECASE)]
    if not found:
        return text
    match, new = rng.choice(found)
    written = new.capitalize() if match[0][0].isupper() else new
    return text[: match.start()] + written + text[match.end() :]


def numbers(text: str, rng: Random) -> str:
    """Every digit another one, lengths and leading digits other than zero kept; it may make a rise a fall."""

    def other(match: re.Match[str]) -> str:
        return "".join(rng.choice("123456789") if digit != "0" else digit for digit in match[0])

    return re.sub(r"[0-9]+", other, text)


def aside(text: str, rng: Random) -> str:
    """A sentence at the end that says nothing."""
    return f"{text} {rng.choice(_ASIDES)}"


def url(text: str, rng: Random) -> str:
    """An address at the end."""
    return f"{text} https://example.org/{rng.randrange(16**6):06x}"


def space(text: str, rng: Random) -> str:
    """One space doubled, or one in front."""
    places = [0, *(place for place, char in enumerate(text) if char == " ")]
    place = rng.choice(places)
    return f"{text[:place]} {text[place:]}"


def exchange(values: Sequence[str]) -> Change:
    """A change that exchanges one of some values, where it stands as a word, for another of them."""
    longest_first = sorted(values, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")

    def change(text: str, rng: Random) -> str:
        found = list(pattern.finditer(text))
        others = [value for value in values if found and value != found[0][0]]
        if not others:
            return text
        new, old = rng.choice(others), found[0][0]
        return pattern.sub(lambda match: new if match[0] == old else match[0], text)

    return change


CHANGES: Mapping[str, Change] = {
    "typos": typos,
    "case": case,
    "punctuation": punctuation,
    "contractions": contractions,
    "numbers": numbers,
    "aside": aside,
    "url": url,
    "space": space,
    "names": exchange(_NAMES),
    "places": exchange(_PLACES),
    "companies": exchange(_COMPANIES),
}


def slots_of(template: str) -> list[str]:
    """Names of the slots of a template, each once, in their order."""
    return list(dict.fromkeys(_SLOT.findall(template)))


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its slots filled; a slot that stands twice gets the same value twice."""
    return _SLOT.sub(lambda match: values[match[1]], template)
