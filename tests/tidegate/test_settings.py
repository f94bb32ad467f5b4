"""Settings come from flags, then the environment, then defaults; what is unknown or wrong fails at start."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tidegate.errors import UsageError
from tidegate.settings import Settings


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_default() -> None:
    environ = {"TIDEGATE_PORT": "9000", "TIDEGATE_HOME": "/data", "PATH": "/bin"}

    settings = Settings.load(environ, port=9001, host=None)

    assert (settings.port, settings.home, settings.host) == (9001, Path("/data"), "127.0.0.1")


def test_an_unknown_variable_is_refused_by_name_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"TIDEGATE_PROT.*TIDEGATE_PORT"):
        Settings.load({"TIDEGATE_PROT": "1"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PORT", "eighty"), ("PORT", "70000"), ("DEVICE", "gpu"), ("WINDOW_ROWS", "3"), ("DEADLINE_SECONDS", "0")],
)
def test_a_value_that_does_not_fit_is_refused_with_its_name_and_value(variable: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"TIDEGATE_{variable}.*{value}"):
        Settings.load({f"TIDEGATE_{variable}": value})


def test_a_page_is_trusted_by_the_name_of_its_model_or_by_one_version() -> None:
    settings = Settings.load({"TIDEGATE_TRUST_DEMO": "headlines, topics/3"})

    assert settings.trusts_demo("headlines", 7)
    assert settings.trusts_demo("topics", 3)
    assert not settings.trusts_demo("topics", 4)
    assert not Settings.load({}).trusts_demo("headlines", 7)
    with pytest.raises(UsageError, match="NAME/VERSION"):
        Settings.load({"TIDEGATE_TRUST_DEMO": "headlines/champion"})


def test_a_secret_never_shows() -> None:
    settings = Settings.load({"TIDEGATE_API_KEY": "s3cr3t"})

    assert "s3cr3t" not in f"{settings!r} {settings} {settings.model_dump_json()}"
    with pytest.raises(UsageError) as refusal:
        Settings.load({}, api_key=["s3cr3t"])
    assert "s3cr3t" not in str(refusal.value)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.load({}).port = 1  # type: ignore[misc]


def test_the_state_database_is_in_the_home_folder_unless_a_url_says_otherwise(tmp_path: Path) -> None:
    assert Settings.load({}, home=tmp_path).state_url == f"sqlite:///{tmp_path / 'state.db'}"
    assert Settings.load({"TIDEGATE_DATABASE_URL": "postgresql://db"}).state_url == "postgresql://db"


def test_a_device_is_for_every_model_or_for_one_by_name() -> None:
    assert Settings.load({"TIDEGATE_DEVICE": "headlines=cuda:1,topics=cpu,auto"}).device.startswith("headlines")
    with pytest.raises(UsageError, match=r"setting device .*'gpu' is no device; use auto, cpu, cuda or cuda:N"):
        Settings.load({}, device="gpu")
