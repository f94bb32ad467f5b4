"""Load tests: stories that callers live through, told to a running server by Locust.

`target` looks at the server first, `locust_child` runs `locustfile` (the only module that imports Locust) in a
child process, `tally` counts what comes back, `search` finds the highest arrival rate that keeps an objective,
`report` and `page` write it down. Works over HTTP only and imports nothing of serving.
"""

import tidegate  # noqa: F401  (switches telemetry off before any dependency is imported)
