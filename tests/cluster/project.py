"""The digits example with a sweep in it, and what MLflow holds of its trials."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions import mlflow_tags
from mlactions.__main__ import run
from mlactions.mlflow_store import Run, open_store
from mlactions.runner import Runner

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "digits"
PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
TRIALS = 20
EPOCHS = 20

SPACE = f"""\
name: cluster
program: scripts/train.py
metric: {{name: val_accuracy, goal: maximize}}
parameters:
  training.max_lr: {{values: [{", ".join(f"{n / 1000:g}" for n in range(1, TRIALS // 2 + 1))}]}}
  training.epochs: {{value: {EPOCHS}}}
  data.train_limit: {{value: 64}}
  tracking.uri: {{value: "sqlite:///DATABASE"}}
  tracking.experiment: {{value: digits}}
seeds: 2
resources: {{gpus: 0, cpus: 1}}
"""


@dataclass(frozen=True)
class Project:
    """A user's checkout."""

    root: Path

    @classmethod
    def make(cls, root: Path, backend: str) -> Project:
        """Copy the example, commit it, and generate the sweep."""
        for name in ("configs", "scripts", "src"):
            shutil.copytree(
                EXAMPLE / name, root / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        project = cls(root)
        (root / "configs" / "sweep.yaml").write_text(SPACE.replace("DATABASE", str(project.store)))
        (root / ".gitignore").write_text("outputs/\n*.log\nmlflow.db*\nmlruns/\n__pycache__/\n")
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
            who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
            subprocess.run(["git", "-C", str(root), *who, *command], check=True)
        names = ["--config-name", "smoke_test", "--python", str(PYTHON), "--backend", backend]
        result = project.sweep(*names, "--tracking-uri", f"sqlite:///{project.store}")
        assert result["counts"]["left"] == TRIALS
        return project

    @property
    def store(self) -> Path:
        """MLflow's database."""
        return self.root / "mlflow.db"

    @property
    def folder(self) -> Path:
        """Where the sweep lies."""
        return self.root / "configs" / "sweeps" / "cluster"

    def outputs(self) -> list[Path]:
        """Return the folders of the trials that have begun."""
        return sorted((self.root / "outputs" / "sweeps" / "cluster").glob("[0-9]*"))

    def sweep(self, *arguments: str) -> dict[str, Any]:
        """Run `mlactions sweep`; return its result."""
        out, said = self.root / "outputs" / "sweep", io.StringIO()
        common = ["--working-directory", str(self.root), "--out", str(out)]
        words = list(arguments[:1]) if arguments[0] == "status" else []
        rest = arguments[len(words) :]
        environ = {"PATH": f"{PYTHON.parent}:/usr/bin:/bin", "HOME": str(self.root)}
        command = ["sweep", *words, *common, "--experiment", "digits", *rest]
        code = run(command, Runner(environ, said))
        assert code == 0, said.getvalue()
        document: dict[str, Any] = json.loads((out / "result.json").read_text())
        return document

    def submit(self, script: str, environ: Mapping[str, str], *options: str) -> str:
        """Run a script of the sweep; return what it said."""
        done = subprocess.run(
            ["bash", str(self.folder / script), *options],
            cwd=self.root,
            env=dict(environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submitting(self, script: str, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a script of the sweep, for those that take long to submit."""
        return subprocess.Popen(
            ["bash", str(self.folder / script)], cwd=self.root, env=dict(environ)
        )

    def trials(self) -> dict[str, list[Run]]:
        """Return the MLflow runs of each trial."""
        found: dict[str, list[Run]] = defaultdict(list)
        with open_store(f"sqlite:///{self.store}", {}) as store:
            for run_ in store.runs([store.experiment("digits").id]):
                if mlflow_tags.TRIAL in run_.tags:
                    found[run_.tags[mlflow_tags.TRIAL]].append(run_)
        return found

    def steps(self, run_id: str, metric: str = "train_loss") -> list[int]:
        """Return the epochs that a run recorded, in the order they were."""
        with open_store(f"sqlite:///{self.store}", {}) as store:
            return [point.step for point in store.history(run_id, metric)]


def epoch_of(folder: Path) -> int:
    """Return the epoch of the newest checkpoint in a trial's folder, or 0."""
    try:
        document = json.loads((folder / "checkpoints" / "latest.json").read_text())
    except FileNotFoundError:
        return 0
    return int(document["step"])


def half_way(folders: Iterable[Path]) -> list[Path]:
    """Return the trials that have a checkpoint and are far from their end."""
    return [folder for folder in folders if 2 <= epoch_of(folder) <= EPOCHS // 2]


def check_once(project: Project, stopped: set[int]) -> None:
    """Check that MLflow and `sweep status` know each trial as finished, and once."""
    trials = project.trials()
    assert len(trials) == TRIALS
    for runs in trials.values():
        assert [run.status for run in runs].count("FINISHED") == 1
    for number in stopped:
        (run,) = trials[f"{number:04d}"]  # continued, not begun again
        assert {*project.steps(run.id)} == {*range(1, EPOCHS + 1)}
    status = project.sweep("status")
    assert status["counts"]["states"] == {"finished": TRIALS}
    assert status["left"] == ""
