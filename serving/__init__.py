"""Serving: the FastAPI gateway, its batcher, and the models it holds."""

import tidegate  # noqa: F401  (switches telemetry off before any dependency is imported)
