"""Clients of other projects in this process, which Tidegate's own settings must not hold back."""

import pytest
from huggingface_hub import constants


@pytest.fixture(autouse=True)
def the_hub_client_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tidegate switches the hub's client off where it runs itself (no downloads); here it asks a local server."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
