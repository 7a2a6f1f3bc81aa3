"""A training that was stopped says so in MLflow, and a sweep runs it again: a real database."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from mlactions import mlflow_tags
from mlactions.mlflow_store import Run, open_store
from mlactions.sweep.user.sweep_trials import Attempt, state_of

ROOT = Path(__file__).resolve().parents[1]
HELPER = ROOT / "scripts/mlactions/train/user"
PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
LOOP = """
import sys
sys.path.insert(0, sys.argv[1])
import mlflow
from mlactions_train import should_stop
mlflow.start_run()
should_stop()  # from now on it listens
print("ready", flush=True)
while sys.argv[2] == "wait" and not should_stop():
    pass
"""


def train(folder: Path, *, stopped: bool, run: str = "") -> None:
    """Run a loop of a user's to its end, or until SIGTERM makes it end itself."""
    process = subprocess.Popen(
        [str(PYTHON), "-c", LOOP, str(HELPER), "wait" if stopped else "go"],
        stdout=subprocess.PIPE,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **({"MLFLOW_RUN_ID": run} if run else {}),
        },
        cwd=folder,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    if stopped:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=240)
    assert process.returncode == 0


def recorded(folder: Path) -> Run:
    with open_store(f"sqlite:///{folder}/mlflow.db", {}) as store:
        (run,) = store.runs([store.experiment("Default").id])
        return run


def state(run: Run) -> str:
    attempt = Attempt(run.status, run.start_ms or 0, run.tags.get(mlflow_tags.ENDED, ""))
    return state_of([attempt], retry=0, now_ms=run.start_ms or 0).name


def test_a_stopped_run_is_tagged_and_a_continued_one_no_more(tmp_path: Path) -> None:
    train(tmp_path, stopped=True)
    run = recorded(tmp_path)  # MLflow itself calls a run FINISHED whose process ends well
    assert (run.status, run.tags[mlflow_tags.ENDED]) == ("FINISHED", mlflow_tags.PREEMPTED)
    assert state(run) == "preempted"
    train(tmp_path, stopped=False, run=run.id)
    run = recorded(tmp_path)
    assert (run.status, run.tags[mlflow_tags.ENDED]) == ("FINISHED", "")
    assert state(run) == "finished"
