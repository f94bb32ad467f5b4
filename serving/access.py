"""Who may do what: one table from routes to roles, used for every request; what it does not name needs an admin.

Before: `serving.auth` knows who asks; after: the route. A rule is a method and a pattern: `{x}` is one step of a path,
`{x...}` the rest of it, `*` any method; GET stands for HEAD too. The first rule that fits decides. A route without a
rule of its own fails `tests/serving/test_access.py`: say there what it needs, as one line here.
"""

import re
from enum import IntEnum

from tidegate.errors import UsageError


class Role(IntEnum):
    """What a key is for; each role includes those before it."""

    ANYONE = 0
    PREDICT = 1
    ANNOTATE = 2
    ADMIN = 3

    @classmethod
    def named(cls, name: str) -> "Role":
        """The role of a key, by its name.

        Raises:
            UsageError: there is none of that name.
        """
        known = {role.name.lower(): role for role in cls if role is not cls.ANYONE}
        if name not in known:
            raise UsageError(f"{name!r} is no role; choose one of: {', '.join(known)}")
        return known[name]


ANYONE, PREDICT, ANNOTATE, ADMIN = Role

RULES: tuple[tuple[str, Role], ...] = (
    # the hot route first
    ("POST /models/{m}/predict", PREDICT),
    # health, told to everybody in one word; and the door itself
    ("GET /healthz", ANYONE),
    ("GET /readyz", ANYONE),
    ("GET /v2/health/live", ANYONE),
    ("GET /v2/health/ready", ANYONE),
    ("GET /login", ANYONE),
    ("POST /login", ANYONE),
    ("POST /logout", ANYONE),
    # models
    ("GET /models", PREDICT),
    ("GET /models/{m}", PREDICT),
    ("GET /models/{m}/card", PREDICT),
    ("GET /models/{m}/drift", PREDICT),
    ("GET /models/{m}/traffic", PREDICT),
    ("POST /models/{m}/feedback", PREDICT),
    ("POST /models/{m}/behaviour", ANNOTATE),
    ("PUT /models/{m}/aliases/{alias}", ADMIN),
    ("DELETE /models/{m}/aliases/{alias}", ADMIN),
    ("POST /models/{m}/rollback", ADMIN),
    # alerts
    ("GET /alerts", PREDICT),
    ("GET /alerts/{id}", PREDICT),
    ("POST /alerts/{id}/ack", ADMIN),
    ("POST /alerts/{id}/resolve", ADMIN),
    # pages and figures
    ("GET /", PREDICT),
    ("GET /docs", PREDICT),
    ("GET /docs/{file}", PREDICT),
    ("GET /openapi.json", PREDICT),
    ("GET /metrics", PREDICT),
    ("* /demo", PREDICT),
    ("* /demo/{rest...}", PREDICT),
    ("GET /drift/{m}", ANNOTATE),  # it shows texts that others sent
    ("GET /dashboard", ANNOTATE),  # so does it
    ("GET /dashboard/{rest...}", ANNOTATE),
    ("POST /dashboard/alerts/{id}", ADMIN),
    ("* /relabel", ANNOTATE),
    ("* /relabel/{rest...}", ANNOTATE),
    # Open Inference Protocol V2
    ("GET /v2", PREDICT),
    ("GET /v2/models/stats", PREDICT),
    ("GET /v2/models/{m}", PREDICT),
    ("GET /v2/models/{m}/{what}", PREDICT),
    ("POST /v2/models/{m}/infer", PREDICT),
    ("GET /v2/models/{m}/versions/{v}", PREDICT),
    ("GET /v2/models/{m}/versions/{v}/{what}", PREDICT),
    ("POST /v2/models/{m}/versions/{v}/infer", PREDICT),
    ("POST /v2/repository/index", PREDICT),
    ("POST /v2/repository/models/{m}/{load-or-unload}", ADMIN),
    # the protocols of others: they only ever predict
    ("* /hf/{rest...}", PREDICT),
    ("* /tei/{rest...}", PREDICT),
    ("* /v1/{rest...}", PREDICT),
    ("GET /ping", PREDICT),
    ("GET /health", PREDICT),
    ("GET /version", PREDICT),
    ("POST /invocations", PREDICT),
    ("POST /models/{m}/invocations", PREDICT),
)


def role_of(method: str, path: str) -> Role:
    """What a request needs: the rule's role, and an admin where there is none.

    Args:
        method: as sent.
        path: decoded, below the root path.
    """
    role = rule_of(method, path)
    return ADMIN if role is None else role


def rule_of(method: str, path: str) -> Role | None:
    """The role of the rule that fits, or None where none does."""
    match = _ALL.fullmatch(f"{method} {path}")
    return None if match is None or match.lastindex is None else RULES[match.lastindex - 1][1]


def _pattern(rule: str) -> str:
    """A rule as a regular expression."""
    method, _, path = rule.partition(" ")
    steps = re.split(r"(\{[^}]*\})", path)
    written = "".join(
        (".*" if step.endswith("...}") else "[^/]+") if step.startswith("{") else re.escape(step) for step in steps
    )
    return {"GET": "(?:GET|HEAD)", "*": "[A-Z]+"}.get(method, method) + " " + written


_ALL = re.compile("|".join(f"({_pattern(rule)})" for rule, _ in RULES), re.DOTALL)
