"""Monitoring: sums and profiles of live predictions, drift and accuracy against the reference, alerts, relabel queue."""

import tidegate  # noqa: F401  (switches telemetry off before any dependency is imported)
