"""Load tests: Locust scenarios, open-loop arrivals, and the search for the rate that keeps an objective."""

import tidegate  # noqa: F401  (switches telemetry off before any dependency is imported)
