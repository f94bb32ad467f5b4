"""Meanings: what each feature says and how it is computed, in words for people.

Beside `features` and `layout`, which compute them; after: the dashboard's page of a feature.
Limits: features of tables of one's own have no words here, and say so.
"""

from dataclasses import dataclass

from monitoring.contracts import MISSING
from monitoring.layout import EMBEDDING, SOFTMAX, TOKENS


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a feature says, and how it comes about."""

    says: str
    computed: str


def meaning_of(feature: str) -> Meaning:
    """The meaning of a feature, by its name."""
    if feature in _MEANINGS:
        return Meaning(*_MEANINGS[feature])
    if feature.endswith(MISSING):
        column = feature.removesuffix(MISSING)
        return Meaning(f"Whether the column {column} has no value.", "1 where the value is missing, else 0.")
    return Meaning(f"The column {feature} of the table that is watched.", "As it is in the table.")


_MEANINGS: dict[str, tuple[str, str]] = {
    "chars": ("How long the texts are.", "Characters of the text as it was sent."),
    "words": ("How many words a text has.", "Runs of characters between white space."),
    "digit_share": ("How much of a text is digits.", "Characters of Unicode category N over all, from 0 to 1."),
    "punctuation_share": (
        "How much of a text is punctuation and symbols.",
        "Characters of Unicode categories P and S over all, from 0 to 1.",
    ),
    "upper_share": ("How much of a text is in upper case.", "Characters of category Lu over all, from 0 to 1."),
    "non_ascii_share": (
        "How much of a text lies beyond ASCII: other scripts, accents, or characters broken on the way.",
        "Characters above code point 127 over all, from 0 to 1.",
    ),
    "repeated_share": (
        "How often a character repeats the one before it, as in keyboard mashing.",
        "Characters equal to their predecessor over all, from 0 to 1.",
    ),
    "truncated": (
        "Whether the text is longer than the model takes, so that its end was not read.",
        "1 where the tokenizer cut the text, else 0.",
    ),
    "empty": ("Whether there is nothing to read.", "1 where the text has no word, else 0."),
    "duplicate": (
        "Whether the same text came before; a window that is mostly repetition is a flood.",
        "1 where the text, but for case and white space, is among the latest 1,000 of its process, else 0. "
        "It raises no drift alarm; a share beyond its bound breaks a contract.",
    ),
    "tokens": ("How long a text is to the model.", "Tokens of the model's own tokenizer, or known terms of TF-IDF."),
    "unknown_rate": (
        "How much of a text the model has no word for.",
        "Unknown tokens or terms over those and the known ones together, from 0 to 1.",
    ),
    "tokens_per_word": (
        "Into how many pieces words fall; rare words and other languages fall into more.",
        "Tokens over words.",
    ),
    "top_probability": ("How sure the model is of its answer.", "The largest probability, from 0 to 1."),
    "margin": (
        "How far ahead the answer is of the second best.",
        "The largest probability less the second largest, from 0 to 1.",
    ),
    "entropy": (
        "How undecided the model is among all classes.",
        "Shannon entropy of the probabilities over its greatest value, from 0 to 1.",
    ),
    "abstained": (
        "Whether the model was too unsure to answer with a class.",
        "1 where the largest probability is below the bundle's threshold, else 0.",
    ),
    "script": ("The script in which most letters of a text are written.", "By Unicode block of each letter."),
    "label": ("The class that the model answered.", "The class with the largest probability, or the fallback label."),
    TOKENS: (
        "Which tokens texts are made of: their topic and wording.",
        "Occurrences of tokens in 256 buckets that a hash of the token's id chooses; a bucket cannot be read back. "
        "The distance is a divergence of the buckets' shares (G-test).",
    ),
    SOFTMAX: (
        "What the model answers, all probabilities together; the first to notice what matters to the model.",
        "The mean probability of each class; the distance is the squared gap in units of its variance.",
    ),
    EMBEDDING: (
        "Where the texts lie in the model's own space: what they are about.",
        "Random Fourier features of the text's vector, summed; the distance is the squared maximum mean discrepancy.",
    ),
}
