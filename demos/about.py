"""What a model does and what it does not do, for people who use it: the model card without its operator's side.

Pure. Says what the card (`serving.card`) knows of labels, threshold, length, accuracy and failed behavioural tests, and
leaves out run, source, hardware and paths: a demo's visitor may be anybody. Before: `demos.app` reads the bundle;
after: `demos.page`.
Source: Mitchell et al. 2019, "Model Cards for Model Reporting": intended use, out-of-scope use, caveats.
"""

from collections.abc import Iterator, Sequence

from demos.markup import escaped, percent, round_percent
from tidegate.behaviour_report import read_report
from tidegate.bundle import Bundle, Evidence, Manifest, TokenizerPreprocessing
from tidegate.errors import BundleCorrupt

MOST_LABELS = 12
MOST_WEAKNESSES = 5
WORDS_PER_TOKEN = 0.75  # of English, a rule of thumb of subword vocabularies; other languages have fewer


def weaknesses(bundle: Bundle) -> list[str]:
    """Names of the behavioural tests that the version fails although it may serve; none where nothing is known."""
    try:
        report = read_report(bundle)
    except BundleCorrupt:
        return []  # a page is no place to say so: `tidegate bundles verify` is
    return report.failed(gated=False) if report else []


def about(manifest: Manifest, failed_tests: Sequence[str]) -> str:
    """Two lists, side by side where there is room."""
    return (
        '<div class="tg-about">'
        f"<div><h2>What it does</h2><ul>{_items(_does(manifest))}</ul></div>"
        f"<div><h2>What it does not do</h2><ul>{_items(_does_not(manifest, failed_tests))}</ul></div></div>"
    )


def _does(manifest: Manifest) -> Iterator[str]:
    post = manifest.postprocessing
    if manifest.embedding is not None:
        yield f"Turns a text into {manifest.embedding.dimensions} numbers; texts that mean alike get alike numbers."
        return
    labels = ", ".join(map(escaped, manifest.labels[:MOST_LABELS]))
    more = len(manifest.labels) - MOST_LABELS
    yield f"Gives a text one of {len(manifest.labels)} labels: {labels}{f' and {more} more' if more > 0 else ''}."
    if post.threshold is not None:
        instead = f"answers {escaped(post.fallback_label)}" if post.fallback_label else "marks the answer as unsure"
        yield f"Abstains where its best label stays below {round_percent(post.threshold)}: it {instead}."
    evidence = _evidence(manifest)
    if evidence is not None and evidence.rows:
        yield f"Was checked on {evidence.rows:,} texts that it had not learned from."


def _does_not(manifest: Manifest, failed_tests: Sequence[str]) -> Iterator[str]:
    if manifest.embedding is None:
        yield "It knows no other labels: a text that fits none of them gets one all the same, often with confidence."
        evidence = _evidence(manifest)
        wrong = f": of those texts it got {percent(1 - evidence.accuracy)} wrong" if evidence and evidence.rows else ""
        yield f"Its percentages say how sure it is, not that it is right{wrong}."
    preprocessing = manifest.preprocessing
    if isinstance(preprocessing, TokenizerPreprocessing):
        words = round(preprocessing.max_tokens * WORDS_PER_TOKEN)
        yield f"It reads the first {preprocessing.max_tokens} tokens, about {words} English words, and nothing after."
    else:
        yield "It counts words, short runs of words or letters, and reads no order beyond them."
    yield "It remembers no earlier text and checks no facts."
    for name in failed_tests[:MOST_WEAKNESSES]:
        yield f"It fails a test of its behaviour: {escaped(name)}."


def _evidence(manifest: Manifest) -> Evidence | None:
    return next((entry for entry in manifest.evidence if entry.variant == manifest.chosen), None)


def _items(lines: Iterator[str]) -> str:
    return "".join(f"<li>{line}</li>" for line in lines)
