"""A small Hydra project whose training is a shell-quick program, and sweeps over it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.__main__ import run
from mlactions.runner import Runner
from mlactions.sweep.model import Space
from mlactions.sweep.space import parse_space
from mlactions.sweep.trials import Bases, make_trials

CONFIGS = {
    "train.yaml": """\
defaults:
  - model: cnn
  - optimizer@training.optimizer: adam
  - _self_
name: ${model.name}-${seed}
seed: 0
note: plain
training:
  epochs: 2
  max_lr: 0.1
  warmup: ${training.epochs}
  names: [a, b]
""",
    "model/cnn.yaml": "name: cnn\nwidth: 8\n",
    "model/vit.yaml": "name: vit\ndim: 16\ndepth: 2\n",
    "optimizer/adam.yaml": "kind: adam\nbetas: [0.9, 0.999]\n",
    "optimizer/sgd.yaml": "kind: sgd\nmomentum: 0.9\n",
}

# Trains nothing: it writes down what it was told, and fails where the test asks for it.
TRAINER = """\
import json, os, sys, time
from pathlib import Path
given = sys.argv[1:]
name = os.environ["SWEEP_TRIAL"]
with open("calls.jsonl", "a") as stream:
    stream.write(json.dumps({"argv": given, "context": os.environ["MLFLOW_RUN_CONTEXT"]}) + "\\n")
folder = Path("flags")
if (folder / f"fail-{name[:4]}").exists():
    sys.exit(3)
if (folder / f"once-{name[:4]}").exists():
    (folder / f"once-{name[:4]}").unlink()
    sys.exit(4)
if (folder / f"wait-{name[:4]}").exists():
    (folder / "waiting").touch()
    time.sleep(60)
"""


@dataclass(frozen=True)
class Project:
    """A repository with a config tree, a search space and a training script."""

    root: Path

    @classmethod
    def make(cls, root: Path, space: str, configs: Mapping[str, str] = CONFIGS) -> Project:
        """Lay it out."""
        for name, text in {**configs, "sweep.yaml": space}.items():
            path = root / "configs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (root / "train.py").write_text(TRAINER)
        (root / "flags").mkdir(exist_ok=True)
        return cls(root)

    def sweep(self, *arguments: str, **environ: str) -> Outcome:
        """Run `mlactions sweep` in it."""
        return self._run(
            ["--config-name", "train", "--python", sys.executable, *arguments], environ
        )

    def later(self, word: str, *arguments: str, **environ: str) -> Outcome:
        """Run `mlactions sweep status` or `next`."""
        return self._run([word, *arguments], environ)

    def _run(self, arguments: list[str], given: Mapping[str, str]) -> Outcome:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.root), **given}
        stream = io.StringIO()
        out = self.root / "out"
        common = ["--working-directory", str(self.root), "--out", str(out)]
        words = [arguments[0]] if arguments[0] in {"next", "status"} else []
        code = run(["sweep", *words, *common, *arguments[len(words) :]], Runner(environ, stream))
        result = out / "result.json"
        document = json.loads(result.read_text()) if code in {0, 1} else {}
        return Outcome(code, stream.getvalue(), document)

    def folder(self, name: str = "sweep") -> Path:
        """Return where a sweep lies."""
        return self.root / "configs" / "sweeps" / name

    def manifest(self, name: str = "sweep") -> dict[str, Any]:
        """Return a sweep's manifest."""
        document: dict[str, Any] = json.loads((self.folder(name) / "manifest.json").read_text())
        return document

    def start(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run run_sweep.sh to its end."""
        return subprocess.run(
            ["bash", str(self.folder() / "run_sweep.sh"), *arguments],
            env=self.environ(environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def environ(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the environment that a shell of the user has."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.root), **given}

    def calls(self) -> list[dict[str, Any]]:
        """Return the training runs so far."""
        path = self.root / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Outcome:
    """How a command ended, what it said, and its result."""

    code: int
    said: str
    result: dict[str, Any]


def space(text: str) -> Space:
    """Read a search space."""
    return parse_space(text, file="sweep.yaml")


def values(text: str) -> list[dict[str, Any]]:
    """Return the configurations of a space, without a config tree."""
    return [dict(trial.values) for trial in make_trials(space(text), Bases())]
