"""The state database for commands that work beside a running server and without one."""

from typing import TYPE_CHECKING

from tidegate.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine


def state_database(settings: Settings) -> "Engine":
    """Open it, in a home folder that is made where it is missing; raises what `store.open_database` does."""
    from tidegate import home, store

    if not settings.database_url:
        home.prepare(settings)
    return store.open_database(settings.state_url)
