"""Monitoring: sums and profiles of live predictions, drift and accuracy, alerts, relabel queue."""

import tidegate  # noqa: F401  (switches telemetry off before any dependency is imported)
