"""Short financial headlines with sentiment, made up by a grammar: SYNTHETIC data, no text is anyone's.

For demos, quickstarts and tests where no data set is at hand. The label follows from how a headline is built,
and about half of them are built so that single words mislead: costs that fall, losses that narrow, negations,
two clauses of which the main one decides, and figures that must be compared. A bag of words stays well below
a model that reads. Same rows and seed, same headlines; no headline occurs twice.

    python examples/headlines.py --rows 3000 --seed 0 --out headlines.csv
"""

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

Row = tuple[str, str]
LABELS = ("negative", "neutral", "positive")

_HEADS = (
    "Aal", "Bor", "Cal", "Dor", "Ekl", "Fin", "Gar", "Hol", "Ilm", "Jun", "Kar", "Lum", "Mer", "Nor", "Oul", "Pel",
    "Ran", "Sal", "Tam", "Ulv", "Var", "Wes", "Yl", "Zen",
)  # fmt: skip
_TAILS = (
    "tec", "aro", "mark", "ista", "enta", "ova", "lux", "dor", "ina", "pek", "sonic", "vik", "era", "nio", "tron",
    "mare", "stad", "ium",
)  # fmt: skip
_FORMS = ("", "", "", " Oyj", " AB", " plc", " Group", " Holding", " Bank", " Energy", " Foods", " Logistics")
_PLACES = (
    "Finland", "Poland", "Sweden", "Estonia", "Germany", "Russia", "Spain", "Brazil", "India", "Norway", "Italy",
    "Canada",
)  # fmt: skip
_CITIES = (
    "Helsinki", "Tallinn", "Gdansk", "Malmo", "Lyon", "Porto", "Riga", "Turku", "Bergen", "Leipzig", "Bilbao",
    "Pune",
)  # fmt: skip
_PERIODS = ("in the first quarter", "in the third quarter", "in 2025", "in the first half", "year on year", "in May")
_UNITS = ("paper", "retail", "cloud", "mobile", "shipping", "steel", "crane", "software", "dairy", "fibre")
_PEOPLE = ("chief executive", "chairwoman", "finance chief", "head of sales", "board member")

# More of these is good news; less of those is.
_GAINS = (
    "net profit", "operating profit", "pretax profit", "net sales", "revenue", "order intake", "cash flow",
    "turnover", "market share", "operating margin", "earnings per share", "the order backlog",
)  # fmt: skip
_PAINS = (
    "net loss", "operating loss", "pretax loss", "operating costs", "net debt", "customer churn", "scrap",
    "the vacancy rate", "interest expense", "the warranty bill", "unplanned downtime", "credit risk",
)  # fmt: skip
_UP = ("rose", "grew", "climbed", "increased", "went up", "edged up", "surged")
_DOWN = ("fell", "declined", "shrank", "decreased", "went down", "slipped", "dropped")
_UP_BARE = ("rise", "grow", "climb", "increase")
_DOWN_BARE = ("fall", "decline", "shrink", "decrease")

