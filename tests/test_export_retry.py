"""A suggested patch, tried for real: PyTorch exports in a work tree that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlactions.__main__ import run
from mlactions.ask.patch import Changed, CheckedPatch
from mlactions.bundle import open_bundle, seal, write_json
from mlactions.export.retry_result import outcome_of, render, retry_result
from mlactions.markdown import render as as_markdown
from mlactions.runner import Runner
from mlactions.schema import load_json, validate
from tests.ask_cases import git, write

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "export.yml"
PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
MODEL = """\
import torch
from weights import SCALE


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x):
        if x.sum() > 0:
            x = x * SCALE
        return self.layer(x)


def factory():
    torch.manual_seed(0)
    return Net()
"""
HELPS = """\
--- a/ml/net.py
+++ b/ml/net.py
@@ -8,8 +8,7 @@
         self.layer = torch.nn.Linear(4, 2)

     def forward(self, x):
-        if x.sum() > 0:
-            x = x * SCALE
+        x = torch.where(x.sum() > 0, x * SCALE, x)
         return self.layer(x)


"""
OTHER = HELPS.replace("torch.where(x.sum() > 0, x * SCALE, x)", "x + torch.randn(4)")
USELESS = HELPS.replace(
    "+        x = torch.where(x.sum() > 0, x * SCALE, x)\n",
    "+        if x.mean() > 0:\n+            x = x * SCALE\n",
)


SHARED = ("--share", "weights.py")


@dataclass(frozen=True)
class Project:
    """A repository whose model cannot be exported, and the result that says so."""

    root: Path
    before: Path
    folder: Path

    def retry(self, patch: str, *more: str) -> tuple[int, str, Path]:
        """Try a patch; return the exit code, what was said, and the folder of the result."""
        file = write(self.folder / "suggested.patch", patch)
        out = self.folder / "out"
        arguments = ["retry", "--patch", str(file), "--before", str(self.before), *more]
        code, said = export(self.root, [*arguments, "--out", str(out)])
        return code, said, out

    def state(self) -> list[tuple[str, bytes]]:
        """Return the work tree, and what git knows of other ones."""
        files = [p for p in sorted(self.root.rglob("*")) if p.is_file() and ".git" not in p.parts]
        trees = git(self.root, "worktree", "list").encode()
        return [*((str(p), p.read_bytes()) for p in files), ("trees", trees)]


def export(root: Path, arguments: Sequence[str], **environ: str) -> tuple[int, str]:
    """Run `mlactions export` on the model."""
    stream = StringIO()
    runner = Runner(environ={**os.environ, **environ}, stream=stream)
    return run(["export", *arguments, *options(root)], runner), stream.getvalue()


def options(root: Path) -> list[str]:
    """Return how the model is exported."""
    named = {"--model": "net:factory", "--example-inputs": "x: float32[batch,4]"}
    named |= {"--python": str(PYTHON), "--working-directory": str(root / "ml"), "--seeds": "0"}
    named |= {"--batch-sizes": "1,2,3,7,16"}
    return [word for pair in named.items() for word in pair]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Export the model once; it imports a file that Git does not track."""
    assert PYTHON.exists(), "run `make test`, which sets the example's environment up"
    folder = tmp_path_factory.mktemp("retry")
    root = folder / "repository"
    write(root / "ml/net.py", MODEL)
    write(root / ".gitignore", "weights.py\n__pycache__/\n")
    git(folder, "init", "-q", "-b", "main", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-qm", "First")
    write(root / "ml/weights.py", "SCALE = 2.0\n")
    code, said = export(root, ["--out", str(folder / "export")])
    assert code == 1, said
    return Project(root, folder / "export" / "result", folder)


@pytest.fixture
def project(failed: Project, tmp_path: Path) -> Project:
    """Give the failed export with a folder of its own for results."""
    return Project(failed.root, failed.before, tmp_path)


def test_a_patch_that_helps(project: Project) -> None:
    before = project.state()
    code, said, out = project.retry(HELPS, *SHARED)
    assert code == 0, said
    assert project.state() == before
    result = load_json(out / "result.json")
    assert (result["outcome"], result["status"]) == ("mended", "pass")
    assert result["before"]["reasons"] == ["export-failed", "data-dependent-control-flow"]
    assert result["after"] == {**result["after"], "status": "pass", "reasons": []}
    assert result["files"] == [{"path": "ml/net.py", "added": 1, "removed": 2}]
    names = {entry.path for entry in open_bundle(out, word="export-retry").entries}
    assert not any(name.endswith(".onnx") for name in names)
    assert "after/result.json" in names
    assert "PASS: The suggested change mends the export." in said


@pytest.mark.parametrize(
    ("patch", "outcome"), [(USELESS, "same-failure"), (OTHER, "other-failure")]
)
def test_a_patch_that_does_not_help(project: Project, patch: str, outcome: str) -> None:
    before = project.state()
    code, said, out = project.retry(patch, *SHARED)
    assert code == 1, said
    assert load_json(out / "result.json")["outcome"] == outcome
    assert project.state() == before


def test_changes_that_are_not_committed_take_part(project: Project) -> None:
    try:
        write(project.root / "ml/net.py", MODEL.replace("Linear(4, 2)", "Linear(4, 3)"))
        code, said, out = project.retry(HELPS.replace("4, 2", "4, 3"), *SHARED)
    finally:
        git(project.root, "checkout", "-q", "--", "ml/net.py")
    assert code == 0, said
    assert load_json(out / "result.json")["notes"] == [
        "Tracked changes that are not committed took part."
    ]


def test_a_patch_that_does_not_apply_is_refused_before_anything_runs(project: Project) -> None:
    code, said, out = project.retry(HELPS.replace("x.sum() > 0:", "x.sum() > 1:"))
    assert code == 2
    assert "patch refused: it does not apply: patch failed: ml/net.py" in said
    assert not out.exists()
    code, said, _ = project.retry(HELPS.replace("ml/net.py", ".github/workflows/x.yml"))
    assert (code, "patch refused" in said) == (2, True)


def test_what_git_does_not_track_has_to_be_shared(project: Project) -> None:
    code, said, out = project.retry(HELPS)
    assert code == 1
    result = load_json(out / "result.json")
    assert result["outcome"] == "not-exported"
    assert "imports `weights`: that is not installed" in result["after"]["verdict"]
    assert result["notes"] == [
        "If it misses a file that Git does not track, name the file in `share`."
    ]
    assert "name the file in" in said
    assert git(project.root, "worktree", "list").count("\n") == 0


def test_a_patch_that_breaks_the_model_is_a_result(project: Project) -> None:
    code, _, out = project.retry(HELPS.replace("+        x =", "+        x = ="), *SHARED)
    assert code == 1
    result = load_json(out / "result.json")
    assert (result["outcome"], result["after"]["status"]) == ("not-exported", "refused")


def test_an_export_that_passed_needs_no_patch(project: Project, tmp_path: Path) -> None:
    before = tmp_path / "before"
    shutil.copytree(project.before, before)
    result = load_json(before / "result.json")
    write_json(before / "result.json", {**result, "status": "pass"})
    code, said, _ = Project(project.root, before, tmp_path).retry(HELPS)
    assert (code, "broken bundle" in said) == (2, True)
    seal(before, "export")
    code, said, _ = Project(project.root, before, tmp_path).retry(HELPS)
    assert (code, "nothing to mend" in said) == (2, True)


def test_a_stop_leaves_no_work_tree(project: Project) -> None:
    patch = write(project.folder / "suggested.patch", HELPS)
    command = [str(ROOT / "scripts/run"), "export", "retry", "--patch", str(patch)]
    command += ["--before", str(project.before), "--share", "weights.py", *options(project.root)]
    out = project.folder / "out"
    with subprocess.Popen(
        [*command, "--out", str(out)], stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while git(project.root, "worktree", "list").count("\n") == 0:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert git(project.root, "worktree", "list").count("\n") == 0
    assert not (out / "result.json").exists()


def side(status: str, *reasons: str) -> dict[str, Any]:
    return {"status": status, "verdict": f"It is {status}.", "reasons": list(reasons)}


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (side("pass"), "mended"),
        (side("warn"), "mended"),
        (side("fail", "parity"), "other-failure"),
        (side("refused", "not-exported"), "not-exported"),
        (side("fail", "export-failed"), "same-failure"),
    ],
)
def test_the_outcome(after: dict[str, Any], outcome: str) -> None:
    before = side("fail", "export-failed")
    assert outcome_of(before, after) == outcome
    patch = CheckedPatch("--- a\n```\n", (Changed("a`b.py", 1, 2),))
    result = retry_result(before, after, patch, commit="", key="export", notes=("A @note.",))
    validate(result, "export-retry-result", file="result.json")
    text = as_markdown(render(result))
    assert result["verdict"] in text
    assert "````diff" in text
    assert "@note" not in text


def test_what_an_agent_wrote_runs_with_nothing_to_take_or_leave_behind() -> None:
    """No cache that a later run restores, no token that writes, no secret, no machine of yours."""
    text = WORKFLOW.read_text(encoding="utf-8")
    job = yaml.safe_load(text)["jobs"]["retry"]
    assert job["cache-mode"] in {"none", "read"}
    assert job["permissions"] == {"contents": "read"}
    assert job["runs-on"] == "ubuntu-24.04"
    assert "secrets." not in str(job)
