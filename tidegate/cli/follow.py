"""Following MLflow: when a registry's alias moves, its new version is exported, gated, and becomes the canary.

A child in the export environment watches (`exporters.watch`) and is started again when it dies; what it says is
carried out one export after the other, in a thread, in the same way as `tidegate export`. Serving learns of a new
version by the aliases, as of any other. A failed export or a refused gate changes nothing and is not tried again for
that version while the server runs. Before: `gateway.run`, in the one process that is no worker; after: the store.
Limits: an export takes cores from serving while it lasts.
"""

import json
import logging
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from pydantic import ValidationError

from tidegate.aliases import CHAMPION
from tidegate.bundle import MANIFEST, Lineage
from tidegate.bundle_store import BundleStore
from tidegate.cli.export import default_name, export_run
from tidegate.environments import child_environment, export_python
from tidegate.errors import TidegateError, UsageError
from tidegate.settings import Settings

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 300.0
STEADY_SECONDS = 60.0  # a watcher that lived this long did not fail at its start
STOP_SECONDS = 5.0

log = logging.getLogger("tidegate.follow")


def check(settings: Settings) -> None:
    """Refuse what could never be followed, before anything starts.

    Raises:
        UsageError: two runs that would be the same bundle.
        EnvironmentMissing: there is nothing that can ask the registry.
    """
    names: dict[str, str] = {}
    for run in settings.followed:
        name = default_name(run)
        if name in names:
            raise UsageError(f"--follow {run} and {names[name]} would both be the bundle {name!r}; follow one of them")
        names[name] = run
    if settings.followed:
        export_python(settings.export_python)


@contextmanager
def following(settings: Settings) -> Iterator[None]:
    """Follow what the settings say while the block lasts.

    Raises:
        TidegateError: there is nothing to serve yet, and the first export failed.
    """
    if not settings.followed:
        yield
        return
    follower = Follower(settings)
    follower.start()
    try:
        if not follower.store.names():
            follower.wait_for_first()
        yield
    finally:
        follower.stop()


class Follower:
    """Two threads: one reads what the watching child says, one carries it out."""

    def __init__(self, settings: Settings) -> None:
        self.store = BundleStore(settings.bundles_dir)
        self._settings = settings
        self._said: SimpleQueue[Mapping[str, str]] = SimpleQueue()
        self._left: set[str] = set()  # sources that failed or were refused
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._concluded = threading.Event()  # the first of all runs was exported, or could not be
        self._error: TidegateError | None = None

    def start(self) -> None:
        """Begin to watch."""
        for work in (self._watch, self._carry_out):
            threading.Thread(target=work, name=f"tidegate{work.__name__.replace('_', '-')}", daemon=True).start()

    def stop(self) -> None:
        """End the watching child; an export that is under way ends with this process, and publishes nothing."""
        self._stopping.set()
        child = self._child
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()

    def wait_for_first(self) -> None:
        """Come back when there is something to serve.

        Raises:
            TidegateError: what stood in the way of the first run that was tried.
        """
        self._concluded.wait()
        if self._error is not None:
            raise self._error

    def carry_out(self, said: Mapping[str, str]) -> None:
        """Bring the store to where an alias points; what fails is logged, and left alone from then on."""
        run = said["run"]
        if "error" in said:
            log.warning("%s; what is served stays, and the registry is asked again", said["error"])
            self._conclude(TidegateError(said["error"]))
            return
        if said["source"] in self._left:
            return
        try:
            version = self._bundle_of(default_name(run), said)
            self._conclude(None)
        except TidegateError as error:
            self._left.add(said["source"])
            log.error("%s is now %s, which is not served: %s", run, said["source"], error)
            self._conclude(error)
        except Exception:
            self._left.add(said["source"])
            log.exception("%s is now %s, which is not served", run, said["source"])
            self._conclude(TidegateError(f"{said['source']} could not be exported; the cause is above"))
        else:
            if version is not None:
                log.warning("%s is now %s: %s", run, said["source"], self._offer(default_name(run), version))

    def _bundle_of(self, name: str, said: Mapping[str, str]) -> int | None:
        """The bundle of a source, exported if need be; None where the newest one is of it."""
        versions = self.store.versions(name)[::-1]
        for version in versions:
            if _is_of(_lineage(self.store, name, version), said):
                return version if version != versions[0] else None
        log.info("%s is now %s: exporting it as %s", said["run"], said["source"], name)
        return export_run(self._settings, said["source"], name).manifest.version

    def _offer(self, name: str, version: int) -> str:
        """Let a version answer some callers; the first version of a model answers all. Returns what it is."""
        if self.store.resolve(name, CHAMPION) != version:
            self.store.set_alias(name, "canary", version)
        return f"{name}/{version} is the {' and '.join(self.store.aliases(name).holders(version))}"

    def _conclude(self, error: TidegateError | None) -> None:
        if not self._concluded.is_set() and (error is not None or self.store.names()):
            self._error = error
            self._concluded.set()

    def _carry_out(self) -> None:
        while not self._stopping.is_set():
            said = self._said.get()
            newest = {said["run"]: said}
            try:
                while True:  # of several moves during one export, only the last one counts
                    later = self._said.get_nowait()
                    newest[later["run"]] = later
            except Empty:
                pass
            for each in newest.values():
                self.carry_out(each)

    def _watch(self) -> None:
        """Keep a watching child alive."""
        wait = 0.0
        while not self._stopping.wait(wait):
            started = time.monotonic()
            code: int | Exception
            try:
                code = self._attend()
            except (OSError, ValueError, TidegateError) as error:  # the environment is being rebuilt, perhaps
                code = error
            if self._stopping.is_set():
                return
            steady = time.monotonic() - started >= STEADY_SECONDS
            wait = FIRST_WAIT_SECONDS if steady or not wait else min(wait * 2, LONGEST_WAIT_SECONDS)
            log.error("the process that watches the registry ended (%s); another starts in %.0f s", code, wait)
            self._conclude(TidegateError(f"the process that watches the registry ended ({code}); the cause is above"))

    def _attend(self) -> int:
        """Run one watching child to its end; its exit code."""
        command = [str(export_python(self._settings.export_python)), "-m", "exporters.watch"]
        orders = {
            "runs": self._settings.followed,
            "home": str(self._settings.home.absolute()),
            "seconds": self._settings.follow_seconds,
        }
        # Its stdin closes with this process, however that ends. A group of its own: Ctrl-C is not for it.
        with subprocess.Popen(
            command,
            env=child_environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        ) as child:
            self._child = child
            if child.stdin is None or child.stdout is None:
                raise TidegateError("the watching process started without pipes; start the server again")
            child.stdin.write(json.dumps(orders).encode() + b"\n")
            child.stdin.flush()
            for line in child.stdout:
                self._said.put(json.loads(line))
            return child.wait()


def _lineage(store: BundleStore, name: str, version: int) -> Lineage | None:
    """Where a bundle comes from; None where it cannot be read."""
    try:
        manifest = json.loads((store.path(name, version) / MANIFEST).read_bytes())
        return Lineage.model_validate(manifest["lineage"])
    except (OSError, ValueError, KeyError, ValidationError):
        return None


def _is_of(lineage: Lineage | None, said: Mapping[str, str]) -> bool:
    """Whether a bundle is of the version that an alias points at."""
    if lineage is None:
        return False
    if (
        lineage.source_uri.rpartition("/")[0] == said["source"].rpartition("/")[0]
    ):  # a version: one run may have several
        return lineage.source_uri == said["source"]
    return bool(said["run_id"]) and lineage.run_id == said["run_id"]
