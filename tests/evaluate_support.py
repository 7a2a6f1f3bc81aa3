"""Small git repositories and real runs of `evaluate` for its tests."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

from mlactions.__main__ import run
from mlactions.evaluate.git import Git
from mlactions.evaluate.plan import Plan, make_plan
from mlactions.evaluate.settings import Settings, read_settings
from mlactions.runner import Runner

PLAN_COMMAND = "python scripts/evaluate.py --config {config} --output {output}"

# Each config holds the program to run, so that one command can end in every possible way.
PROGRAM = """
import sys, json, os, time, signal, math
from pathlib import Path
config, seed, output = sys.argv[1], sys.argv[2], Path(sys.argv[3])
def write(document): output.write_text(json.dumps(document))
exec(Path(config).read_text())
"""
COMMAND = "python run.py {config} {seed} {output}"
GOOD = "write({'accuracy': 0.9 + int(seed) / 100})"

PROJECT = {
    "scripts/evaluate.py": """
        import sys
        from pathlib import Path
        sys.path.insert(0, str(Path(__file__).parents[1]))
        import json
        from src.registry import build
        from src.data import loaders as load
        """,
    "src/__init__.py": "",
    "src/registry.py": "from hydra.utils import instantiate\ndef build(c): return instantiate(c)\n",
    "src/data/__init__.py": "",
    "src/data/loaders.py": "from . import text\nfrom .images import read\n",
    "src/data/text.py": "",
    "src/data/images.py": "from ..common.io import open_it\n",
    "src/common/io.py": "",  # a namespace package: no __init__.py
    "src/models/__init__.py": "",
    "src/models/cnn.py": "from src.models.layers import Block\n",
    "src/models/vit.py": "import torch\n",
    "src/models/layers.py": "",
    "src/unused.py": "",
    "configs/cnn.yaml": "defaults:\n  - model: cnn\n  - _self_\nseed: 0\n",
    "configs/vit.yaml": "defaults:\n  - model: vit\n  - /training@train: long\n",
    "configs/model/cnn.yaml": "_target_: src.models.cnn.CNN\n",
    "configs/model/vit.yaml": "_target_: src.models.vit.ViT\n",
    "configs/training/long.yaml": "defaults:\n  - base\nepochs: 100\n",
    "configs/training/base.yaml": "optimizer:\n  _target_: torch.optim.SGD\n",
    "README.md": "Read src/data/text.py.\n",
    "uv.lock": "",
}
"""Two models with Hydra configs, as their users write them."""

_IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=no")


@dataclass(frozen=True)
class Repository:
    """A git repository in a test's folder."""

    root: Path

    @classmethod
    def make(cls, root: Path, files: Mapping[str, str]) -> Repository:
        """Create one with a first commit, which `base` keeps pointing at."""
        root.mkdir(parents=True, exist_ok=True)
        repository = cls(root)
        repository.git("init", "-q", "-b", "main")
        repository.commit(files)
        repository.git("branch", "base")
        return repository

    def git(self, *arguments: str) -> str:
        """Run git and return what it printed."""
        done = subprocess.run(
            ["git", *_IDENTITY, *arguments],
            cwd=self.root,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        """Write files without committing them."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")

    def commit(self, files: Mapping[str, str] | None = None) -> str:
        """Write files, commit everything, return the commit."""
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")


def settings_for(folder: Path, **given: Any) -> Settings:
    """Return settings as the command line would build them, defaults included."""
    values: dict[str, Any] = {
        "command": PLAN_COMMAND,
        "configs": ("configs/*.yaml",),
        "select": "changed",
        "base_ref": "base",
        "depends": (),
        "protocol_files": (),
        "seeds": (),
        "timeout_minutes": "1",
        "grace_seconds": "1",
        "jobs": 1,
        "max_configs": 100,
        "working_directory": ".",
        "also_base": False,
        "share": (),
        "cache_dir": "",
        "only": (),
        "matrix_only": False,
        "max_shards": 256,
        "report_file": "",
        "baseline": "configs/baseline.yaml",
        "key": "evaluate",
    }
    return read_settings(values | given, folder=folder)


def plan_for(
    repository: Repository, environ: Mapping[str, str] | None = None, **given: Any
) -> Plan:
    """Plan a run in a repository."""
    settings = settings_for(repository.root, **given)
    return make_plan(settings, Git.find(settings.folder), environ or {})


def chosen(plan: Plan) -> dict[str, str]:
    """Return the reason for each config that is evaluated."""
    return {choice.config.model: choice.reason for choice in plan.selected}


def passed_over(plan: Plan) -> dict[str, str]:
    """Return the reason for each config that is not."""
    return {choice.config.model: choice.reason for choice in plan.skipped}


@dataclass
class Ran:
    """What a run of the command left."""

    code: int
    text: str
    out: Path
    outputs: dict[str, str] = field(default_factory=dict)

    def json(self, name: str) -> Any:
        """Read a file of the bundle."""
        return json.loads((self.out / name).read_text(encoding="utf-8"))

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The records of evaluation.json."""
        found: list[dict[str, Any]] = self.json("evaluation.json")["evaluations"]
        return found

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome by model, for runs with one seed."""
        return {item["model"]: item["outcome"] for item in self.evaluations}


def make_project(root: Path) -> Repository:
    """Create a repository with two models that evaluate well."""
    files = {"configs/a.yaml": GOOD, "configs/b.yaml": GOOD, ".gitignore": "out*\n"}
    return Repository.make(root, {"run.py": PROGRAM, **files})


def evaluate(tmp_path: Path, *arguments: str, **environ: str) -> Ran:
    """Run the command on such a project."""
    given = ("--command", COMMAND, "--configs", "configs/*.yaml", "--grace-seconds", "0.1")
    return run_evaluate(tmp_path / "out", *given, *arguments, **environ)


def run_evaluate(out: Path, *arguments: str, **environ: str) -> Ran:
    """Run the command in the current folder, in this process."""
    stream = io.StringIO()
    output = out.parent / f"{out.name}.outputs"
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "GITHUB_OUTPUT": str(output),
    }
    runner = Runner(environ={**own, **environ}, stream=stream)
    code = run(["evaluate", "--out", str(out), *arguments], runner)
    outputs = _read_outputs(output) if output.exists() else {}
    return Ran(int(code), stream.getvalue(), out, outputs)


def _read_outputs(path: Path) -> dict[str, str]:
    found, lines = {}, path.read_text(encoding="utf-8").splitlines()
    while lines:
        name, delimiter = lines.pop(0).split("<<", 1)
        end = lines.index(delimiter)
        found[name] = "\n".join(lines[:end])
        del lines[: end + 1]
    return found
