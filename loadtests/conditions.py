"""What was done to whom, when and from where: the part of a report that is known before the load begins.

Made by `tidegate.cli.loadtest`, written by `report`, shown by `page`.
"""

from datetime import datetime

from loadtests.measured import Part


class Conditions(Part):
    """One load test, but for its result.

    Attributes:
        date: when it began, with a time zone.
        tidegate_version: of the client.
        machine: `tidegate.devices.hardware()` of the machine that sent the load.
        command: the command line, which holds no key.
        users: callers of a closed loop; null for a search, whose arrivals do not wait.
        seed: of texts and arrivals.
    """

    date: datetime
    tidegate_version: str
    machine: str
    command: str
    url: str
    model: str
    model_version: str
    scenario: str
    users: int | None
    seed: int
