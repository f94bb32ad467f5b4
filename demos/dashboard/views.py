"""The views of the dashboard: one line each, an address and the function that answers it.

An address without a line here does not exist; every one of them is in the access table (`serving.access`) under
`/dashboard`.
"""

from collections.abc import Awaitable, Callable, Mapping

from demos.dashboard import (
    alerts,
    compare_runs,
    data,
    drift,
    feature,
    health,
    live,
    model_overview,
    models,
    relabel,
    run_details,
    runs,
)
from demos.dashboard.content import Page
from demos.dashboard.visit import Visit

View = Callable[[Visit], Awaitable[Page]]

VIEWS: Mapping[str, View] = {
    "/dashboard": models.all_models,
    "/dashboard/models/{model}": model_overview.one_model,
    "/dashboard/runs": runs.all_runs,
    "/dashboard/runs/{run_id}": run_details.one_run,
    "/dashboard/compare": compare_runs.some_runs,
    "/dashboard/models/{model}/relabel": relabel.one_queue,
    "/dashboard/relabel": relabel.all_queues,
    "/dashboard/live": live.present,
    "/dashboard/models/{model}/data": data.data_health,
    "/dashboard/models/{model}/features/{feature}": feature.feature_health,
    "/dashboard/models/{model}/drift": drift.drift,
    "/dashboard/alerts": alerts.all_alerts,
    "/dashboard/models/{model}/health": health.model_health,
}
