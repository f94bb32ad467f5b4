"""`tidegate doctor`: what an operator may meet is found in a real home, named, and told what to do about."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests import bundles, postgres, servers
from tidegate import home, store
from tidegate.aliases import FILE
from tidegate.bundle_store import BundleStore
from tidegate.cli import app
from tidegate.devices import available_providers
from tidegate.settings import Settings

Finding = dict[str, str]


@pytest.fixture
def well(tmp_path: Path) -> Path:
    """A home folder in which all is well."""
    home.prepare(Settings(home=tmp_path / "home"))
    for _ in range(2):
        bundles.sentiment(BundleStore(tmp_path / "home" / "bundles"))
    store.open_database(Settings(home=tmp_path / "home").state_url).dispose()
    exporter = tmp_path / "python"
    exporter.write_text("""#!/bin/sh\necho '{"mlflow": ["3.17.0", ""], "torch": ["2.13.0", ""]}'\n""")
    exporter.chmod(0o755)
    return tmp_path / "home"


def examine(folder: Path, *options: str, **variables: str) -> tuple[int, list[Finding]]:
    """Exit code and findings."""
    known = {"TIDEGATE_EXPORT_PYTHON": str(folder.parent / "python")} | variables
    inherited: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("TIDEGATE_", "MLFLOW_"))}
    arguments = ["doctor", "--json", "--home", str(folder), "--port", "0", *options]
    done = CliRunner().invoke(app, arguments, env=inherited | known)
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["healthy"] == (done.exit_code == 0)
    assert all(finding["do"] for finding in document["findings"] if finding["status"] == "fault")
    return done.exit_code, document["findings"]


def faults(folder: Path, *options: str, **variables: str) -> list[Finding]:
    code, findings = examine(folder, *options, **variables)
    found = [finding for finding in findings if finding["status"] == "fault"]
    assert code == (1 if found else 0)
    return found


def the_fault(folder: Path, *options: str, **variables: str) -> Finding:
    [found] = faults(folder, *options, **variables)
    return found


def test_a_sound_home_is_well_and_everything_that_was_looked_at_is_named(well: Path) -> None:
    code, findings = examine(well)
    by_check = {finding["check"]: finding for finding in findings}

    assert code == 0
    assert [each for each in findings if each["status"] == "fault"] == []
    looked_at = {"tidegate", "libraries", "providers", "device", "clock", "home", "disk", "bundle sentiment"}
    looked_at |= {"aliases of sentiment", "state database", "server", "security", "export environment", "registry"}
    assert looked_at <= by_check.keys()
    assert by_check["bundle sentiment"]["found"] == "2 versions, every file as published"
    assert "onnxruntime 1." in by_check["libraries"]["found"]
    assert "CPUExecutionProvider" in by_check["providers"]["found"]
    assert by_check["export environment"]["found"] == "mlflow 3.17.0, torch 2.13.0"


def test_an_empty_machine_is_no_fault_and_nothing_is_made(tmp_path: Path) -> None:
    code, findings = examine(tmp_path / "none", TIDEGATE_EXPORT_PYTHON="")

    assert code == 0
    assert not (tmp_path / "none").exists()
    assert next(each["do"] for each in findings if each["check"] == "home").startswith("`tidegate quickstart`")


def test_looking_changes_nothing(well: Path) -> None:
    def state() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in sorted(well.rglob("*")) if file.is_file()}

    before = state()
    examine(well)

    assert state() == before


def change_a_byte(folder: Path) -> None:
    file = folder / "bundles" / "sentiment" / "2" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"!")


def damage_aliases(folder: Path) -> None:
    (folder / "bundles" / "sentiment" / FILE).write_text("{")


def lose_the_champion(folder: Path) -> None:
    BundleStore(folder / "bundles").set_alias("sentiment", "champion", 2)
    shutil.rmtree(folder / "bundles" / "sentiment" / "2")


def overwrite_database(folder: Path) -> None:
    (folder / "state.db").write_bytes(b"this was a database once" * 500)


