"""What several texts, several versions and programs get, as HTML: pure functions, every value escaped.

Before: `demos.many` and `demos.client` answer; after: `demos.many_section` and `demos.page` put it into Markdown
components, so the rules of `demos.markup` hold: no blank line, no attribute but classes and widths. Styles: `page.css`.
"""

from collections import Counter
from collections.abc import Sequence

from demos.client import Opinion
from demos.many import Outcome, Sheet
from demos.markup import escaped, milliseconds, percent

MOST_SHOWN = 100
MOST_FAULTS = 20
_MOST_CHARS = 160  # of a text in the table; the download has it in full


def progress(done: int, total: int) -> str:
    """How far a list is."""
    share = done / total if total else 1.0
    return (
        f'<div class="tg-progress" role="status"><p>{done:,} of {total:,} texts</p>'
        f'<span class="tg-track"><b style="width:{share:.2%}"></b></span></div>'
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """How often each label was given, the rows that could not be asked, and the answers."""
    answered = [outcome for outcome in outcomes if outcome.reply is not None]
    rows = "".join(map(_row, answered[:MOST_SHOWN]))
    left = len(answered) - MOST_SHOWN
    more = f'<p class="tg-more">{left:,} more rows are in the download.</p>' if left > 0 else ""
    shown = (
        f'<div class="tg-scroll"><table class="tg-table"><thead><tr><th>Row</th><th>Text</th><th>Answer</th>'
        f"<th>Score</th></tr></thead><tbody>{rows}</tbody></table></div>{more}"
    )
    return f'<div class="tg-many">{_counts(outcomes)}{_faults(outcomes)}{shown if answered else ""}</div>'


def chosen_file(sheet: Sheet) -> str:
    """What was found in a file."""
    columns = ", ".join(map(escaped, sheet.columns[:20]))
    return f'<div class="tg-note">{len(sheet.rows):,} rows; columns: {columns}</div>'


def opinions(given: Sequence[Opinion]) -> str:
    """What each version says, side by side."""
    cards = "".join(map(_opinion, given))
    labels = {opinion.answer.label for opinion in given if opinion.answer}
    if len(given) == 1:
        verdict = "Only one version is served now; a canary or a shadow would stand beside it."
    elif any(opinion.answer is None for opinion in given):
        verdict = "Not every version could answer."
    else:
        verdict = "The versions agree." if len(labels) == 1 else "The versions differ."
    return f'<div class="tg-versions"><p class="tg-why">{verdict}</p><div class="tg-side">{cards}</div></div>'


def code(name: str, source: str) -> str:
    """A program to copy; line ends are escaped, since a blank line would end the block."""
    lines = escaped_lines(source)
    return f'<div class="tg-code"><p class="tg-kicker">{escaped(name)}</p><pre>{lines}</pre></div>'


def escaped_lines(source: str) -> str:
    """Escaped with its line ends and spaces kept."""
    return "&#10;".join(_kept(line) for line in source.split("\n"))


def _kept(line: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\r", "&#13;")):
        line = line.replace(character, entity)
    return line


def _counts(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(
        "abstained" if outcome.reply.answer.abstained else outcome.reply.answer.label
        for outcome in outcomes
        if outcome.reply is not None
    )
    said = ", ".join(f"{count:,} {escaped(label)}" for label, count in counts.most_common(12))
    return f'<p class="tg-why">{counts.total():,} answered{": " if said else ""}{said}.</p>'


def _faults(outcomes: Sequence[Outcome]) -> str:
    bad = [outcome for outcome in outcomes if outcome.reply is None]
    if not bad:
        return ""
    items = "".join(
        f"<li>row {outcome.row.number}: {escaped(outcome.row.fault or outcome.fault)}</li>"
        for outcome in bad[:MOST_FAULTS]
    )
    left = len(bad) - MOST_FAULTS
    more = f"<li>and {left:,} more, all named in the download</li>" if left > 0 else ""
    return f'<div class="tg-problem"><p>{len(bad):,} without an answer:</p><ul>{items}{more}</ul></div>'


def _row(outcome: Outcome) -> str:
    reply, text = outcome.reply, outcome.row.text
    if reply is None:
        return ""
    short = text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}…"
    label = escaped(reply.answer.label)
    said = f"<em>{label}</em> (abstained)" if reply.answer.abstained else label
    return (
        f"<tr><td>{outcome.row.number}</td><td>{escaped(short)}</td><td>{said}</td>"
        f"<td>{percent(reply.answer.score)}</td></tr>"
    )


def _opinion(opinion: Opinion) -> str:
    head = f'<p class="tg-kicker">Version {opinion.manifest.version} &middot; {opinion.role}</p>'
    if opinion.answer is None:
        return f'<div class="tg-version">{head}<p class="tg-why">{escaped(opinion.fault)}</p></div>'
    pairs = sorted(zip(opinion.manifest.labels, opinion.answer.scores, strict=True), key=lambda pair: -pair[1])
    items = "".join(
        f'<li class="{"" if rank else "tg-best"}"><span class="tg-name">{escaped(label)}</span>'
        f'<span class="tg-share">{percent(score)}</span>'
        f'<span class="tg-track"><b style="width:{score:.2%}"></b></span></li>'
        for rank, (label, score) in enumerate(pairs[:5])
    )
    abstained = " (abstained)" if opinion.answer.abstained else ""
    small = f"{milliseconds(opinion.seconds)}&thinsp;ms &middot; {escaped(opinion.variant)}"
    return (
        f'<div class="tg-version">{head}<p class="tg-said">{escaped(opinion.answer.label)}{abstained}</p>'
        f'<ul class="tg-bars">{items}</ul><p class="tg-small">{small}</p></div>'
    )
