"""The templates and the README's first workflow, as they stand, in repositories of users."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dev.docs import OWN
from tests.e2e.bridge import ROOT
from tests.e2e.conftest import MakeScratch
from tests.e2e.gate_repository import (
    BASELINE,
    BASELINE_FILE,
    EVALUATE,
    PIN,
    first_workflow,
    python_folder,
    repository,
    template,
)
from tests.e2e.harness import Act, Run, tool_path
from tests.fakes.github import FakeGitHub

EXAMPLE = ROOT / "examples" / "digits"
EXAMPLE_PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
STAND_INS = ROOT / "tests" / "e2e" / "stand_ins"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    folder = python_folder(tmp_path / "python", Path(sys.executable))
    return {"MLACTIONS_TEST_PYTHON": str(folder)}


def results(run: Run) -> dict[str, str | None]:
    return {job.id: job.result for job in run.jobs if job.id != "gate"}


def read(run: Run, path: str) -> Any:
    return json.loads((run.artifacts / path).read_text())


def test_the_first_workflow_of_the_readme_gates_the_example(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, tmp_path: Path
) -> None:
    assert EXAMPLE_PYTHON.exists(), "run `make test`, which sets the example's environment up"
    command = ["git", "-C", str(EXAMPLE), "ls-files", "-z"]
    names = subprocess.check_output(command, text=True).split("\0")
    files = {name: (EXAMPLE / name).read_text() for name in names if name}
    project = scratch({**files, ".github/workflows/gate.yml": first_workflow()})
    config = (EXAMPLE / "configs/digits_cnn.yaml").read_text()
    pull = project.pull_request({"configs/digits_cnn.yaml": f"{config}# looked at again\n"})
    hub.add_pull(pull.number, pull.head_sha)
    python = python_folder(tmp_path / "python", EXAMPLE_PYTHON)

    run = act.run(
        project,
        "pull_request",
        payload=pull.payload,
        api=hub.url,
        env={"MLACTIONS_TEST_PYTHON": str(python)},
    )

    assert run.exit_code == 0, run.log
    assert results(run) == {"evaluate": "success", "compare": "success", "comment": "success"}
    (entry,) = read(run, "evaluate-gate.1/evaluation.json")["evaluations"]
    assert (entry["model"], entry["outcome"]) == ("digits_cnn", "ok")
    assert entry["metrics"]["test_accuracy"] > 0.98
    assert "test_accuracy" in hub.comments(pull.number)[0].body


def test_the_written_out_gate_judges_and_comments(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, env: dict[str, str]
) -> None:
    project = scratch(repository(template("gate-jobs")))
    pull = project.pull_request({"configs/small.yaml": "accuracy: 0.981\n"})
    hub.add_pull(pull.number, pull.head_sha)

    run = act.run(project, "pull_request", payload=pull.payload, api=hub.url, env=env)

    expected = {"evaluate": "success", "compare": "success", "comment": "success"}
    assert results(run) == expected, run.log
    assert read(run, "compare-gate/result.json")["status"] == "pass"
    assert len(hub.comments(pull.number)) == 1


ONE_STEP = f"""
on: pull_request
jobs:
  gate:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v7
        with:
          ref: ${{{{ github.event.pull_request.head.sha }}}}
          fetch-depth: 0
      - id: gate
        uses: {OWN}@{PIN}
        with:
          command: >-
            python3 scripts/evaluate.py --config {{config}} --seed {{seed}} --output {{output}}
          seeds: 0,1,2
"""


@pytest.mark.parametrize(
    ("value", "status", "exit_code"),
    [("0.981", "pass", 0), ("0.91", "fail", 1), ("crash", "fail", 1)],
)
def test_the_one_step_action_evaluates_and_compares(
    act: Act, scratch: MakeScratch, value: str, status: str, exit_code: int
) -> None:
    project = scratch(repository(ONE_STEP))
    pull = project.pull_request({"configs/small.yaml": f"accuracy: {value}\n"})

    run = act.run(project, "pull_request", payload=pull.payload)

    assert run.exit_code == exit_code, run.log
    outputs = run.job("gate").step("gate").outputs
    assert outputs["status"] == status
    assert outputs["bundle"].endswith("mlactions/compare")
    assert outputs["evaluation"].endswith("mlactions/evaluate")


def fork_run(project: Any, pull: Any, **changes: Any) -> dict[str, Any]:
    """Return the event that follows the fork's run."""
    head = pull.payload["pull_request"]["head"]
    return {
        "action": "completed",
        "repository": pull.payload["repository"],
        "workflow_run": {
            "id": 1,
            "event": "pull_request",
            "name": "Model gate",
            "head_sha": pull.head_sha,
            "head_branch": head["ref"],
            "head_repository": head["repo"],
            **changes,
        },
    }


