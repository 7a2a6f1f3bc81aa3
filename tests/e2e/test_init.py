"""Five shapes of repository: init writes their gate, and the gate that it wrote runs.

The environments are made as the workflows say, by the real package managers; none needs torch.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
from pathlib import Path

import pytest

from mlactions.__main__ import run
from mlactions.doctor.check import check
from mlactions.init.command import reader
from mlactions.init.packages import find_packages
from mlactions.runner import Runner
from mlactions.schema import resource
from tests.e2e.bridge import CACHE_MODE, ROOT
from tests.e2e.conftest import MakeScratch
from tests.e2e.gate_repository import template
from tests.e2e.harness import Act, tool_path
from tests.fakes.github import FakeGitHub
from tests.init_repositories import SHAPES

PIN = "a" * 40


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a Python with pip, as setup-python does; the package managers are there already."""
    folder = tmp_path_factory.mktemp("python") / "environment"
    subprocess.run(["uv", "venv", "--quiet", "--seed", str(folder)], check=True)
    managers = ["uv", "poetry>=2,<3"]
    command = ["uv", "pip", "install", "--quiet", "--python", str(folder / "bin/python"), *managers]
    subprocess.run(command, check=True)
    return folder / "bin"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gate_that_was_written_runs(  # noqa: PLR0917  # one fixture more than most
    act: Act,
    scratch: MakeScratch,
    hub: FakeGitHub,
    python: Path,
    monkeypatch: pytest.MonkeyPatch,
    shape: str,
) -> None:
    project = scratch(SHAPES[shape])
    path = f"{python}:{tool_path()}"
    if shape == "lightning-poetry":
        command = [str(python / "poetry"), "lock", "--no-interaction", "--quiet"]
        subprocess.run(command, cwd=project.path, check=True)
        project.commit({}, "Lock")
    monkeypatch.chdir(project.path)
    said = io.StringIO()
    environ = {"PATH": path, "HOME": str(project.path.parent)}
    arguments = ["init", f"--pin={PIN}", "--yes", "--evaluate", "--seeds=0,1,2"]
    if shape == "package-pip":  # as its workflow does first
        install = [str(python / "python"), "-m", "pip", "install", "--quiet", "-e", "."]
        subprocess.run(install, cwd=project.path, check=True)
    assert run(arguments, Runner(environ, said)) == 0, said.getvalue()
    files = [p.relative_to(project.path).as_posix() for p in project.path.rglob("*") if p.is_file()]
    read = reader(project.path)
    packages = find_packages(frozenset(files), read, [])
    checkup = check(
        files, read, load=lambda name: resource(name).read_text(), own=PIN, packages=packages
    )
    assert checkup.count("fail") == 0, checkup.problems
    assert ".github/workflows/gate.yml" in checkup.workflows
    for workflow in project.path.glob(".github/workflows/*.yml"):
        workflow.write_text(CACHE_MODE.sub("", workflow.read_text()))
    project.commit({}, "Set up")
    config = "conf" if shape == "lightning-poetry" else "configs"
    pull = project.pull_request({f"{config}/small.yaml": "accuracy: 0.9\n"})
    hub.add_pull(pull.number, pull.head_sha)

    done = act.run(
        project,
        "pull_request",
        workflow=".github/workflows/gate.yml",
        payload=pull.payload,
        api=hub.url,
        env={"MLACTIONS_TEST_PYTHON": str(python)},
    )

    assert done.job("evaluate").ok, done.log
    result = json.loads((done.artifacts / "compare-gate/result.json").read_text())
    assert result["status"] == "fail", done.log
    rows = {(row["model"], row["metric"]): row["status"] for row in result["rows"]}
    assert rows["small", "val_accuracy"] == "fail"
    assert set(rows.values()) == {"fail"}
    (comment,) = hub.store.comments.values()
    assert "val_accuracy" in comment.body


def test_the_weekly_check_runs_as_it_is_written(
    act: Act, scratch: MakeScratch, tmp_path: Path
) -> None:
    """Its library is this checkout, packed: the wheel has to bring all that doctor reads."""
    subprocess.run(
        ["uv", "build", "--wheel", "-q", "--out-dir", str(tmp_path), str(ROOT)], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    released = re.compile(r"git\+https://\S+ # v\S+")
    text, count = released.subn(str(wheel), template("doctor"))
    assert count == 1
    wrong = template("gate").replace("0" * 40, PIN).replace("configs:", "config:")
    project = scratch({".github/workflows/doctor.yml": text, ".github/workflows/gate.yml": wrong})

    done = act.run(project, "workflow_dispatch", workflow=".github/workflows/doctor.yml")

    assert done.exit_code == 1, done.log
    (note,) = [note for note in done.annotations if "`config`" in note.message]
    assert note.fields["file"] == ".github/workflows/gate.yml"
    assert "Did you mean `configs`?" in note.message
    assert "mlactions doctor" in done.summary
