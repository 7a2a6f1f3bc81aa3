"""From a sweep's matrix through `train` to `sweep status`: a trial that was trained is finished."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest

from mlactions import mlflow_tags
from mlactions.__main__ import run
from mlactions.mlflow_store import open_store
from mlactions.runner import Runner
from tests.mlflow_support import TOOLS, Mlflow
from tests.sweep_support import Project

SPACE = """\
program: train.py
metric: {name: score, goal: maximize}
parameters:
  training.max_lr: {values: [0.1, 0.2]}
"""
TRAINING = """\
import mlflow
with mlflow.start_run():
    mlflow.log_metric("score", 0.5)
"""


def git(folder: Path, *words: str) -> None:
    person = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *person, *words], check=True, capture_output=True)


def test_a_trial_of_a_committed_sweep_is_finished_once_it_was_trained(
    tmp_path: Path, mlflow_server: Mlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project.make(tmp_path, SPACE)
    (tmp_path / "train.py").write_text(TRAINING)
    (tmp_path / ".gitignore").write_text("out/\nbuild/\ncheckpoints/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "code")
    experiment = mlflow_server.experiment("train-sweep")
    given = ["--tracking-uri", mlflow_server.uri, "--experiment", "train-sweep"]
    assert project.sweep(*given, "--backend", "matrix").code == 0
    trial = json.loads((tmp_path / "out" / "train-matrix.json").read_text())["include"][0]
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "the sweep, which changes no code")

    monkeypatch.chdir(tmp_path)
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "MLFLOW_RUN_CONTEXT": trial["tags"],
        "MLFLOW_EXPERIMENT_NAME": "train-sweep",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = ["train", "--command", f"{TOOLS / 'python'} train.py {trial['overrides']}"]
    command += ["--tracking-uri", mlflow_server.uri, "--out", str(tmp_path / "build")]
    said = io.StringIO()
    assert run([*command, "--skip-checks", "torch"], Runner(environ, said)) == 0, said.getvalue()

    (row, *_) = project.manifest()["trials"]
    with open_store(mlflow_server.uri, {}) as store:
        (found,) = store.runs([experiment])
    assert found.tags[mlflow_tags.CONFIG_HASH] == f"sha256:{row['hash']}"
    assert mlflow_tags.SWEEP_FILES not in found.tags
    status = project.later("status", "--no-analysis").result
    assert (status["counts"]["states"], status["left"]) == ({"finished": 1, "missing": 1}, "2")