def damage_database(folder: Path) -> None:
    with sqlite3.connect(folder / "state.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        names = [f"('{n:032}', 'm', {n}, {n})" for n in range(500)]
        database.execute(f"INSERT INTO shares (id, model, created_at, expires_at) VALUES {','.join(names)}")  # noqa: S608
    database.close()
    with (folder / "state.db").open("r+b") as file:
        file.seek(-8_192, os.SEEK_END)
        file.write(os.urandom(4_096))


def age_database(folder: Path) -> None:
    with sqlite3.connect(folder / "state.db") as database:
        database.execute("UPDATE schema_version SET version = 99")
    database.close()


def claim_a_server(folder: Path) -> None:
    home.write_address(folder, "http://127.0.0.1:9")


def set_clock_back(folder: Path) -> None:
    os.utime(folder / "state.db", (4_000_000_000, 4_000_000_000))


@pytest.mark.parametrize(
    ("spoil", "check", "said", "advice"),
    [
        (change_a_byte, "bundle sentiment/2", "model.onnx is not what was published", "tidegate bundles rollback"),
        (damage_aliases, "aliases of sentiment", "is damaged", "tidegate bundles alias sentiment champion 2"),
        (lose_the_champion, "aliases of sentiment", "version 2, which is gone", "alias sentiment champion 1"),
        (overwrite_database, "state database", "file is not a database", "a backup is better"),
        (damage_database, "state database", "damaged", ".recover"),
        (age_database, "state database", "schema 99", "another --home"),
        (claim_a_server, "server", "http://127.0.0.1:9 does not answer", "tidegate serve"),
        (set_clock_back, "clock", "later than that", "set the clock"),
    ],
)
def test_what_is_broken_in_a_home_is_found(
    well: Path, spoil: Callable[[Path], None], check: str, said: str, advice: str
) -> None:
    spoil(well)
    found = the_fault(well)

    assert found["check"] == check
    assert said in found["found"]
    assert advice in found["do"]


def test_a_database_that_another_process_holds_is_found(well: Path) -> None:
    holder = sqlite3.connect(well / "state.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        found = the_fault(well)
    finally:
        holder.close()

    assert (found["check"], "locked" in found["found"]) == ("state database", True)


def test_what_a_killed_export_left_is_named_and_what_is_being_written_is_not(well: Path) -> None:
    bundles_dir = BundleStore(well / "bundles")
    (well / "bundles" / "sentiment" / ".staging-dead").mkdir()
    with bundles_dir.staging("other"):
        code, findings = examine(well)
    left = [each["found"] for each in findings if each["check"] == "bundles"]

    assert code == 0
    assert left == ["left behind by exports that were killed: sentiment/.staging-dead"]


def test_a_taken_port_is_found_with_who_has_it(well: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = the_fault(well, "--port", str(port))

    assert found["check"] == f"port {port}"
    assert f"process {os.getpid()}" in found["found"]


@pytest.mark.parametrize(
    ("variables", "check", "said"),
    [
        ({"TIDEGATE_PROT": "1"}, "settings", "unknown setting TIDEGATE_PROT"),
        ({"TIDEGATE_HOST": "0.0.0.0"}, "security", "no API key"),
        ({"TIDEGATE_DEVICE": "cuda:3"}, "device", "cuda:3"),
        ({"TIDEGATE_EXPORT_PYTHON": "/bin/false"}, "export environment", "does not run"),
        ({"MLFLOW_TRACKING_URI": "http://someone:secret@127.0.0.1:9"}, "registry", "does not answer"),
        ({"TIDEGATE_DATABASE_URL": "postgresql+psycopg://someone:secret@127.0.0.1:9/x"}, "state database", "refused"),
    ],
)
def test_settings_that_cannot_work_are_found_and_their_secrets_not_shown(
    well: Path, variables: dict[str, str], check: str, said: str
) -> None:
    if "cuda" in str(variables) and "CUDA" in str(available_providers()):
        pytest.skip("this onnxruntime has CUDA")
    found = next(each for each in faults(well, **variables) if each["check"] == check)

    assert said in found["found"]
    assert "secret" not in str(found)


def test_a_broken_library_hides_no_other_check(well: Path) -> None:
    script = "import sys; sys.modules['onnxruntime'] = None; from tidegate.cli import main; main()"
    command = [sys.executable, "-c", script, "doctor", "--json", "--home", str(well), "--port", "0"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=servers.environment() | {"TIDEGATE_EXPORT_PYTHON": str(well.parent / "python")},
    )
    findings = json.loads(done.stdout)["findings"]

    assert done.returncode == 1
    assert [each["check"] for each in findings if each["status"] == "fault"] == ["software"]
    assert {"disk", "bundle sentiment", "state database", "registry"} <= {each["check"] for each in findings}


def test_what_is_not_needed_to_look_is_not_loaded(well: Path) -> None:
    script = """
import sys
from typer.testing import CliRunner
from tidegate.cli import app
CliRunner().invoke(app, sys.argv[1:])
print(sorted({"gradio", "whylogs", "mlflow", "torch", "transformers", "locust", "pandas"} & set(sys.modules)))
"""
    environment = servers.environment() | {"TIDEGATE_EXPORT_PYTHON": str(well.parent / "python")}
    command = [sys.executable, "-c", script, "doctor", "--home", str(well), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)

    assert done.stdout == "[]\n"


@pytest.fixture
def registry() -> Iterator[str]:
    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_registry_that_answers_is_well(well: Path, registry: str) -> None:
    _, findings = examine(well, MLFLOW_TRACKING_URI=registry)

    assert {"check": "registry", "status": "ok", "found": f"{registry} answers", "do": ""} in findings


def test_people_get_a_table_and_a_verdict(well: Path) -> None:
    change_a_byte(well)
    done = CliRunner().invoke(
        app,
        ["doctor", "--home", str(well), "--port", "0"],
        env={"TIDEGATE_EXPORT_PYTHON": str(well.parent / "python")},
    )

    assert done.exit_code == 1
    assert "FAULT" in done.stdout
    assert "1 fault\n" in done.stderr


@pytest.mark.slow
def test_a_running_server_is_well_and_its_port_is_its_own(well: Path) -> None:
    with servers.running(["serve"], well) as server:
        port = server.url.rpartition(":")[2]
        code, findings = examine(well, "--port", port)
    by_check = {finding["check"]: finding["found"] for finding in findings}

    assert code == 0
    assert by_check["server"] == f"{server.url} answers, every model is ready"
    assert by_check[f"port {port}"] == "the server of this home listens"


@pytest.mark.slow
def test_the_export_environment_is_asked_to_import_what_exports_need(well: Path) -> None:
    python = servers.export_python()
    _, findings = examine(well, TIDEGATE_EXPORT_PYTHON=str(python))
    [found] = [finding["found"] for finding in findings if finding["check"] == "export environment"]
    without = the_fault(well, TIDEGATE_EXPORT_PYTHON=sys.executable) if str(python) != sys.executable else None

    assert "mlflow 3." in found
    assert "optimum" in found
    assert without is None or "cannot import" in without["found"]


@pytest.mark.slow
def test_postgresql_is_looked_at_as_well(well: Path) -> None:
    with postgres.server() as url:
        store.open_database(url).dispose()
        _, findings = examine(well, TIDEGATE_DATABASE_URL=url)
    [found] = [finding for finding in findings if finding["check"] == "state database"]

    assert found["status"] == "ok"
    assert "writable" in found["found"]
