"""The machine: versions, devices with the reason for the choice, and the clock."""

import importlib.metadata
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import tidegate
from tidegate import __version__, devices
from tidegate.cli.doctor.finding import Check, Finding, fault, note, ok
from tidegate.environments import CHECKOUT, requirements
from tidegate.errors import UsageError
from tidegate.gpus import Discovery, discover
from tidegate.placement import parse_devices
from tidegate.settings import Settings

# Named in the report; whatever else is missing or too old is named as a fault.
_SHOWN = ("onnxruntime", "tokenizers", "fastapi", "uvicorn", "gradio", "whylogs", "sqlalchemy", "prometheus-client")
_OPTIONAL = ("nvidia-ml-py", "onnxruntime-ep-openvino", "psycopg", "opentelemetry-sdk", "locust")


def versions(_settings: Settings) -> Iterator[Finding]:
    """Python, Tidegate, and what it needs."""
    yield ok("tidegate", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        yield fault("python", platform.python_version(), "use Python 3.11 or 3.12: make install PYTHON=python3.11")
    yield ok("libraries", ", ".join(f"{name} {_version(name)}" for name in _SHOWN))
    dashboards = CHECKOUT / "monitoring" / "dashboards"  # beside this package, in a checkout and in a wheel
    if dashboards.is_dir():
        yield ok("dashboards", f"grafana.json and alerts.yml in {dashboards}")
    extras = [f"{name} {_version(name)}" for name in _OPTIONAL if _version(name)]
    yield ok("optional libraries", ", ".join(extras) or "none")
    wrong = list(_unmet())
    if wrong:
        yield fault("requirements", "; ".join(wrong), "install again: make install")


def offered_devices(settings: Settings) -> Iterator[Finding]:
    """Which providers there are, what models would run on, and why."""
    providers = devices.available_providers()
    yield ok("providers", ", ".join(providers))
    if devices.openvino_device() is not None:
        yield ok("providers", f"OpenVINO {_version('onnxruntime-ep-openvino')} as a plugin")
    requested, found = parse_devices(settings.device), discover()
    for wanted in dict.fromkeys([requested.default, *requested.models.values()]):
        try:
            device = devices.choose(wanted, providers)
        except UsageError as error:
            yield fault("device", str(error), "or set TIDEGATE_DEVICE to what is there")
        else:
            yield _placed(wanted, device, found)
    yield ok("processor", devices.hardware())
    for gpu in found.gpus:
        yield ok("gpu", f"{gpu.device} {gpu.name}, {gpu.used_bytes / 1e9:.1f} of {gpu.total_bytes / 1e9:.1f} GB taken")
    if not found.gpus and Path("/dev/nvidiactl").exists() and not _version("nvidia-ml-py"):
        yield note("gpu", "there is an NVIDIA driver and nothing reads its figures", "install tidegate[gpu]")


def _placed(wanted: str, device: devices.Device, found: Discovery) -> Finding:
    """A GPU that onnxruntime offers and nobody can read gets no model: see `tidegate.placement`."""
    if found.gpus or not device.is_gpu:
        return ok("device", f"{wanted}: {device.name}, {device.reason}")
    said = f"{wanted}: {device.reason}, and no GPU can be read: {found.reason}"
    if wanted == "auto":
        return note("device", said, "the CPU serves until one can")
    return fault("device", said, "nothing is served on it until one can; or set TIDEGATE_DEVICE to auto")


def clock(settings: Settings) -> Iterator[Finding]:
    """Whether the clock stands before what was written here: tokens, windows and logs would be wrong."""
    now = time.time()
    written = [Path(tidegate.__file__), settings.home / "state.db", *settings.home.glob("bundles/*/*/bundle.json")]
    latest = max((file.stat().st_mtime for file in written if file.is_file()), default=0.0)
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if latest > now + 60:
        yield fault(
            "clock",
            f"{shown}, and files here were written {latest - now:.0f} s later than that",
            "set the clock, and let NTP keep it: share links and windows count on it",
        )
    else:
        yield ok("clock", shown)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _unmet() -> Iterator[str]:
    """Requirements of the serve environment that are not there, or in another version."""
    from packaging.requirements import Requirement  # Gradio needs it, so it is there

    for line in requirements("serve", []):
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        found = _version(wanted.name)
        if wanted.name == "onnxruntime" and not found:
            found = _version("onnxruntime-gpu")
        if not found:
            yield f"{wanted.name} is missing"
        elif not wanted.specifier.contains(found, prereleases=True):
            yield f"{wanted.name} is {found}, {wanted.specifier} is needed"


CHECKS: dict[str, Check] = {"versions": versions, "devices": offered_devices, "clock": clock}