# Whole predicates, for variety; they need no figure.
_GOOD = (
    "raised its full-year outlook", "won a five-year contract in {place}", "beat every forecast",
    "doubled its dividend", "landed its largest order so far", "got its rating upgraded", "is hiring 200 people",
)  # fmt: skip
_BAD = (
    "cut its full-year outlook", "lost a five-year contract in {place}", "missed every forecast",
    "halved its dividend", "saw its largest order cancelled", "got its rating downgraded", "is laying off 200 people",
)  # fmt: skip
_PLAIN = (
    "will publish its interim report on {day}", "moved its head office to {city}", "named a new {person}",
    "holds its annual meeting in {city}", "changed its trading symbol", "owns a {unit} plant in {place}",
    "reports its {unit} unit as a separate segment", "described its {unit} products at a fair in {city}",
    "employs {count} people in {place}", "kept its outlook unchanged", "issued {count},000 shares to its staff fund",
    "has been listed in {city} since {year}",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


def generate(rows: int, seed: int) -> list[Row]:
    """Make headlines.

    Args:
        rows: how many, 1 or more; labels come out at about 33 % negative, 34 % neutral, 33 % positive.
        seed: the same seed gives the same headlines.

    Returns:
        (text, label) pairs without duplicates, label one of `LABELS`.
    """
    rng = Random(seed)
    made: dict[str, str] = {}
    while len(made) < rows:
        label = rng.choices(LABELS, weights=(33, 34, 33))[0]
        text = _dress(rng.choice(_NEUTRAL if label == "neutral" else _OPINION)(rng, label == "positive"), rng)
        made.setdefault(text, label)
    return list(made.items())


def _company(rng: Random) -> str:
    return rng.choice(_HEADS) + rng.choice(_TAILS) + rng.choice(_FORMS)


def _fill(template: str, rng: Random) -> str:
    return template.format(
        place=rng.choice(_PLACES),
        city=rng.choice(_CITIES),
        day=rng.choice(_DAYS),
        unit=rng.choice(_UNITS),
        person=rng.choice(_PEOPLE),
        count=rng.randrange(20, 900),
        year=rng.randrange(1950, 2020),
    )


def _currency(rng: Random) -> str:
    return rng.choice(("EUR", "EUR", "USD"))


def _size(rng: Random) -> str:
    share = rng.uniform(1, 60)
    return rng.choice((f" by {share:.0f} %", f" {share:.1f} %", f" by {share:.1f} pct", ""))


def _where(rng: Random) -> str:
    place, unit = rng.choice(_PLACES), rng.choice(_UNITS)
    return rng.choice((f" in {place}", f" at the {unit} unit", f" of the {unit} business in {place}", ""))


def _measure(rng: Random, good: bool) -> tuple[str, bool]:
    """A measure, and whether it must go up for the news to be `good`."""
    is_gain = rng.random() < 0.7
    return rng.choice(_GAINS if is_gain else _PAINS), good == is_gain


def _clause(rng: Random, good: bool) -> str:
    """`revenue in Poland fell 12 %`: the measure and the direction decide together."""
    if rng.random() < 0.25:
        return "it " + _fill(rng.choice(_GOOD if good else _BAD), rng)
    measure, up = _measure(rng, good)
    return f"{measure}{_where(rng)} {rng.choice(_UP if up else _DOWN)}{_size(rng)}"


def _direction(rng: Random, good: bool) -> str:
    measure, up = _measure(rng, good)
    verb = rng.choice(_UP if up else _DOWN)
    return f"{_company(rng)}'s {measure}{_where(rng)} {verb}{_size(rng)} {rng.choice(_PERIODS)}"


def _predicate(rng: Random, good: bool) -> str:
    return f"{_company(rng)} {_fill(rng.choice(_GOOD if good else _BAD), rng)}"


def _compared(rng: Random, good: bool) -> str:
    """Only the figures tell: `pretax profit was EUR 4.2 mn, compared with EUR 6.0 mn a year earlier`."""
    measure, up = _measure(rng, good)
    before = rng.uniform(2, 90)
    after = before * (rng.uniform(1.2, 4) if up else rng.uniform(0.1, 0.8))
    state = rng.choice(("was", "came to", "amounted to", "totalled", "stood at"))
    versus = rng.choice(("compared with", "against", "versus", "from"))
    currency = _currency(rng)
    now, then = f"{currency} {after:.1f} mn {rng.choice(_PERIODS)}", f"{currency} {before:.1f} mn a year earlier"
    return f"{_company(rng)}'s {measure} {state} {now}, {versus} {then}"


def _negated(rng: Random, good: bool) -> str:
    """The negation turns the news round: `no longer expects net debt to grow`."""
    measure, up = _measure(rng, not good)
    bare = rng.choice(_UP_BARE if up else _DOWN_BARE)
    form = rng.choice(
        (
            "{company} no longer expects {measure}{where} to {bare}",
            "{company}: {measure}{where} did not {bare} after all {period}",
            "{company} says {measure}{where} will not {bare} as feared" if good else
            "{company} says {measure}{where} will not {bare} as hoped",
            "{company} withdrew its forecast that {measure}{where} would {bare}",
        )
    )  # fmt: skip
    return form.format(
        company=_company(rng), measure=measure, where=_where(rng), bare=bare, period=rng.choice(_PERIODS)
    )


def _mixed(rng: Random, good: bool) -> str:
    """Two clauses of opposite sign; the main one decides, wherever it stands."""
    main, other, company = _clause(rng, good), _clause(rng, not good), _company(rng)
    form = rng.choice(
        (
            "{company}: although {other}, {main}",
            "{company}: {main}, even though {other}",
            "{company}: {other}, but more importantly {main}",
            "{company}: {main}, which outweighs that {other}",
            "{company}: while {other} {period}, {main}",
        )
    )
    return form.format(company=company, main=main, other=other, period=rng.choice(_PERIODS))


def _plain(rng: Random, _good: bool) -> str:
    return f"{_company(rng)} {_fill(rng.choice(_PLAIN), rng)}"


def _unchanged(rng: Random, _good: bool) -> str:
    """Words of good or bad news, and nothing changed."""
    measure, money = rng.choice(_GAINS + _PAINS), f"{_currency(rng)} {rng.uniform(2, 90):.1f} mn"
    form = rng.choice(
        (
            "{company}'s {measure}{where} was {money} {period}, the same as a year earlier",
            "{company}'s {measure}{where} neither {up} nor {down} {period}",
            "{company} will say on {day} whether {measure}{where} {up} or {down} {period}",
            "{company} denied a report that {measure}{where} {down} {period}",
            "Analysts asked {company} why {measure} is booked{where} {period}",
            "{company}: how {measure}{where} is measured, explained by its {person}",
        )
    )
    return form.format(
        company=_company(rng),
        measure=measure,
        where=_where(rng),
        money=money,
        up=rng.choice(_UP),
        down=rng.choice(_DOWN),
        day=rng.choice(_DAYS),
        person=rng.choice(_PEOPLE),
        period=rng.choice(_PERIODS),
    )


_OPINION: tuple[Callable[[Random, bool], str], ...] = (
    _direction,
    _direction,
    _direction,
    _predicate,
    _predicate,
    _compared,
    _negated,
    _mixed,
)
_NEUTRAL: tuple[Callable[[Random, bool], str], ...] = (_plain, _plain, _unchanged)


def _dress(text: str, rng: Random) -> str:
    """Typographic habits of different sources."""
    style = rng.random()
    if style < 0.1:
        return f"{text} ."
    if style < 0.2:
        return f"{rng.choice(_CITIES).upper()}: {text}"
    return text


def main() -> None:
    """Write a CSV with the columns text and label, to a file or to stdout."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="CSV file to write [default: stdout]")
    arguments = parser.parse_args()
    if arguments.rows < 1:
        parser.error(f"--rows {arguments.rows}: ask for at least one")
    rows = [("text", "label"), *generate(arguments.rows, arguments.seed)]
    if arguments.out is None:
        csv.writer(sys.stdout).writerows(rows)
        return
    with arguments.out.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
