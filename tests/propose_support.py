"""A small project for `propose`, a Codex that edits it, and the steps around."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.__main__ import run
from mlactions.runner import Runner
from mlactions.schema import validate
from tests.ask_cases import KEY, codex_path, git, write
from tests.fakes.model import FakeModel, Turn, runs, says

MODEL = """\
class Weight:
    requires_grad = True

    def __init__(self, count):
        self.count = count

    def numel(self):
        return self.count


class Net:
    def __init__(self, width=8):
        self.width = width

    def parameters(self):
        return [Weight(64 * self.width), Weight(self.width)]


def build(width=8):
    return Net(width)
"""
TESTS = """\
from src.model import build


def test_width():
    assert build().width == 8
"""
FILES = {
    "src/__init__.py": "",
    "src/model.py": MODEL,
    "tests/test_model.py": TESTS,
    "AGENTS.md": "Plain code.\n",
    "README.md": "# Net\n",
    "experiments/0001-old.md": "# 1: Old\n",
    "uv.lock": "version = 1\n",
    ".github/workflows/ci.yml": "on: push\n",
    ".gitignore": "__pycache__/\n.pytest_cache/\n",
}
ANSWER: dict[str, Any] = {
    "title": "Let the width be doubled",
    "summary": "build takes a factor now.",
    "plan": ["Read src/model.py.", "Add the factor."],
    "classes": [],
    "forward": [],
    "models": [
        {
            "factory": "src.model:build",
            "arguments": '{"factor": 2}',
            "parameters": 1040,
            "trainable": 1040,
        }
    ],
    "unverified": ["Training with it."],
}
NEW_TEST = """

def test_factor():
    assert build(factor=2).width == 16
"""
READ = "cat src/model.py"


def edits(path: str, text: str) -> str:
    """Return a shell command that writes a file."""
    folder = path.rpartition("/")[0] or "."
    return f"mkdir -p {shlex.quote(folder)} && printf %s {shlex.quote(text)} > {shlex.quote(path)}"


GOOD_MODEL = MODEL.replace(
    "def build(width=8):\n    return Net(width)",
    "def build(width=8, factor=1):\n    return Net(width * factor)",
)
GOOD = (edits("src/model.py", GOOD_MODEL), edits("tests/test_model.py", TESTS + NEW_TEST))


@dataclass(frozen=True)
class Done:
    """How a step ended: exit code, its result (None without one), what it said."""

    code: int
    result: dict[str, Any]
    said: str
    bundle: Path


def make_repository(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    """Make a repository with one commit on `main`."""
    root = folder / "repository"
    for path, text in files.items():
        write(root / path, text)
    git(folder, "init", "-q", "-b", "main", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-qm", "First")
    return root


def turns(*commands: str, answer: Any = ANSWER) -> tuple[Turn, ...]:
    """Let the model read, run commands one after the other, and answer."""
    return (runs(READ), *(runs(command) for command in commands), says(answer))


def propose(folder: Path, repository: Path, *script: Turn, options: Mapping[str, str]) -> Done:
    """Call the real Codex CLI through `propose run`, with a scripted model behind it."""
    with FakeModel(*script, key=KEY) as model:
        given = {
            "task": "data-pipeline",
            "model": "scripted-model",
            "responses-api-endpoint": model.endpoint,
            "repository": str(repository),
            "out": str(folder / "task"),
            **options,
        }
        arguments = [f"--{name}={value}" for name, value in given.items()]
        environ = {"PATH": codex_path(), "HOME": str(folder), "CODEX_API_KEY": KEY}
        done = step(folder, "run", *arguments, bundle=folder / "task/bundle", **environ)
        assert not any(KEY in request.everything for request in model.requests)
        return done


def step(folder: Path, name: str, *arguments: str, bundle: Path, **environ: str) -> Done:
    """Run one step of propose; its result has the form that its schema names."""
    stream = io.StringIO()
    code = run(["propose", name, *arguments], Runner({"COLUMNS": "100", **environ}, stream))
    path = bundle / "result.json"
    result = json.loads(path.read_text()) if path.is_file() else {}
    if result:
        validate(result, f"{result['word']}-result", file="result.json")
        validate(json.loads((bundle / "facts.json").read_text()), "facts", file="facts.json")
    return Done(code, result, stream.getvalue(), bundle)
