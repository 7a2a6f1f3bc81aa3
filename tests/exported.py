"""Real exports for tests: a repository of models, exported once a session and shared."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.bundle import Bundle, write_json
from mlactions.evaluate.process import Ended
from mlactions.export import outcome
from mlactions.export.exported import Exported
from mlactions.export.outcome import Answer
from mlactions.export.reading import open_export
from mlactions.export.request import request_of
from mlactions.export.settings import read_settings
from mlactions.runner import Runner

ROOT = Path(__file__).resolve().parents[1]
TORCH_PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
"""The example's Python, which has torch; `make test` installs it."""

LAUNCHER = ROOT / "scripts"
IMAGES = "pixels: float32[batch,1,8,8]"
ROWS = "x: float32[batch,4]"
_IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=no")

CNN = ("src.models.cnn:DigitsCNN", '{"width": 24, "hidden": 64, "dropout": 0.1}')
VIT = (
    "src.models.vit:DigitsViT",
    '{"dim": 64, "depth": 2, "heads": 4, "patch_size": 2, "mlp_ratio": 2, "dropout": 0.1}',
)


def _digits(model: tuple[str, str], checkpoint: str, *more: str) -> tuple[str, ...]:
    given = ("--model", model[0], "--model-arguments", model[1], "--checkpoint", checkpoint)
    return (*given, "--example-inputs", IMAGES, "--outputs", "logits", *more)


def _model(name: str, *inputs: str) -> tuple[str, ...]:
    lines = [word for line in inputs for word in ("--example-inputs", line)]
    return ("--model", f"zoo:{name}", *lines)


MODELS: Mapping[str, tuple[str, ...]] = {
    "cnn": _digits(CNN, "cnn.pt", "--task-data", "task.npz"),
    "cnn-fp16": _digits(CNN, "cnn.pt", "--task-data", "task.npz", "--precision", "fp16"),
    "cnn-int8": _digits(CNN, "cnn.pt", "--task-data", "task.npz", "--quantize", "dynamic-int8"),
    "vit": _digits(VIT, "vit.pt"),
    "vit-fp16": _digits(VIT, "vit.pt", "--task-data", "task.npz", "--precision", "fp16"),
    "lstm": (
        *_model("Classifier", "tokens: int64[batch,sequence] in 0..99"),
        *("--axes", "sequence=1..32", "--outputs", "logits"),
    ),
    "pair": (
        *_model("Pair", "image: float32[batch,3,4] in 0..1", "tokens: int64[batch,words] in 0..49"),
        *("--axes", "words=1..20", "--outputs", "logits", "--outputs", "hidden"),
    ),
    "decision": _model("Decision", ROWS),
    "fixed-batch": _model("FixedBatch", ROWS),
    "narrow": _model("Narrow", ROWS),
    "twins": (
        *_model("Twins", "left: float32[batch,a]", "right: float32[batch,b]"),
        *("--axes", "a=1..9", "--axes", "b=1..9"),
    ),
    "noisy": _model("Noisy", ROWS),
    "bessel": _model("Bessel", ROWS),
}
"""What every name of the zoo is exported with."""

_TRAIN = """
import sys
sys.path.insert(0, ".")
import numpy as np, torch
from torch.nn.functional import cross_entropy
from src.data.digits import DataConfig, load_data
from src.models.cnn import DigitsCNN
from src.models.vit import DigitsViT
data = load_data(DataConfig(val_fraction=0.2, test_fraction=0.25, split_seed=0))
torch.manual_seed(0)
torch.set_num_threads(1)
models = {
    "cnn": DigitsCNN(width=24, hidden=64, dropout=0.1),
    "vit": DigitsViT(dim=64, depth=2, heads=4, patch_size=2, mlp_ratio=2, dropout=0.1),
}
for name, model in models.items():
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(4):
        for rows in torch.randperm(len(data.train.targets)).split(64):
            loss = cross_entropy(model(data.train.images[rows]), data.train.targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.save({"weights": model.state_dict(), "epoch": 4}, f"{name}.pt")
images, targets = data.test.images.numpy(), data.test.targets.numpy()
np.savez("task.npz", pixels=images, label=targets)
"""


@dataclass(frozen=True)
class Measured:
    """How `export measure` ended."""

    code: int
    text: str
    out: Path
    outputs: Mapping[str, str] = field(default_factory=dict)

    def open(self) -> tuple[Bundle, Exported]:
        """Open the bundle, checked."""
        return open_export(self.out)

    @property
    def exported(self) -> Exported:
        """Return export.json."""
        return self.open()[1]

    @property
    def document(self) -> Any:
        """Return export.json as it is."""
        return json.loads((self.out / "export.json").read_text(encoding="utf-8"))


