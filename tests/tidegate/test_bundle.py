"""A bundle is what was published, byte for byte, or it is refused by name."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import bundles
from tidegate.bundle import MANIFEST, MANIFEST_DIGEST, Bundle, load_bundle
from tidegate.bundle_store import BundleStore
from tidegate.errors import BundleCorrupt, BundleNotFound

FILES = ("model.onnx", "vectorizer.json", "reference.bin", "drift.json", MANIFEST, MANIFEST_DIGEST)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundles.sentiment(BundleStore(tmp_path))


def test_a_published_bundle_loads_with_the_manifest_it_was_given(bundle: Bundle) -> None:
    loaded = load_bundle(bundle.path)

    assert loaded.manifest == bundle.manifest
    assert set(loaded.manifest.files) == {p.name for p in bundle.path.iterdir()} - {MANIFEST, MANIFEST_DIGEST}


@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_in_any_file_is_refused_and_the_file_named(bundle: Bundle, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([f for f in FILES if bundle.file(f).stat().st_size]))
    file = bundle.file(name)
    original = file.read_bytes()
    # The digest file ends in a newline that carries nothing; every other byte counts.
    position = data.draw(st.integers(0, len(original.rstrip(b"\n")) - 1))
    changed = bytearray(original)
    changed[position] ^= data.draw(st.integers(1, 127))
    file.write_bytes(bytes(changed))
    try:
        with pytest.raises(BundleCorrupt) as refusal:
            load_bundle(bundle.path)
        assert name in str(refusal.value)
    finally:
        file.write_bytes(original)


@pytest.mark.parametrize("name", [f for f in FILES if f != MANIFEST])
def test_a_missing_file_is_refused_and_named(bundle: Bundle, name: str) -> None:
    bundle.file(name).unlink()

    with pytest.raises(BundleCorrupt, match=name):
        load_bundle(bundle.path)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match=r"bundle\.json is missing"):
        load_bundle(tmp_path)


def test_a_variant_that_is_not_there_is_refused_with_those_that_are(bundle: Bundle) -> None:
    with pytest.raises(BundleNotFound, match="'int4'; it has: fp32"):
        bundle.manifest.variant("int4")


def test_a_bundle_holds_no_pickle(bundle: Bundle) -> None:
    assert not [
        f for f in bundle.path.iterdir() if f.suffix in {".pkl", ".joblib", ".bin"} and f.name != "reference.bin"
    ]
