"""The plan of a machine that never tuned follows the variant's own policy, within the cores it may use."""

from pathlib import Path

import pytest

from tests import bundles
from tidegate.bundle import Variant
from tidegate.bundle_store import BundleStore
from tidegate.devices import CPU, OPENVINO, Device, cores
from tidegate.errors import BundleNotFound
from tidegate.plan import Plan, exported, gpu_variants

HERE = Device("cpu", CPU, "tests")
GPU = Device("cuda:1", "CUDAExecutionProvider", "tests")
ALONE = Variant(name="int8", file="int8.onnx", precision="int8", max_batch_size=1, one_thread_runs=True)


def test_one_run_takes_every_core_unless_the_variant_wants_one_thread_runs(tmp_path: Path) -> None:
    manifest = bundles.wordpieces(BundleStore(tmp_path)).manifest
    manifest = manifest.model_copy(update={"variants": (*manifest.variants, ALONE)})

    wide = exported(manifest, HERE)
    assert (wide.variant, wide.runs, wide.threads, wide.max_batch_rows) == ("fp32", 1, cores(), 64)
    many = exported(manifest, HERE, variant="int8", threads=4)
    assert (many.runs, many.threads, many.max_batch_rows) == (4, 1, 1)
    assert exported(manifest, HERE, threads=1).threads == 1
    with pytest.raises(BundleNotFound):
        exported(manifest, HERE, variant="none")


def test_a_gpu_takes_one_run_and_rounds_lengths(tmp_path: Path) -> None:
    plan = exported(bundles.wordpieces(BundleStore(tmp_path)).manifest, GPU)

    assert (plan.runs, plan.device, plan.length_multiple) == (1, "cuda:1", 8)
    assert (plan.where.name, plan.where.provider) == (GPU.name, GPU.provider)


def test_a_gpu_takes_no_int8_though_it_was_chosen_and_no_tf_idf(tmp_path: Path) -> None:
    manifest = bundles.wordpieces(BundleStore(tmp_path), fault="lies").manifest
    half = Variant(name="fp16", file="half.onnx", precision="fp16")

    assert exported(manifest, HERE).variant == "int8"
    assert exported(manifest, GPU).variant == "fp32"
    assert exported(manifest, GPU, variant="int8").variant == "int8"  # whoever names one gets it
    both = manifest.model_copy(update={"variants": (*manifest.variants, half)})
    assert [variant.name for variant in gpu_variants(both)] == ["fp16", "fp32"]
    assert gpu_variants(bundles.sentiment(BundleStore(tmp_path)).manifest) == ()


def test_a_plan_reads_as_one_line() -> None:
    several = Plan(variant="fp16", device="cuda:0", replicas=("cuda:1",), provider=GPU.provider, runs=2)
    assert str(several) == "fp16 on CUDA (cuda:0, cuda:1), 2 x 1 thread, up to 2048 tokens a run"
    assert str(Plan(variant="fp32", provider=OPENVINO, runs=2, max_batch_tokens=512)) == (
        "fp32 on OpenVINO, 2 x 1 thread, up to 512 tokens a run"
    )
    assert str(Plan(variant="int8", threads=2, max_batch_rows=1)) == "int8 on CPU, 1 x 2 threads, one text a run"