def make_project(root: Path) -> Path:
    """Make a git repository with the zoo and the example's models."""
    root.mkdir(parents=True)
    for path in (ROOT / "tests" / "models").glob("*.py"):
        shutil.copy(path, root)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "examples" / "digits" / "src", root / "src", ignore=ignored)
    (root / ".gitignore").write_text("*.pt\n*.npz\n__pycache__/\n", encoding="utf-8")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    # A fixed date: equal repositories have equal commits.
    git(root, "commit", "-q", "-m", "models")
    return root


def git(root: Path, *arguments: str) -> None:
    """Run git in a repository."""
    dates = {
        "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    }
    environ = {**os.environ, **dates}
    subprocess.run(["git", *_IDENTITY, *arguments], cwd=root, check=True, env=environ)


def in_torch(script: str, folder: Path, *arguments: str) -> str:
    """Run a script in the Python that has torch; return what it printed."""
    done = subprocess.run(
        [TORCH_PYTHON, "-c", script, *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def measure(
    project: Path, out: Path, arguments: Sequence[str], environ: Mapping[str, str] | None = None
) -> Measured:
    """Run `export measure` in this process, on a project."""
    stream = io.StringIO()
    outputs = out.parent / f"{out.name}.outputs"
    given = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    runner = Runner({**given, "GITHUB_OUTPUT": str(outputs), **(environ or {})}, stream=stream)
    words = ["export", "measure", "--working-directory", str(project), "--out", str(out)]
    python = [] if "--python" in arguments else ["--python", str(TORCH_PYTHON)]
    code = run([*words, *python, *arguments], runner)
    return Measured(code, stream.getvalue(), out, _read_outputs(outputs))


def launched(project: Path, out: Path, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start the command as a process of its own, to send it signals."""
    words = ["export", "measure", "--working-directory", str(project), "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, str(LAUNCHER), *words, "--python", str(TORCH_PYTHON), *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )


def _read_outputs(path: Path) -> dict[str, str]:
    found, lines = {}, path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    while lines:
        name, delimiter = lines.pop(0).split("<<", 1)
        end = lines.index(delimiter)
        found[name] = "\n".join(lines[:end])
        del lines[: end + 1]
    return found


_ANSWER = """
import contextlib, importlib, importlib.util, io, sys
from pathlib import Path
sys.path[0] = str(Path.cwd())
import torch
here = Path(sys.argv[1])
spec = importlib.util.spec_from_file_location(
    "mlactions_export_user", here / "__init__.py", submodule_search_locations=[str(here)]
)
sys.dont_write_bytecode = True
sys.modules["mlactions_export_user"] = importlib.util.module_from_spec(spec)
program = importlib.import_module("mlactions_export_user.program")
for path in sys.argv[2:]:
    program.main(Path(path), 0.0)
"""


def answers(
    project: Path, folder: Path, asked: Mapping[str, Mapping[str, Any]]
) -> dict[str, Callable[[], Answer]]:
    """Let one process of the Python with torch answer many requests: torch is imported once.

    Calling what is returned reads the answer as `export measure` does, and so may raise UserError.
    """
    paths = {}
    for name, given in asked.items():
        settings = read_settings({"seeds": (), **given}, folder=project)
        scratch = folder / name
        scratch.mkdir(parents=True)
        request = request_of(settings, scratch=scratch, root=project)
        paths[name] = scratch / "request.json"
        write_json(paths[name], request)
    user = ROOT / "scripts" / "mlactions" / "export" / "user"
    in_torch(_ANSWER, project, str(user), *map(str, paths.values()))
    ended = Ended(code=0, by="itself", seconds=1.0, peak_memory=None, out_of_memory=False)

    def read(scratch: Path) -> Callable[[], Answer]:
        return lambda: outcome.read(scratch, ended, (), timeout=60)

    return {name: read(path.parent) for name, path in paths.items()}


@dataclass
class Zoo:
    """Models exported on demand; what one test exported, the next one reads."""

    folder: Path
    _measured: dict[str, Measured] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        """The repository that all of them come from, with checkpoints that were trained briefly."""
        root = self.folder / "project"
        if not root.exists():
            if not TORCH_PYTHON.exists():
                pytest.fail("make .tools/example/ready installs the Python with torch")
            make_project(root)
            in_torch(_TRAIN, root)
        return root

    def measured(self, name: str) -> Measured:
        """Return the export of a name in MODELS."""
        if name not in self._measured:
            out = self.folder / name
            self._measured[name] = measure(self.project, out, MODELS[name])
        return self._measured[name]

    def bundle(self, name: str) -> Path:
        """Return the sealed bundle of a name; do not write to it, others read it too."""
        return self.measured(name).out
