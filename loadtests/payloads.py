"""What callers send: seeded endless streams of payloads, one per scenario, made of the model's own samples.

Before: `target` (sample texts of the model). After: `locustfile` sends them. The same seed gives the same texts
in the same order on every machine. Lengths are counted in words, a lower bound of tokens: every tokenizer that
bundles hold gives at least one token a word.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice

Payload = tuple[str, ...]

# For a model that shows no samples. Ours, written for this file.
BUILT_IN_TEXTS = (
    "Operating profit rose to EUR 5.2 mn from EUR 3.1 mn a year earlier",
    "The company issued its second profit warning this quarter",
    "The annual general meeting will be held in Helsinki on Thursday",
    "Sales fell by 12 % as demand weakened in every market",
    "The order is worth about USD 40 mn and deliveries begin in spring",
    "The board proposes an unchanged dividend",
    "Costs grew faster than sales, and margins narrowed",
    "Net loss shrank, though less than analysts had hoped",
)

SMALLEST_BATCH, LARGEST_BATCH = 8, 32
# The skew of `mixed`: half of the texts short, a tenth long, the rest between. At 1.5 tokens a word, which
# English word pieces seldom pass, 12 words stay under 20 tokens; 301 words are over 300 tokens anyhow.
SHORT_WORDS, LONG_WORDS = (3, 12), (301, 400)
MIDDLE_WORDS = (20, 200)


def single(texts: Sequence[str], chance: random.Random) -> Iterator[Payload]:
    """An application that sends each text the moment it has it."""
    while True:
        yield (chance.choice(texts),)


def batches(texts: Sequence[str], chance: random.Random) -> Iterator[Payload]:
    """A job that works through a table, 8 to 32 texts at a time."""
    while True:
        yield tuple(chance.choices(texts, k=chance.randint(SMALLEST_BATCH, LARGEST_BATCH)))


def mixed(texts: Sequence[str], chance: random.Random) -> Iterator[Payload]:
    """Headlines, paragraphs and now and then a whole page, one at a time."""
    while True:
        yield (_stretch(texts, _skewed_words(chance), chance),)


SCENARIOS: dict[str, Callable[[Sequence[str], random.Random], Iterator[Payload]]] = {
    "single": single,
    "batches": batches,
    "mixed": mixed,
}


def tell(scenario: str, texts: Sequence[str], seed: int, caller: int = 0) -> Iterator[Payload]:
    """The payloads of one caller, without end; each caller of a run gets a stream of its own.

    Args:
        scenario: a key of `SCENARIOS`.
        texts: sample texts; blank ones are left out, and built-in texts stand in where none is left.
        seed: seed of the run.
        caller: number of the caller within the run.
    """
    usable = [text for text in texts if text.strip()] or list(BUILT_IN_TEXTS)
    return SCENARIOS[scenario](usable, random.Random(f"{seed}/{caller}"))


def _skewed_words(chance: random.Random) -> int:
    """Length of one text in words: 50 % short, 40 % between (log-uniform), 10 % long."""
    draw = chance.random()
    if draw < 0.5:
        return chance.randint(*SHORT_WORDS)
    if draw < 0.9:
        low, high = MIDDLE_WORDS
        return round(math.exp(chance.uniform(math.log(low), math.log(high))))
    return chance.randint(*LONG_WORDS)


def _stretch(texts: Sequence[str], words: int, chance: random.Random) -> str:
    """Samples one after the other, from a random one on, cut at `words` words."""
    start = chance.randrange(len(texts))
    stream = (word for text in islice(cycle(texts), start, None) for word in text.split())
    return " ".join(islice(stream, words))
