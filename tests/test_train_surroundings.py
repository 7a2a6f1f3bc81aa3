"""Looking at a real machine: servers that answer, refuse or hang up, folders, data."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlactions.train.machine import Surroundings
from mlactions.train.model import Checkpoints, Settings
from mlactions.train.preflight import checks
from mlactions.train.surroundings import look

QUICK = frozenset({"torch", "driver"})


def seen(folder: Path, **about: Any) -> Surroundings:
    settings = Settings((sys.executable, "train.py"), folder, folder / "checkpoints", **about)
    return look(settings, {"PATH": os.environ["PATH"]}, threading.Event())


@contextmanager
def server(status: int, offset: float = 0.0) -> Iterator[tuple[str, list[str]]]:
    """Serve one answer on the loopback; yield its address and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            asked.append(self.path + " " + (self.headers.get("Authorization") or ""))
            self.send_response_only(status)
            now = datetime.now(UTC) - timedelta(seconds=offset)
            self.send_header("Date", format_datetime(now, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_about: object) -> None:
            """Be quiet."""

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{found.server_port}", asked
    finally:
        found.shutdown()
        thread.join()
        found.server_close()


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_server_that_answers_is_reachable_and_tells_the_time(tmp_path: Path, status: int) -> None:
    with server(status, offset=120.0) as (url, asked):
        about = seen(tmp_path, tracking_uri=f"{url}/mlflow/", skip_checks=QUICK)
    assert about.mlflow_problem == ""
    assert about.clock_offset == pytest.approx(120, abs=30)
    assert asked == ["/mlflow/health "]


def test_servers_that_are_ill_or_gone_are_said_without_credentials(tmp_path: Path) -> None:
    with server(503) as (url, _):
        given = url.replace("http://", "http://ada:s3cret@")
        ill = seen(tmp_path, tracking_uri=given, skip_checks=QUICK).mlflow_problem
    assert ill == f"{url} answers 503"
    gone = seen(tmp_path, tracking_uri=given, skip_checks=QUICK).mlflow_problem
    assert gone.startswith(f"{url} cannot be reached: ")
    assert "s3cret" not in ill + gone


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        ("sqlite:///mlflow.db", True),
        ("mlruns", True),
        ("databricks://profile", True),
        ("sqlite:////proc/nowhere/mlflow.db", False),
    ],
)
def test_stores_in_files_need_a_folder_that_can_be_written(
    tmp_path: Path, uri: str, good: bool
) -> None:
    if os.geteuid() == 0 and not good:
        uri = f"sqlite:///{tmp_path}/file/mlflow.db"  # root may write anywhere but below a file
        (tmp_path / "file").write_text("")
    found = seen(tmp_path, tracking_uri=uri, skip_checks=QUICK).mlflow_problem
    assert (found == "") is good


def test_a_checkpoint_folder_is_tried_by_writing(tmp_path: Path) -> None:
    good = seen(tmp_path, skip_checks=QUICK)
    assert good.checkpoints_problem == ""
    assert list((tmp_path / "checkpoints").iterdir()) == []
    (tmp_path / "checkpoints").rmdir()
    (tmp_path / "checkpoints").write_text("a file")
    bad = seen(tmp_path, skip_checks=QUICK, checkpoints_name="checkpoints")
    assert bad.checkpoints_problem == "checkpoints cannot be written: file exists"


def test_data_is_present_empty_or_missing(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("x")
    (tmp_path / "hollow").mkdir()
    (tmp_path / "empty.csv").write_text("")
    paths = tuple(tmp_path / name for name in ("full", "full/a", "hollow", "empty.csv", "gone"))
    found = seen(tmp_path, data=paths, skip_checks=QUICK).data
    assert found == {
        "full": "",
        "full/a": "",
        "hollow": "the folder is empty",
        "empty.csv": "the file is empty",
        "gone": "there is no such file or folder",
    }


def test_the_commands_own_python_is_asked_and_never_waited_for_in_vain(tmp_path: Path) -> None:
    found = seen(tmp_path)
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    stopped = threading.Event()
    stopped.set()
    settings = Settings((sys.executable, "train.py"), tmp_path, tmp_path / "c")
    assert look(settings, {"PATH": os.environ["PATH"]}, stopped).python == ""


def test_a_torch_that_cannot_be_imported_fails_before_the_training_does(tmp_path: Path) -> None:
    package = tmp_path / "site" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('libcudart.so.12: not found')")
    settings = Settings((sys.executable, "train.py"), tmp_path, tmp_path / "c")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package.parent)}
    around = look(settings, environ, threading.Event())
    made = {check.name: check for check in checks(settings, around, Checkpoints())}
    assert made["torch"].status == "fail"
    assert "libcudart.so.12" in made["torch"].found


def test_this_machine_has_room_and_a_name(tmp_path: Path) -> None:
    found = seen(tmp_path, skip_checks=QUICK)
    assert found.disk_free
    assert found.memory_free
    assert found.memory >= found.memory_free
    assert found.processor
    assert found.cpus >= 1
