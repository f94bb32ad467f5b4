"""Exporters: from a registered run to a verified bundle. Runs in the export environment, as a child process."""

import tidegate  # noqa: F401  (switches telemetry off before any dependency is imported)
