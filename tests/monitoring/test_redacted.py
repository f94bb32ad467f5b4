"""With `redact` set, nothing that points at a person is written: records, relabel queue, feedback."""

import pytest

from monitoring.report import drift_report
from tests import bundles
from tests.monitoring.conftest import House

TEXTS = [f"Profit rose, says jane.doe{number}@mail.example, call +358 40 123 45{number}" for number in range(10, 40)]
SECRETS = (b"jane.doe", b"mail.example", b"123 45", b"4111 1111")
COMMENT = "it is card 4111 1111 1111 1111 of jane.doe@mail.example"


def stored(house: House) -> bytes:
    """Every byte of the database."""
    return b"".join(file.read_bytes() for file in house.settings.home.glob("state.db*"))


@pytest.mark.parametrize("redact", ["all", ""])
def test_what_is_stored_is_redacted_when_asked_for(house: House, redact: str) -> None:
    house.settings = house.settings.model_copy(update={"redact": redact})
    job = house.job()
    job.start()
    records = bundles.predictions(house.bundle, TEXTS, prefix="p", created_at=house.now)
    job.record(records)
    job.feedback("sentiment", records[0].id, "neutral", COMMENT)
    job.stop()

    found = [secret for secret in SECRETS if secret in stored(house)]
    assert found == ([] if redact else list(SECRETS))
    if redact:
        assert b"says [email], call [phone]" in stored(house)
        assert b"it is card [card] of [email]" in stored(house)


def test_profiles_are_of_the_texts_as_they_came(house: House) -> None:
    shares = []
    for redact in ("", "all"):
        writer = house.writer(redact=redact)
        writer.resume()
        writer.write(bundles.predictions(house.bundle, TEXTS * 2, prefix=f"p{redact}", created_at=house.now))
        features = drift_report(house.database, house.bundles, 30.0, ("sentiment", 1))["features"]
        shares += [feature["window"] for feature in features if feature["name"] == "digit_share"]

    assert shares[1] == pytest.approx(shares[0])