def test_a_fork_gets_its_comment_from_the_default_branch(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, env: dict[str, str]
) -> None:
    workflow = template("gate-fork-comment")
    project = scratch({**repository(), ".github/workflows/fork.yml": workflow})
    pull = project.pull_request({"configs/small.yaml": "accuracy: 0.981\n"}, fork="eve/digits")
    hub.add_pull(pull.number, pull.head_sha, head_repository="eve/digits")
    gate = ".github/workflows/gate.yml"
    fork = act.run(
        project,
        "pull_request",
        workflow=gate,
        payload=pull.payload,
        api=hub.url,
        env=env,
        secrets={"GITHUB_TOKEN": "ghs_read"},
    )
    assert fork.exit_code == 0, fork.log
    assert hub.comments(pull.number) == []

    follow = ".github/workflows/fork.yml"
    event = fork_run(project, pull)
    run = act.run(
        project, "workflow_run", workflow=follow, payload=event, api=hub.url, env=env, run_id=2
    )

    assert run.exit_code == 0, run.log
    (comment,) = hub.comments(pull.number)
    assert "unverified fork result" in comment.body.lower()
    assert hub.store.statuses == []
    assert not hub.count("POST", "/check-runs")


def test_a_fork_run_without_a_result_leaves_no_older_verdict_standing(
    act: Act, scratch: MakeScratch, hub: FakeGitHub
) -> None:
    project = scratch({**repository(), ".github/workflows/fork.yml": template("gate-fork-comment")})
    pull = project.pull_request({"configs/small.yaml": "accuracy: 0.981\n"}, fork="eve/digits")
    hub.add_pull(pull.number, pull.head_sha, head_repository="eve/digits")
    mark = "<!-- mlactions:gate:v1 -->"
    hub.add_comment(pull.number, f"{mark}\n\nold and green", "github-actions[bot]", "Bot")

    act.run(
        project,
        "workflow_run",
        workflow=".github/workflows/fork.yml",
        payload=fork_run(project, pull),
        api=hub.url,
        run_id=2,
    )

    (comment,) = hub.comments(pull.number)
    assert "No result" in comment.body
    assert "old and green" not in comment.body


def test_a_fork_whose_branch_moved_on_gets_no_comment(
    act: Act, scratch: MakeScratch, hub: FakeGitHub
) -> None:
    workflow = template("gate-fork-comment")
    project = scratch({**repository(), ".github/workflows/fork.yml": workflow})
    pull = project.pull_request({"configs/small.yaml": "accuracy: 0.981\n"}, fork="eve/digits")
    hub.add_pull(pull.number, "f" * 40, head_repository="eve/digits")
    kept = act.folder / "artifacts" / "1" / "compare-gate"
    kept.mkdir(parents=True)
    (kept / "result.json").write_text('{"pull_request": 1}')

    run = act.run(
        project,
        "workflow_run",
        workflow=".github/workflows/fork.yml",
        payload=fork_run(project, pull),
        api=hub.url,
        run_id=2,
    )

    assert hub.count("POST") == hub.count("PATCH") == 0, run.log


def test_a_baseline_update_ends_as_a_pull_request(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, env: dict[str, str]
) -> None:
    script = EVALUATE.replace("accuracy + noise", "accuracy + noise + 0.001")
    changes = {"scripts/evaluate.py": script}
    files = {**repository(**changes), ".github/workflows/update.yml": template("baseline-update")}
    project = scratch(files)
    head = project.git("rev-parse", "HEAD")
    hub.store.branches["main"] = head
    hub.store.files["main", BASELINE_FILE] = BASELINE.encode()
    with_gh = Act(act.folder, act.library, path=f"{STAND_INS / 'gh'}:{tool_path()}")

    run = with_gh.run(
        project,
        "workflow_dispatch",
        workflow=".github/workflows/update.yml",
        payload={"repository": {"default_branch": "main", "full_name": project.name}},
        api=hub.url,
        env=env,
    )

    assert run.exit_code == 0, run.log
    (pull,) = hub.store.pulls.values()
    assert (pull.base_ref, pull.title) == ("main", "Update the metric baseline")
    written = hub.store.files[pull.head_ref, BASELINE_FILE].decode()
    assert "0.98" in written
    assert "tolerance: {absolute: 0.005}" in written
    assert head in written
    assert hub.store.files["main", BASELINE_FILE].decode() == BASELINE


def test_a_failed_evaluation_updates_no_baseline(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, env: dict[str, str]
) -> None:
    changes = {"configs/other.yaml": "accuracy: crash\n"}
    files = {**repository(**changes), ".github/workflows/update.yml": template("baseline-update")}
    run = act.run(
        scratch(files),
        "workflow_dispatch",
        workflow=".github/workflows/update.yml",
        api=hub.url,
        env=env,
    )

    assert results(run) == {"evaluate": "failure"}, run.log
    assert hub.requests == []
