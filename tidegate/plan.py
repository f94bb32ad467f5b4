"""A plan: how one variant of a bundle runs on one machine. What tuning chooses and an engine follows.

Before: `exported` is what a machine that never tuned does; `exporters.tune` measures better ones and keeps the winner
(`tidegate.tunings`). After: `tidegate.engine.Engine.follow` opens it, `serving.batcher` cuts batches by it. A plan
belongs to the machine it was measured on and is never part of a bundle.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate.bundle import Manifest, TokenizerPreprocessing, Variant
from tidegate.devices import CPU, OPENVINO, Device, cores
from tidegate.gpus import CUDA, TENSORRT

Goal = Literal["latency", "throughput"]

MAX_BATCH_TOKENS = 2_048
# A run of an unmeasured graph costs about what this many more tokens would: MiniLM-L6 in int8 on one core.
RUN_TOKENS = 16.0


class Plan(BaseModel):
    """How a variant runs.

    Two plans that are equal run alike; the measured figures stand beside a plan, in `tidegate.tunings.Trial`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: str = Field(description="Name of the variant in the bundle.")
    device: str = Field("cpu", description="cpu or cuda:N.")
    replicas: tuple[str, ...] = Field((), description="Further devices with a session each; all take from one queue.")
    provider: str = Field(CPU, description="onnxruntime's name of the execution provider.")
    runs: int = Field(1, ge=1, description="Runs at once: streams of the provider, or callers of one session.")
    threads: int = Field(1, ge=1, description="Threads of one run.")
    max_batch_rows: int = Field(64, ge=1, description="Most texts in one run; 1 where answers depend on batch-mates.")
    max_batch_tokens: int = Field(MAX_BATCH_TOKENS, ge=1, description="Most padded tokens in one run.")
    length_multiple: int = Field(1, ge=1, description="Lengths are rounded up to it, so that shapes repeat.")
    run_tokens: float = Field(
        RUN_TOKENS, ge=0, description="Fixed cost of a run, in tokens: less padding than that is cheaper than a run."
    )

    @property
    def where(self) -> Device:
        """The device with its provider."""
        return Device(self.device, self.provider, "as planned")

    def __str__(self) -> str:
        """One line for tables and logs."""
        provider = self.provider.removesuffix("ExecutionProvider")
        if self.replicas:
            provider += f" ({', '.join((self.device, *self.replicas))})"
        batch = "one text a run" if self.max_batch_rows == 1 else f"up to {self.max_batch_tokens} tokens a run"
        return f"{self.variant} on {provider}, {self.runs} x {_count(self.threads, 'thread')}, {batch}"


def exported(manifest: Manifest, device: Device, *, variant: str | None = None, threads: int = 0) -> Plan:
    """The plan of a machine that never tuned: the variant's own policy on every core.

    Args:
        manifest: of the bundle.
        device: where to run.
        variant: when None the chosen one; on a GPU that cannot take it, one that it can.
        threads: cores to use in all; 0 for every core.
    """
    entry = manifest.variant(variant)
    suited = gpu_variants(manifest)
    if variant is None and device.is_gpu and suited and entry not in suited:
        entry = suited[0]
    total = threads or cores()
    runs = total if entry.one_thread_runs and not device.is_gpu else 1
    return Plan(
        variant=entry.name,
        device=device.name,
        provider=device.provider,
        runs=runs,
        threads=max(1, total // runs),
        max_batch_rows=entry.max_batch_size,
        length_multiple=length_multiple(device.provider),
    )


def gpu_variants(manifest: Manifest) -> tuple[Variant, ...]:
    """Variants worth a GPU, half precision first: no int8, which is slow there, and no TF-IDF, which is tiny."""
    if not isinstance(manifest.preprocessing, TokenizerPreprocessing):
        return ()
    suited = (variant for variant in manifest.variants if variant.precision in ("fp16", "fp32"))
    return tuple(sorted(suited, key=lambda variant: variant.precision != "fp16"))


def length_multiple(provider: str) -> int:
    """Shapes repeat where the provider plans anew for each: 8 tokens cost less padding than planning (measured)."""
    return 8 if provider in (OPENVINO, CUDA, TENSORRT) else 1


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
