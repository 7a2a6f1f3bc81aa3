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
from tests.e2e.harness import STAND_INS, Act, Run, tool_path
from tests.fakes.github import FakeGitHub
from tests.fakes.github_state import ALL_SCOPES, Identity
from tests.init_repositories import SHAPES

PIN = "a" * 40
SETUP_TOKEN = "a-token-that-may-add-workflows"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a Python with pip, as setup-python does; the package managers are there already."""
    folder = tmp_path_factory.mktemp("python") / "environment"
    subprocess.run(["uv", "venv", "--quiet", "--seed", str(folder)], check=True)
    managers = ["uv", "poetry>=2,<3"]
    command = ["uv", "pip", "install", "--quiet", "--python", str(folder / "bin/python"), *managers]
    subprocess.run(command, check=True)
    return folder / "bin"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack this checkout: a wheel has to bring all that `init` and `doctor` read."""
    folder = tmp_path_factory.mktemp("wheel")
    command = ["uv", "build", "--wheel", "-q", "--out-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def installing(word: str, wheel: Path) -> str:
    """Return a template that installs this checkout, packed, where it names a release."""
    text, count = re.subn(r"git\+https://\S+ # v\S+", str(wheel), template(word))
    assert count == 1
    return text


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
    act: Act, scratch: MakeScratch, wheel: Path
) -> None:
    wrong = template("gate").replace("0" * 40, PIN).replace("configs:", "config:")
    files = {"doctor": installing("doctor", wheel), "gate": wrong}
    project = scratch({f".github/workflows/{name}.yml": text for name, text in files.items()})

    done = act.run(project, "workflow_dispatch", workflow=".github/workflows/doctor.yml")

    assert done.exit_code == 1, done.log
    (note,) = [note for note in done.annotations if "`config`" in note.message]
    assert note.fields["file"] == ".github/workflows/gate.yml"
    assert "Did you mean `configs`?" in note.message
    assert "mlactions doctor" in done.summary


@pytest.mark.parametrize("secret", [SETUP_TOKEN, ""])
def test_the_template_opens_a_draft_with_what_fits(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, wheel: Path, secret: str
) -> None:
    """Only a token of its own may add workflows; without one the files are kept, and it is said."""
    hub.tokens[SETUP_TOKEN] = Identity("octo", "User", ALL_SCOPES | {"workflows"})
    project = scratch(
        {**SHAPES["existing"], ".github/workflows/init.yml": installing("init", wheel)}
    )
    head = project.git("rev-parse", "HEAD")
    hub.store.branches["main"] = head
    with_gh = Act(act.folder, act.library, path=f"{STAND_INS / 'gh'}:{tool_path()}")

    run = with_gh.run(
        project,
        "workflow_dispatch",
        workflow=".github/workflows/init.yml",
        payload={"repository": {"default_branch": "main", "full_name": project.name}},
        api=hub.url,
        secrets={"SETUP_TOKEN": secret},
        env={"INPUT_PIN": PIN},
    )

    assert run.job("init").ok, run.log
    kept = {p.relative_to(run.artifacts / "init/files").as_posix() for p in files_below(run)}
    assert ".github/workflows/gate.yml" in kept
    assert not kept & {"AGENTS.md", ".github/workflows/audit.yml"}
    if not secret:
        assert run.exit_code == 1
        assert "Add the secret SETUP_TOKEN" in run.log
        assert hub.requests == []
        return
    assert run.exit_code == 0, run.log
    (pull,) = hub.store.pulls.values()
    assert (pull.base_ref, pull.draft, pull.title) == ("main", True, "Set up model checks")
    assert "gate / compare" in pull.body
    written = {path: data for (name, path), data in hub.store.files.items() if name != "main"}
    assert written.keys() == kept
    assert f"gate.yml@{PIN}".encode() in written[".github/workflows/gate.yml"]


def files_below(run: Run) -> list[Path]:
    """Return the files that the init job handed on."""
    return [path for path in (run.artifacts / "init/files").rglob("*") if path.is_file()]
