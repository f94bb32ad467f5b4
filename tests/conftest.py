"""What a test process leaves behind at its end: nothing."""

from tests import postgres


def pytest_unconfigure() -> None:
    """Stop the database server that tests of this process shared."""
    postgres.stop()
