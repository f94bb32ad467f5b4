"""The view `/dashboard`: every model of the store, whether it answers, by which version, and where.

Before: the repository of this process; after: `page`, and `model_overview` for one of them. Where a model runs is said
of this process.
"""

from starlette.concurrency import run_in_threadpool

from demos.dashboard.content import Cell, Link, Mark, Page, Section, Table
from demos.dashboard.visit import Visit
from serving.following import ModelState

MODELS = Link("Models", "/dashboard")


async def all_models(visit: Visit) -> Page:
    """Every model of the store."""
    states = visit.gateway.repository.states
    alerts = await run_in_threadpool(visit.gateway.monitor.alerts, None, "open")
    open_alerts = {name: sum(alert["model"] == name for alert in alerts) for name in states}
    ready = sum(state.standing == "ready" for state in states.values())
    rows = [_model_row(name, state, open_alerts[name]) for name, state in states.items()]
    columns = ["model", "state", "task", "champion", "canary", "shadow", "variant", "runs on", "open alerts"]
    table = Table("models", "Models", columns, rows, empty="No model yet; `tidegate up RUN` exports and serves one.")
    return Page("Models", f"{ready} of {len(states)} models answer; {_alerts(len(alerts))}.", [Section("", [table])])


def _model_row(name: str, state: ModelState, alerts: int) -> list[Cell]:
    served, aliases = state.served, state.aliases
    return [
        Link(name, f"/dashboard/models/{name}"),
        standing(state),
        served.manifest.task if served else None,
        served.manifest.version if served else aliases.champion,
        f"{aliases.canary} ({aliases.canary_percent:g} %)" if aliases.canary else None,
        aliases.shadow,
        served.engine.variant.name if served else None,
        served.device.name if served else None,
        Link(f"{alerts} open", f"/dashboard/alerts?model={name}") if alerts else Mark("none", "good"),
    ]


def standing(state: ModelState) -> Mark:
    """Whether it answers."""
    moods = {"ready": "good", "failed": "bad", "stuck": "bad"}
    return Mark(state.standing, moods.get(state.standing, ""))


def _alerts(count: int) -> str:
    return f"{count} alert{'' if count == 1 else 's'} open" if count else "no alert is open"
