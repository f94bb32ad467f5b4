"""Which model runs on which device: pure functions over a described machine, so all of it is tested without a GPU.

Before: `tidegate.gpus.discover` describes the machine, `parse_devices` what was asked for. After: the engine opens one
session a device behind one queue, capped at `arena_bytes`, and warms up `buckets`, largest first.
Rules: models that name a GPU first, then the biggest; a GPU is never promised more than its free memory less a reserve;
what does not fit runs on the CPU, loudly. The order of the wishes changes nothing.
Limits: greedy, so a packing that only a search would find is not found; footprints are believed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from tidegate.errors import UsageError
from tidegate.gpus import CUDA, Gpu

MIB = 1 << 20
# Share of a GPU's free memory that stays free: fragmentation, and other processes that grow. A choice, not measured.
RESERVE_SHARE = 0.1
# What one process takes on a GPU besides its sessions (CUDA context, cuBLAS): a guess on the safe side, not measured.
CONTEXT_BYTES = 512 * MIB
# Weights once as loaded and once as onnxruntime folded and laid them out; activations of 4,096 tokens of a large BERT
# (24 layers share buffers; the scores of one layer, 8 x 16 x 512 x 512 floats, are 128 MiB). Not measured.
WEIGHTS_FACTOR = 2
WORKSPACE_BYTES = 512 * MIB

_DEVICE = re.compile(r"auto|cpu|cuda|cuda:(0|[1-9][0-9]{0,2})")


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to place on.

    Attributes:
        cores: cores that inference may use.
        gpus: as they stood before the first session opened.
        providers: onnxruntime's providers, best first.
        reason: why `gpus` is empty, when it is.
    """

    cores: int
    gpus: Sequence[Gpu]
    providers: Sequence[str]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What one model asks for.

    Attributes:
        model: its name; names differ within one call.
        requested: auto, cpu, cuda (any GPU) or cuda:N.
        footprint_bytes: GPU memory of one session, measured on this hardware or by `estimate_footprint`.
        has_gpu_variant: whether a variant of it is worth running on a GPU.
    """

    model: str
    requested: str
    footprint_bytes: int
    has_gpu_variant: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one model runs.

    Attributes:
        devices: one session each, behind one queue; `("cpu",)` or GPUs.
        reason: why there, in numbers.
        loud: it could have used a GPU here and does not: a warning, not a note.
        arena_bytes: most memory of one session on a GPU; 0 on the CPU.
    """

    model: str
    devices: tuple[str, ...]
    reason: str
    loud: bool
    arena_bytes: int


@dataclass(frozen=True, slots=True)
class Requested:
    """A parsed `--device`: a default, and what some models ask for instead."""

    default: str = "auto"
    models: Mapping[str, str] = field(default_factory=dict)

    def of(self, model: str) -> str:
        """What a model asks for."""
        return self.models.get(model, self.default)

    def check(self, known: Iterable[str]) -> None:
        """Refuse names of models that are not there: a typing mistake would place nothing, and say nothing.

        Raises:
            UsageError: such a name.
        """
        names = sorted(known)
        for model in self.models:
            if model not in names:
                there = ", ".join(names) or "none"
                raise UsageError(f"--device names model {model!r}; the models here are: {there}")


def parse_devices(value: str) -> Requested:
    """Read `--device`: `auto`, `cpu`, `cuda`, `cuda:0`, or per model `headlines=cuda:1,topics=cpu,auto`.

    Raises:
        UsageError: not a device, a model named twice, or two defaults.
    """
    models: dict[str, str] = {}
    defaults: list[str] = []
    for part in value.split(","):
        model, named, device = (text.strip() for text in part.rpartition("="))
        if not _DEVICE.fullmatch(device):
            raise UsageError(f"--device {value!r}: {device!r} is no device; use auto, cpu, cuda or cuda:N")
        if not named:
            defaults.append(device)
        elif not model or "=" in model or model in models:
            raise UsageError(f"--device {value!r}: {part.strip()!r}; name each model once, as MODEL=DEVICE")
        else:
            models[model] = device
    if len(defaults) > 1:
        raise UsageError(f"--device {value!r}: {' and '.join(defaults)} are both for every model; keep one")
    return Requested(defaults[0] if defaults else "auto", models)


def estimate_footprint(file_bytes: int) -> int:
    """GPU memory that a session is taken to need until it was measured, from the size of its file."""
    return file_bytes * WEIGHTS_FACTOR + WORKSPACE_BYTES


def place(
    machine: Machine,
    wishes: Sequence[Wish],
    *,
    reserve_share: float = RESERVE_SHARE,
    workers: int = 1,
    held: Sequence[Placement] = (),
) -> list[Placement]:
    """Place every model; first each on one device, then on every other GPU that still has room.

    Args:
        machine: read before the first session opened, also when models are added later.
        wishes: what to place, in any order.
        reserve_share: share of each GPU's free memory that stays free, 0 to 1; at least `CONTEXT_BYTES` a worker do.
        workers: processes that each open every session.
        held: placements that already run and keep what they were promised.

    Returns:
        One placement a wish, in the order of the wishes.

    Raises:
        UsageError: a model names a GPU that is not there, cannot be used, or has no room.
    """
    room = _room(machine, reserve_share, workers)
    for placement in held:
        for device in placement.devices:
            if device in room:
                room[device] -= placement.arena_bytes * workers
    ordered = sorted(wishes, key=_precedence)
    placed = {wish.model: _first(wish, machine, room, workers) for wish in ordered}
    for wish in ordered:
        placed[wish.model] = _spread(wish, placed[wish.model], room, workers)
    return [placed[wish.model] for wish in wishes]


