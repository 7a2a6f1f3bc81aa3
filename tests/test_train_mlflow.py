"""The MLflow run of a training that was stopped is continued: one run, each epoch once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "digits"
PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
EPOCHS = 15
PATIENCE = 240.0


def start(folder: Path) -> subprocess.Popen[str]:
    """Start the example below `mlactions train`, tracked in a database of its own."""
    store = f"sqlite:///{folder}/mlflow.db"
    training = [str(PYTHON), "scripts/train.py", "--config-name", "smoke_test"]
    training += [f"training.epochs={EPOCHS}", f"tracking.uri={store}", f"hydra.run.dir={folder}/h"]
    given = ["--command", " ".join(training), "--tracking-uri", store, "--skip-checks"]
    given += ["torch,driver", "--checkpoints", str(folder / "c"), "--out", str(folder / "out")]
    return subprocess.Popen(
        [sys.executable, "-m", "mlactions", "train", *given, "--config-hash", "sha256:abc"],
        cwd=EXAMPLE,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT / "scripts"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    """Ask the database."""
    connection = sqlite3.connect(folder / "mlflow.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_stopped_run_is_killed_and_then_continued(tmp_path: Path) -> None:
    process = start(tmp_path)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "c" / "latest.json").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM, said
    stopped = json.loads((tmp_path / "out" / "result.json").read_text())
    assert stopped["attempt"]["requeue"] is True, said
    assert rows(tmp_path, "select status from runs") == [("KILLED",)]
    ended = "select value from tags where key = 'mlactions.ended'"
    assert rows(tmp_path, ended) == [("pre-empted",)]

    process = start(tmp_path)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    ((run, status),) = rows(tmp_path, "select run_uuid, status from runs")
    assert status == "FINISHED"
    finished = json.loads((tmp_path / "out" / "result.json").read_text())
    assert finished["checkpoint"]["resumed"]["run_id"] == run
    steps = "select count(*), count(distinct step) from metrics where key = 'val_loss'"
    assert rows(tmp_path, steps) == [(EPOCHS, EPOCHS)]
    assert rows(tmp_path, ended) == [("",)]
    config = "select value from tags where key = 'mlactions.config_hash'"
    assert rows(tmp_path, config) == [("sha256:abc",)]
