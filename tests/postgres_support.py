"""A Postgres of our own for tests, from whatever is installed; nothing else is touched."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.mlflow_support import free_port

START_SECONDS = 120
USER = "mlflow"


def programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`; Debian keeps them off the PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    initdb, server = shutil.which("initdb"), shutil.which("postgres")
    return Path(initdb).parent if initdb and server else None


def missing() -> str:
    """Say why Postgres cannot be started here; nothing where it can."""
    if programs() is None:
        return "Postgres is not installed: scripts/dev/postgres.sh says how"
    if os.geteuid() == 0 and _nobody() is None:
        return "Postgres refuses to run as root, and there is no user nobody"
    return ""


def _nobody() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return None


@contextmanager
def postgres() -> Iterator[str]:
    """Run a new cluster on a free port of the loopback; yield its URI, driver named."""
    folder = Path(tempfile.mkdtemp(prefix="mlactions-postgres-"))
    found, user = programs(), _unprivileged(folder)
    assert found is not None
    options = ["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    port = free_port()
    try:
        _run([str(found / "initdb"), "-D", str(folder / "data"), *options], folder, user)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                _command(found, folder, port), cwd=folder, stdout=log, stderr=log, **user
            )
        try:
            _wait(found, process, port, folder)
            yield f"postgresql+psycopg2://{USER}@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # its word for a fast shutdown
            process.wait(60)
    finally:
        shutil.rmtree(folder)


def _command(found: Path, folder: Path, port: int) -> list[str]:
    settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
    given = [part for setting in settings for part in ("-c", setting)]
    return [str(found / "postgres"), "-D", str(folder / "data"), "-p", str(port), *given]


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Return how to start a program as somebody else: Postgres refuses to run as root."""
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
    nobody = _nobody()
    if os.geteuid() != 0 or nobody is None:
        return {"env": environ}
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    ids: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return {"env": environ, **ids}


def _run(command: list[str], folder: Path, user: dict[str, Any]) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300, **user
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _wait(found: Path, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    """Wait until the cluster takes connections."""
    until = time.monotonic() + START_SECONDS
    ready = [str(found / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
    while time.monotonic() < until and process.poll() is None:
        if subprocess.run(ready, check=False, timeout=60).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())