def buckets(max_rows: int, max_length: int, max_tokens: int, length_multiple: int = 32) -> list[tuple[int, int]]:
    """Shapes to warm up, (rows, length) within a token budget, most tokens first.

    Rows are powers of two, lengths multiples of `length_multiple`; neither goes past its limit, which is a shape too.

    Largest first, so that the arena is cut once, for the largest; smaller ones then fit into what is there.

    Args:
        max_rows: most rows of a batch, 1 or more.
        max_length: most tokens of a text, 1 or more.
        max_tokens: most padded tokens of a batch; a single text may be longer.
        length_multiple: what lengths are rounded up to.
    """
    rows = [*(1 << power for power in range((max_rows - 1).bit_length())), max_rows]
    lengths = [*range(length_multiple, max_length, length_multiple), max_length]
    fit = [(r, length) for r in rows for length in lengths if r == 1 or r * length <= max_tokens]
    return sorted(fit, key=lambda shape: (-shape[0] * shape[1], -shape[1]))


def _room(machine: Machine, reserve_share: float, workers: int) -> dict[str, int]:
    """Bytes that may be promised on each GPU; none are usable when onnxruntime has no CUDA."""
    if CUDA not in machine.providers:
        return {}
    return {
        gpu.device: max(0, gpu.free_bytes - max(ceil(gpu.free_bytes * reserve_share), CONTEXT_BYTES * workers))
        for gpu in machine.gpus
    }


def _precedence(wish: Wish) -> tuple[bool, bool, int, str]:
    """By name before any GPU before auto, so that nobody's choice takes the room of somebody's demand; then by size."""
    return ":" not in wish.requested, wish.requested == "auto", -wish.footprint_bytes, wish.model


def _first(wish: Wish, machine: Machine, room: dict[str, int], workers: int) -> Placement:
    """One device for a model; takes its bytes out of `room`."""
    if wish.requested == "cpu":
        return Placement(wish.model, ("cpu",), "asked for", loud=False, arena_bytes=0)
    obstacle, loud = _obstacle(wish, machine)
    if not obstacle:
        device = wish.requested if ":" in wish.requested else max(room, key=lambda name: room[name])
        if device not in room:
            raise UsageError(_refusal(wish, f"there is only {_described(machine)}"))
        need, left = wish.footprint_bytes * workers, room[device]
        if need <= left:
            room[device] -= need
            reason = f"needs {_mib(need)} of the {_mib(left)} left on {device}"
            return Placement(wish.model, (device,), reason, loud=False, arena_bytes=wish.footprint_bytes)
        obstacle, loud = f"it needs {_mib(need)}, and {device} has {_mib(left)} left beside its reserve", True
    if wish.requested != "auto":
        raise UsageError(_refusal(wish, obstacle))
    return Placement(wish.model, ("cpu",), obstacle, loud=loud, arena_bytes=0)


def _spread(wish: Wish, placement: Placement, room: dict[str, int], workers: int) -> Placement:
    """Add a session on every other GPU with room, unless one GPU was named."""
    if wish.requested not in ("auto", "cuda") or placement.devices == ("cpu",):
        return placement
    need = wish.footprint_bytes * workers
    more = [device for device in room if device not in placement.devices and need <= room[device]]
    for device in more:
        room[device] -= need
    reason = f"{placement.reason}, and on {', '.join(more)} as well" if more else placement.reason
    return replace(placement, devices=(*placement.devices, *more), reason=reason)


def _obstacle(wish: Wish, machine: Machine) -> tuple[str, bool]:
    """Why no GPU can be used at all, and whether that is loud; empty when one can."""
    if not wish.has_gpu_variant:
        return "it has no variant for a GPU", False
    if CUDA not in machine.providers:
        offered = f"onnxruntime offers no GPU provider, only {', '.join(machine.providers)}"
        if machine.gpus:
            return f"{offered}, and there is {_described(machine)}; install onnxruntime-gpu in its place", True
        return offered, False
    if not machine.gpus:
        return f"onnxruntime offers CUDA, and no GPU can be read: {machine.reason or 'none found'}", True
    return "", False


def _refusal(wish: Wish, obstacle: str) -> str:
    return f"device {wish.requested!r} for model {wish.model}: {obstacle}; ask for another device, or for auto"


def _described(machine: Machine) -> str:
    return ", ".join(f"{gpu.device} ({gpu.name}, {_mib(gpu.free_bytes)} free)" for gpu in machine.gpus)


def _mib(count: int) -> str:
    return f"{count / MIB:,.1f} MiB"
