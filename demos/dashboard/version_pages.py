"""What the views of a version's data, features and drift share: which version it is, and where.

Before: an address; after: `data`, `feature` and `drift`.
"""

from starlette.concurrency import run_in_threadpool

from demos.dashboard.content import Link, Page
from demos.dashboard.models import MODELS
from demos.dashboard.visit import Visit

OLD = "This version was exported before a bundle kept its training and evaluation splits whole; export it again to see"


async def version_of(visit: Visit) -> int:
    """The version that is asked for, or the champion.

    Raises:
        ModelNotFound, BundleNotFound: there is none.
    """
    model = visit.path["model"]
    visit.gateway.repository.state(model)
    return await run_in_threadpool(visit.gateway.bundles.resolve, model, visit.number("version") or "champion")


def crumbs(model: str, *more: Link) -> list[Link]:
    """Where a page of a model is."""
    return [MODELS, Link(model, f"/dashboard/models/{model}"), *more]


def unreadable(what: str, model: str, version: int, error: Exception) -> Page:
    """The page where the bundle says nothing."""
    lead = f"Nothing can be said of version {version}: {error}"
    return Page(f"{model}: {what.lower()}", lead, [], crumbs(model), model=model)
