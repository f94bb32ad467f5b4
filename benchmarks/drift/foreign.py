"""Texts that no model here was made for: sentences in German, Spanish and French, and a flood of advertising.

Made up by small grammars, so that nobody's text is shipped; the same seed gives the same texts. Read by `shifts`.
"""

from collections.abc import Sequence
from random import Random

# Subject, verb, object, time: any choice of one each is a sentence.
_GERMAN = (
    ("Das Unternehmen", "Die Gesellschaft", "Der Vorstand", "Unser Kunde", "Die Regisseurin", "Der Händler"),
    ("verkauft", "übernimmt", "prüft", "kündigt", "finanziert", "erwähnt"),
    ("die neue Fabrik in Köln", "drei ältere Anlagen", "einen größeren Auftrag", "das Geschäft mit Büromöbeln",
     "die Lieferung für Österreich", "keine weiteren Stellen"),
    ("im nächsten Jahr", "wegen höherer Kosten", "trotz der schwachen Nachfrage", "nach Angaben der Behörde",
     "bis Ende März", "für 4,5 Millionen Euro"),
)  # fmt: skip
_SPANISH = (
    ("La empresa", "El consejo", "Nuestra compañía", "El director", "La actriz principal", "Un cliente"),
    ("anuncia", "vende", "compra", "rechaza", "espera", "recuerda"),
    ("una fábrica en Málaga", "la división de teléfonos", "un contrato de cinco años", "los resultados del año",
     "ninguna reducción de plantilla", "la película más cara"),
    ("en el próximo trimestre", "por el aumento de los costes", "según la prensa", "a pesar de la caída",
     "antes de mañana", "por 4,5 millones de euros"),
)  # fmt: skip
_FRENCH = (
    ("La société", "Le conseil", "Notre entreprise", "Le réalisateur", "Un client fidèle", "La banque"),
    ("annonce", "vend", "rachète", "refuse", "prévoit", "rappelle"),
    ("une usine près de Liège", "la moitié de ses magasins", "un contrat à long terme", "les résultats de l'année",
     "aucune suppression d'emploi", "le dernier film de la série"),
    ("au prochain trimestre", "malgré la baisse des ventes", "d'après le ministère", "à cause des coûts élevés",
     "avant l'été", "pour 4,5 millions d'euros"),
)  # fmt: skip
_PROMISES = ("a free phone", "a gift card", "a cash prize", "cheap watches", "a free trip")
_LINKS = ("win-now.example", "best-deal.example", "prize4u.example")


def sentences(rows: int, rng: Random) -> list[str]:
    """Different sentences, a third in each language."""
    made: dict[str, None] = {}
    while len(made) < rows:
        language = (_GERMAN, _SPANISH, _FRENCH)[len(made) % 3]
        made.setdefault(f"{' '.join(rng.choice(part) for part in language)}.")
    return list(made)


def advertising(rows: int, rng: Random) -> list[str]:
    """One message over and over, in which little but a number changes."""
    return [_advertise(rng) for _ in range(rows)]


def _advertise(rng: Random) -> str:
    promise: Sequence[str] = rng.choice(_PROMISES)
    return (
        f"CONGRATULATIONS! You have won {promise}. Click http://{rng.choice(_LINKS)}/{rng.randrange(10**6):06d} "
        "and claim it within 24 hours!!!"
    )
