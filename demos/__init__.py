"""Demos: Gradio pages per model, in a process of the gateway's, and the signed links that share one of them."""

import tidegate  # noqa: F401  (switches telemetry off before any dependency is imported)
