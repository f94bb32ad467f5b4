"""Placement on described machines: memory is never promised twice, and whatever falls back says so."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import UsageError
from tidegate.gpus import Gpu
from tidegate.placement import (
    CONTEXT_BYTES,
    MIB,
    WORKSPACE_BYTES,
    Machine,
    Placement,
    Requested,
    Wish,
    buckets,
    estimate_footprint,
    parse_devices,
    place,
)

CUDA_AND_CPU = ("CUDAExecutionProvider", "CPUExecutionProvider")
CPU_ONLY = ("CPUExecutionProvider",)
GIB = 1 << 30


def machine(*free_gib: float, providers: Sequence[str] = CUDA_AND_CPU, reason: str = "") -> Machine:
    """A machine of 4 cores and 24 GiB GPUs with this much free."""
    gpus = [
        Gpu(index, "NVIDIA L4", 24 * GIB, 24 * GIB - int(free * GIB), 0.0, (8, 9))
        for index, free in enumerate(free_gib)
    ]
    return Machine(4, gpus, providers, reason)


def wish(model: str = "headlines", requested: str = "auto", gib: float = 1.0, *, gpu: bool = True) -> Wish:
    return Wish(model, requested, int(gib * GIB), gpu)


def devices(placements: Sequence[Placement]) -> dict[str, tuple[str, ...]]:
    return {placement.model: placement.devices for placement in placements}


def test_a_model_that_fits_runs_on_the_gpu_capped_at_its_footprint() -> None:
    (placement,) = place(machine(10), [wish(gib=2)])

    assert placement == Placement(
        "headlines", ("cuda:0",), "needs 2,048.0 MiB of the 9,216.0 MiB left on cuda:0", loud=False, arena_bytes=2 * GIB
    )


def test_several_gpus_with_room_get_one_session_each() -> None:
    (placement,) = place(machine(4, 10, 6), [wish(gib=2)])

    assert placement.devices == ("cuda:1", "cuda:0", "cuda:2")
    assert "on cuda:0, cuda:2 as well" in placement.reason


def test_every_model_has_a_place_before_any_has_two() -> None:
    assert devices(place(machine(4, 4), [wish("large", gib=3), wish("small", gib=2)])) == {
        "large": ("cuda:0",),
        "small": ("cuda:1",),
    }


def test_the_biggest_goes_first_and_what_does_not_fit_falls_back_loudly_with_numbers() -> None:
    placements = place(machine(6), [wish("small", gib=3), wish("large", gib=4)])
    small = placements[0]

    assert devices(placements) == {"small": ("cpu",), "large": ("cuda:0",)}
    assert small.loud
    assert small.reason == "it needs 3,072.0 MiB, and cuda:0 has 1,433.6 MiB left beside its reserve"


def test_second_sessions_share_what_is_left_biggest_first() -> None:
    assert devices(place(machine(8, 8), [wish("a", gib=4), wish("b", gib=3), wish("c", gib=1)])) == {
        "a": ("cuda:0",),
        "b": ("cuda:1", "cuda:0"),
        "c": ("cuda:1",),
    }
    assert devices(place(machine(8, 4), [wish("a", gib=3), wish("b", gib=2)])) == {
        "a": ("cuda:0", "cuda:1"),
        "b": ("cuda:0",),
    }


def test_a_model_that_names_a_gpu_goes_before_a_bigger_one_that_does_not() -> None:
    placements = place(machine(6), [wish("large", gib=5), wish("named", "cuda:0", gib=2)])

    assert devices(placements) == {"large": ("cpu",), "named": ("cuda:0",)}


def test_a_model_that_names_a_gpu_runs_on_that_one_alone() -> None:
    assert devices(place(machine(10, 10), [wish(requested="cuda:1")])) == {"headlines": ("cuda:1",)}


def test_any_gpu_means_every_gpu_with_room_but_never_the_cpu() -> None:
    assert devices(place(machine(3, 10), [wish(requested="cuda")])) == {"headlines": ("cuda:1", "cuda:0")}
    with pytest.raises(UsageError, match=r"'cuda' for model headlines: it needs 9,216\.0 MiB, and cuda:1 has 2,560"):
        place(machine(1, 3), [wish(requested="cuda", gib=9)])


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"'cuda:2' for model headlines: there is only cuda:0 \(NVIDIA L4, .*auto"):
        place(machine(10, 10), [wish(requested="cuda:2")])


def test_a_named_gpu_without_room_is_refused_with_numbers() -> None:
    with pytest.raises(UsageError, match=r"needs 5,120\.0 MiB, and cuda:0 has 3,584\.0 MiB left"):
        place(machine(4, 20), [wish(requested="cuda:0", gib=5)])


@pytest.mark.parametrize(
    ("where", "gpu_variant", "loud", "reason"),
    [
        (machine(providers=CPU_ONLY), True, False, "offers no GPU provider, only CPUExecutionProvider"),
        (machine(10, providers=CPU_ONLY), True, True, "cuda:0 (NVIDIA L4, 10,240.0 MiB free); install onnxruntime-gpu"),
        (machine(reason="nvidia-ml-py is not installed"), True, True, "no GPU can be read: nvidia-ml-py is not inst"),
        (machine(10), False, False, "no variant for a GPU"),
    ],
)
def test_without_a_usable_gpu_auto_is_the_cpu_and_a_name_is_refused(
    where: Machine, gpu_variant: bool, loud: bool, reason: str
) -> None:
    (placement,) = place(where, [wish(gpu=gpu_variant)])

    assert (placement.devices, placement.loud, placement.arena_bytes) == (("cpu",), loud, 0)
    assert reason in placement.reason
    with pytest.raises(UsageError, match="'cuda:0' for model headlines"):
        place(where, [wish(requested="cuda:0", gpu=gpu_variant)])


def test_the_cpu_asked_for_by_name_is_no_fallback() -> None:
    assert place(machine(10), [wish(requested="cpu")]) == [Placement("headlines", ("cpu",), "asked for", False, 0)]


def test_each_worker_opens_its_own_session_and_context() -> None:
    assert devices(place(machine(4), [wish(gib=1.5)], workers=2)) == {"headlines": ("cuda:0",)}
    assert devices(place(machine(4), [wish(gib=1.5)], workers=3)) == {"headlines": ("cpu",)}


def test_a_model_added_later_gets_what_those_that_run_were_not_promised() -> None:
    running = place(machine(6), [wish("running", gib=4)])

    assert devices(place(machine(6), [wish("added", gib=1)], held=running)) == {"added": ("cuda:0",)}
    assert devices(place(machine(6), [wish("added", gib=2)], held=running)) == {"added": ("cpu",)}
    running = place(machine(10), [wish("running", gib=4)], workers=2)
    assert devices(place(machine(10), [wish("added", gib=1)], workers=2, held=running)) == {"added": ("cpu",)}


def test_a_footprint_is_guessed_from_the_file_until_it_is_measured() -> None:
    assert estimate_footprint(90 * MIB) == 180 * MIB + WORKSPACE_BYTES


MACHINES = st.builds(
    lambda free, cuda: machine(*free, providers=CUDA_AND_CPU if cuda else CPU_ONLY),
    st.lists(st.floats(0, 24), max_size=4),
    st.booleans(),
)
WISHES = st.lists(
    st.builds(
        Wish,
        model=st.sampled_from("abcdefgh"),
        requested=st.sampled_from(["auto", "cpu"]),
        footprint_bytes=st.integers(1, 12 * GIB),
        has_gpu_variant=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda wish: wish.model,
)
# Few GPUs, many models that all want them: where a mistake in the sums shows.
CROWDED_MACHINES = st.lists(st.integers(4, 16), min_size=2, max_size=3).map(lambda free: machine(*free))
CROWDED_WISHES = st.lists(st.integers(1, 16), min_size=2, max_size=6).map(
    lambda quarters: [wish(f"model-{number}", gib=gib / 4) for number, gib in enumerate(quarters)]
)
SHARES = st.floats(0, 0.9)


@given(
    where=MACHINES | CROWDED_MACHINES,
    first=WISHES | CROWDED_WISHES,
    second=WISHES | CROWDED_WISHES,
    share=SHARES,
    workers=st.integers(1, 3),
)
def test_no_gpu_is_promised_more_than_is_free_less_the_reserve(
    where: Machine, first: list[Wish], second: list[Wish], share: float, workers: int
) -> None:
    running = place(where, first, reserve_share=share, workers=workers)
    added = place(where, second, reserve_share=share, workers=workers, held=running)

    promised: Counter[str] = Counter()
    for placement in (*running, *added):
        assert len(set(placement.devices)) == len(placement.devices)
        for device in placement.devices:
            promised[device] += placement.arena_bytes * workers
    del promised["cpu"]
    free = {gpu.device: gpu.free_bytes for gpu in where.gpus}
    for device, total in promised.items():
        assert total <= free[device] * (1 - share) + 1
        assert total <= free[device] - CONTEXT_BYTES * workers


@given(where=MACHINES | CROWDED_MACHINES, wishes=WISHES | CROWDED_WISHES, data=st.data())
def test_the_order_of_the_wishes_changes_nothing_but_the_order_of_the_answers(
    where: Machine, wishes: list[Wish], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(wishes))
    placements = place(where, wishes)

    assert [placement.model for placement in placements] == [wish.model for wish in wishes]
    assert sorted(placements, key=str) == sorted(place(where, shuffled), key=str)


@given(where=MACHINES | CROWDED_MACHINES, wishes=WISHES | CROWDED_WISHES)
def test_every_fallback_is_loud_and_nothing_else_is(where: Machine, wishes: list[Wish]) -> None:
    for wish, placement in zip(wishes, place(where, wishes), strict=True):
        wanted = wish.requested == "auto" and wish.has_gpu_variant and bool(where.gpus or "CUDA" in where.providers[0])
        assert placement.loud == (wanted and placement.devices == ("cpu",))
        assert (placement.arena_bytes > 0) == (placement.devices != ("cpu",))
        assert placement.reason


@given(where=MACHINES | CROWDED_MACHINES, wishes=WISHES | CROWDED_WISHES)
def test_nothing_that_would_still_fit_is_left_on_the_cpu(where: Machine, wishes: list[Wish]) -> None:
    placements = place(where, wishes)
    for wish, placement in zip(wishes, placements, strict=True):
        if placement.loud and where.gpus and "CUDA" in where.providers[0]:
            (alone,) = place(where, [wish], held=placements)
            assert alone.devices == ("cpu",)


def bucket_of(rows: int, length: int, *, max_rows: int, max_length: int, length_multiple: int) -> tuple[int, int]:
    """The shape that has room for a batch: rows up to a power of two, length up to a multiple."""
    return min(1 << (rows - 1).bit_length(), max_rows), min(-(-length // length_multiple) * length_multiple, max_length)


def test_buckets_come_largest_first_within_the_token_budget() -> None:
    assert buckets(max_rows=4, max_length=96, max_tokens=130) == [
        (2, 64),
        (4, 32),
        (1, 96),
        (1, 64),
        (2, 32),
        (1, 32),
    ]


@given(st.data(), st.integers(1, 130), st.integers(1, 520), st.integers(1, 8192), st.integers(1, 64))
def test_every_batch_within_the_budget_has_a_bucket_that_holds_it(
    data: st.DataObject, max_rows: int, max_length: int, max_tokens: int, multiple: int
) -> None:
    shapes = buckets(max_rows, max_length, max_tokens, multiple)
    rows, length = data.draw(st.integers(1, max_rows)), data.draw(st.integers(1, max_length))
    shape = bucket_of(rows, length, max_rows=max_rows, max_length=max_length, length_multiple=multiple)

    assert rows <= shape[0] <= max_rows
    assert length <= shape[1] <= max_length
    assert (shape in shapes) == (shape[0] == 1 or shape[0] * shape[1] <= max_tokens)
    assert len(set(shapes)) == len(shapes)
    sizes = [r * tokens for r, tokens in shapes]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("value", "requested"),
    [
        ("auto", Requested("auto")),
        ("cpu", Requested("cpu")),
        ("cuda:0", Requested("cuda:0")),
        ("headlines=cuda:1,topics=cpu,auto", Requested("auto", {"headlines": "cuda:1", "topics": "cpu"})),
        (" headlines = cuda , cpu ", Requested("cpu", {"headlines": "cuda"})),
        ("headlines=cuda:12", Requested("auto", {"headlines": "cuda:12"})),
    ],
)
def test_devices_are_read_with_a_default_and_per_model(value: str, requested: Requested) -> None:
    assert parse_devices(value) == requested


def test_a_model_that_is_not_named_asks_for_the_default() -> None:
    requested = parse_devices("headlines=cuda:1,cpu")

    assert (requested.of("headlines"), requested.of("topics")) == ("cuda:1", "cpu")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", "'' is no device; use auto, cpu, cuda or cuda:N"),
        ("gpu", "'gpu' is no device"),
        ("cuda:01", "'cuda:01' is no device"),
        ("cuda:-1", "'cuda:-1' is no device"),
        ("headlines=", "'' is no device"),
        ("auto,", "'' is no device"),
        ("=cpu", "'=cpu'; name each model once, as MODEL=DEVICE"),
        ("a=b=cpu", "'a=b=cpu'; name each model once"),
        ("a=cpu,a=cuda", "'a=cuda'; name each model once"),
        ("cpu,auto", "cpu and auto are both for every model; keep one"),
    ],
)
def test_a_device_that_cannot_be_meant_is_refused_with_what_can(value: str, fault: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_devices(value)

    assert str(refusal.value).startswith(f"--device {value!r}: ")
    assert fault in str(refusal.value)


def test_a_device_for_a_model_that_is_not_there_is_refused_with_those_that_are() -> None:
    requested = parse_devices("headline=cuda:1")

    with pytest.raises(UsageError, match="'headline'; the models here are: headlines, topics"):
        requested.check(["topics", "headlines"])
    parse_devices("headlines=cuda:1,auto").check(["topics", "headlines"])
