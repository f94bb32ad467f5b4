"""The model card: what a person should know of a served model, as Markdown, from its manifest alone."""

from tidegate.bundle import Evidence, Manifest


def model_card(manifest: Manifest) -> str:
    """Markdown of a bundle's card."""
    post, lineage = manifest.postprocessing, manifest.lineage
    lines = [
        f"# {manifest.name}, version {manifest.version}",
        "",
        manifest.description or "No description was given.",
        "",
        f"- Task: {manifest.task}; labels: {', '.join(manifest.labels)}",
        f"- Served variant: {manifest.chosen}; published {manifest.created_at:%Y-%m-%d %H:%M} UTC",
        f"- From: `{lineage.source_uri}`" + (f", run `{lineage.run_id}`" if lineage.run_id else ""),
    ]
    if lineage.dataset_digest:
        lines.append(f"- Data: {lineage.dataset_name or 'unnamed'}, digest `{lineage.dataset_digest}`")
    if post.threshold is not None:
        fallback = f", and answers `{post.fallback_label}`" if post.fallback_label else ""
        lines.append(f"- Abstains when its top probability is below {post.threshold:.3f}{fallback}")
    return "\n".join([*lines, "", "## What was measured", "", *_table(manifest.evidence)]) + "\n"


def _table(evidence: tuple[Evidence, ...]) -> list[str]:
    head = "| variant | accepted | accuracy | macro-F1 | agrees with source | p50 ms | texts/s | MB |"
    rows = [
        f"| {e.variant} | {'yes' if e.accepted else 'no: ' + e.refusal} | {e.accuracy:.3f} | {e.macro_f1:.3f} "
        f"| {e.agreement:.1%} | {e.latency_p50_seconds * 1e3:.1f} | {e.throughput_texts_per_second:.0f} "
        f"| {e.size_bytes / 1e6:.1f} |"
        for e in evidence
    ]
    where = sorted({e.hardware for e in evidence})
    return [head, "|" + "---|" * 8, *rows, "", f"On {'; '.join(where)}, {evidence[0].rows if evidence else 0} rows."]
