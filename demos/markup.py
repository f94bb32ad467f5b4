"""What a demo shows, as HTML: pure functions from a manifest or a reply to text; every value is escaped.

Before: `demos.client` answers; after: `demos.page` puts it into Markdown components, whose sanitizer keeps
classes and inline widths and drops scripts. `gr.HTML` is not used: it evaluates its template as JavaScript,
which the page's policy forbids. Blocks hold no blank line, where Markdown would end them. Styles: `page.css`.
"""

from collections.abc import Sequence
from html import escape

from demos.client import Reply
from tidegate.bundle import Manifest

MOST_BARS = 8


def header(manifest: Manifest) -> str:
    """Name, purpose, and what is known about how often it is right."""
    labels = f"{len(manifest.labels)} labels: {', '.join(map(escaped, manifest.labels[:12]))}"
    task, facts = ("Text classification", [labels, *_evidence(manifest)]) if manifest.labels else ("Text embedding", [])
    items = "".join(f"<li>{fact}</li>" for fact in facts)
    badge = '<span class="tg-badge">synthetic data</span>' if is_synthetic(manifest) else ""
    return (
        f'<div class="tg-header"><p class="tg-kicker">{task}{badge}</p><h1>{escaped(title(manifest))}</h1>'
        f'<p class="tg-lead">{escaped(purpose(manifest))}</p><ul class="tg-facts">{items}</ul></div>'
    )


def title(manifest: Manifest) -> str:
    """The model's name as people write it: `headline-sentiment` becomes `Headline sentiment`."""
    words = manifest.name.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def purpose(manifest: Manifest) -> str:
    """The bundle's description, or what follows from its task and labels."""
    if manifest.embedding is not None:
        return manifest.description or "Tells how alike texts are."
    return manifest.description or f"Reads one text and answers with one of {len(manifest.labels)} labels."


def is_synthetic(manifest: Manifest) -> bool:
    """Whether the manifest says that the model learned from made-up data."""
    return "synthetic" in f"{manifest.description} {manifest.lineage.dataset_name}".lower()


def threshold_note(manifest: Manifest) -> str:
    """What the threshold does, in words; empty where there is none."""
    post = manifest.postprocessing
    if post.threshold is None:
        return ""
    instead = f"says <em>{escaped(post.fallback_label)}</em> instead" if post.fallback_label else "marks it as unsure"
    return (
        f'<div class="tg-note">Below {round_percent(post.threshold)} for its best label this model abstains: '
        f"it {instead}. The line across the bars marks that threshold.</div>"
    )


def unshown(manifest: Manifest) -> str:
    """That the run brought a page of its own, in small print below the one that is shown instead; empty without one."""
    if manifest.demo is None:
        return ""
    return (
        " The run behind this model brought a page of its own, which is code, so this server does not show it; "
        f"whoever runs the server can, with <code>--trust-demo {manifest.name}</code>."
    )


def waiting() -> str:
    """The place of the answer before there is one."""
    return '<div class="tg-empty"><p>The answer appears here.</p></div>'


def problem(message: str) -> str:
    """The place of the answer when there is none to give."""
    return f'<div class="tg-problem" role="alert"><p><strong>No answer.</strong> {escaped(message)}</p></div>'


def notice(message: str, *, good: bool) -> str:
    """What became of a report."""
    kind = "tg-thanks" if good else "tg-problem"
    return f'<div class="{kind}" role="status"><p>{escaped(message)}</p></div>'


def reported(message: str) -> str:
    """A report that was taken; the form that it came from is hidden beside it."""
    return f'<div class="tg-thanks tg-reported" role="status"><p>{escaped(message)}</p></div>'


def result(reply: Reply, manifest: Manifest, *, may_test: bool = False) -> str:
    """The answer, a bar for each label, and the small print; who may is shown how to make a test of it."""
    answer = reply.answer
    said, share = ("Abstained", "") if answer.abstained else ("Answer", f" <span>{percent(answer.score)}</span>")
    return (
        f'<div class="tg-result{" tg-may-test" if may_test else ""}"><p class="tg-kicker">{said}</p>'
        f'<p class="tg-answer">{escaped(answer.label)}{share}</p>'
        f"{_why_abstained(reply, manifest)}{_bars(reply, manifest)}{_small_print(reply)}</div>"
    )


def _why_abstained(reply: Reply, manifest: Manifest) -> str:
    threshold = manifest.postprocessing.threshold
    if not reply.answer.abstained or threshold is None:
        return ""
    best = manifest.labels[reply.answer.scores.index(reply.answer.score)]
    return (
        f'<p class="tg-why">Its best guess, <em>{escaped(best)}</em>, reaches {percent(reply.answer.score)}. '
        f"It takes {round_percent(threshold)} for this model to commit itself.</p>"
    )


def _bars(reply: Reply, manifest: Manifest) -> str:
    pairs = sorted(zip(manifest.labels, reply.answer.scores, strict=True), key=lambda pair: -pair[1])
    rows = "".join(
        _bar(label, score, manifest.postprocessing.threshold, best=rank == 0)
        for rank, (label, score) in enumerate(pairs[:MOST_BARS])
    )
    hidden = len(pairs) - MOST_BARS
    more = f'<p class="tg-more">{hidden} less likely labels are not shown.</p>' if hidden > 0 else ""
    return f'<ul class="tg-bars">{rows}</ul>{more}'


def _bar(label: str, score: float, threshold: float | None, *, best: bool) -> str:
    tick = f'<i style="left:{threshold:.1%}"></i>' if threshold is not None else ""
    return (
        f'<li class="{"tg-best" if best else ""}"><span class="tg-name">{escaped(label)}</span>'
        f'<span class="tg-share">{percent(score)}</span>'
        f'<span class="tg-track"><b style="width:{score:.2%}"></b>{tick}</span></li>'
    )


def _small_print(reply: Reply) -> str:
    parts = (f"{milliseconds(reply.seconds)}&thinsp;ms", f"version {reply.version}", escaped(reply.variant))
    return f'<p class="tg-small">{" &middot; ".join(parts)}</p>'


def _evidence(manifest: Manifest) -> Sequence[str]:
    """The chosen variant's accuracy, as it was measured before publishing."""
    for entry in manifest.evidence:
        if entry.variant == manifest.chosen:
            low, high = entry.accuracy_interval
            text = f"Right on {percent(entry.accuracy)} of {entry.rows:,} evaluation texts"
            return [f"{text} (95&thinsp;% interval {low * 100:.0f}&ndash;{high * 100:.0f})"]
    return []


def percent(share: float) -> str:
    """A share in [0, 1] with one decimal, never rounded up to certainty or down to impossibility."""
    shown = f"{share * 100:.1f}"
    if shown == "100.0" and share < 1:
        shown = "&gt;99.9"
    elif shown == "0.0" and share > 0:
        shown = "&lt;0.1"
    return f"{shown}&thinsp;%"


def round_percent(share: float) -> str:
    """A share that someone set, without digits that say nothing: 60 %, 62.5 %."""
    return f"{round(share * 100, 1):g}&thinsp;%"


def milliseconds(seconds: float) -> str:
    """Seconds in milliseconds, with a decimal where it says something."""
    return f"{seconds * 1e3:.0f}" if seconds >= 0.01 else f"{seconds * 1e3:.1f}"


def escaped(value: str | None) -> str:
    """Escaped, on one line: a blank line inside would let Markdown read what follows."""
    return escape(" ".join((value or "").split()))
