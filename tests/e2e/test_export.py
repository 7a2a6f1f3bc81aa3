"""The export from end to end: act, PyTorch, ONNX Runtime, the real Codex CLI, a scripted model."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev.docs import OWN
from tests.e2e.bridge import Library
from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.export_repository import (
    BROKEN_FILE,
    EXAMPLE_PYTHON,
    PIN,
    caller,
    line_of_the_branch,
    repository,
    suggestion,
    with_a_branch,
)
from tests.e2e.gate_repository import python_folder
from tests.e2e.harness import Act, Run
from tests.e2e.harness_repository import PullRequest, Scratch
from tests.fakes.github import FakeGitHub
from tests.fakes.model import FakeModel, runs, says

KEY = "sk-canary-0123456789"
FAILED = "export.failure.class"
READ = runs("cat facts.json failure.json exporter.md")
WORKFLOW = ".github/workflows/export.yml"

# The ask job alone, on the artifacts of an export that failed before.
ASK_ALONE = f"""
on: pull_request
jobs:
  ask:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v7
        with:
          ref: ${{{{ github.event.pull_request.head.sha }}}}
          fetch-depth: 0
      - id: ask
        uses: {OWN}/actions/ask@{PIN}
        with:
          bundle: ${{{{ vars.BUNDLES }}}}/export-export
          openai-api-key: ${{{{ secrets.OPENAI_API_KEY }}}}
          responses-api-endpoint: ${{{{ vars.ENDPOINT }}}}
          model: scripted-model
      - if: always()
        uses: actions/upload-artifact@v7
        with:
          name: ask
          path: ${{{{ steps.ask.outputs.bundle }}}}
"""


def answer(patch: str) -> dict[str, Any]:
    """Return an answer that blames the branch and suggests a diff."""
    finding = {
        "model": "",
        "metric": "",
        "facts": [FAILED],
        "file": BROKEN_FILE,
        "line": line_of_the_branch(),
        "explanation": "The branch depends on the largest pixel, so the graph has no one way.",
        "confidence": "high",
    }
    return {
        "summary": "The new branch on the values of the input stops the exporter.",
        "findings": [finding],
        "next_steps": ["Clip without asking first."],
        "patch": patch,
    }


def results(run: Run) -> dict[str, str | None]:
    return {job.id: job.result for job in run.jobs if job.id != "export"}


def read(folder: Path, path: str) -> Any:
    return json.loads((folder / path).read_text())


@dataclass(frozen=True)
class Failed:
    """A pull request whose model cannot be exported, what was done, and what was said."""

    project: Scratch
    pull: PullRequest
    run: Run
    comments: tuple[str, ...]
    shown: str


@pytest.fixture(scope="module")
def failed(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Failed:
    """Run the whole workflow on a model with a branch; Codex suggests to take it out."""
    folder = tmp_path_factory.mktemp("failed")
    project = Scratch(folder / "repositories")
    project.commit({**repository(), ".github/workflows/ask.yml": ASK_ALONE}, "First commit")
    pull = project.pull_request(with_a_branch())
    python = python_folder(folder / "python", EXAMPLE_PYTHON)
    with FakeGitHub() as hub, FakeModel(READ, says(answer(suggestion())), key=KEY) as model:
        hub.store.permissions["alice"] = "write"
        hub.add_pull(pull.number, pull.head_sha)
        run = Act(folder / "act", library).run(
            project,
            "pull_request",
            workflow=WORKFLOW,
            payload=pull.payload,
            api=hub.url,
            secrets={"OPENAI_API_KEY": KEY},
            variables={"ENDPOINT": model.endpoint},
            env={"MLACTIONS_TEST_PYTHON": str(python)},
        )
        comments = tuple(comment.body for comment in hub.comments(pull.number))
        shown = "\n".join(model.requests[-1].tool_outputs) if model.requests else ""
    assert KEY not in run.output
    return Failed(project, pull, run, comments, shown)


def test_a_model_that_exports_is_proven_served_and_shown(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, tmp_path: Path
) -> None:
    # In a folder of the repository, as in one that holds several projects.
    project = scratch(repository(caller(working_directory="projects/digits"), "projects/digits/"))
    pull = project.pull_request({"README.md": "digits\n"})
    hub.add_pull(pull.number, pull.head_sha)
    python = python_folder(tmp_path / "python", EXAMPLE_PYTHON)

    run = act.run(
        project,
        "pull_request",
        payload=pull.payload,
        api=hub.url,
        env={"MLACTIONS_TEST_PYTHON": str(python)},
    )

    expected = ("measure", "verify", "smoke", "comment")
    assert results(run) == dict.fromkeys(expected, "success"), run.log
    folder = run.artifacts / "export-export"
    result = read(folder, "result.json")
    assert (result["status"], result["commit"]) == ("pass", pull.head_sha)
    assert {case["batch"] for case in result["cases"]} >= {1, 2, 3, 7, 16, 64}
    sums = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(sums, cwd=folder, check=True)
    assert (folder / "model/model.onnx").is_file()
    assert (folder / "serving/onnxruntime/Dockerfile").is_file()
    (comment,) = hub.comments(pull.number)
    assert "Served by onnxruntime with equal answers." in comment.body
    assert "no API key" not in comment.body


def test_a_failed_export_is_said_without_a_key(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, tmp_path: Path
) -> None:
    """The verdict, the line and the comment are the same; only the explanation is missing."""
    project = scratch(repository())
    pull = project.pull_request(with_a_branch())
    hub.add_pull(pull.number, pull.head_sha)
    python = python_folder(tmp_path / "python", EXAMPLE_PYTHON)

    run = act.run(
        project,
        "pull_request",
        payload=pull.payload,
        api=hub.url,
        env={"MLACTIONS_TEST_PYTHON": str(python)},
    )

    ended = {job: result for job, result in results(run).items() if result != "skipped"}
    assert ended == {"measure": "failure", "verify": "failure", "comment": "success"}, run.log
    (comment,) = hub.comments(pull.number)
    assert f"{BROKEN_FILE}:{line_of_the_branch()}" in comment.body
    assert "data-dependent-control-flow" in comment.body
    assert "no API key" in comment.body
    assert not (run.artifacts / "export-export/model").exists()


def test_a_failed_export_is_explained_and_the_suggestion_tried(failed: Failed) -> None:
    run = failed.run
    assert results(run) == {
        "measure": "failure",
        "verify": "failure",
        "ask": "success",
        "retry": "success",
        "comment": "success",
    }, run.log
    assert "data-dependent-control-flow" in failed.shown
    result = read(run.artifacts, "export-export/result.json")
    assert result["failure"]["file"] == BROKEN_FILE
    assert result["failure"]["line"] == line_of_the_branch()
    assert not (run.artifacts / "export-export/model").exists()

    checked = read(run.artifacts, "ask-export/checked-answer.json")
    assert checked["patch"]["held"], checked["patch"]["struck"]
    assert checked["patch"]["files"] == [{"path": BROKEN_FILE, "added": 1, "removed": 2}]
    retried = read(run.artifacts, "export-retry-export/result.json")
    assert retried["outcome"] == "mended"
    assert retried["patch"] == (run.artifacts / "ask-export/suggested.patch").read_text()
    names = {path.name for path in (run.artifacts / "export-retry-export").rglob("*")}
    assert not any(name.endswith(".onnx") for name in names)


def test_the_comment_shows_cause_diff_and_what_it_gave(failed: Failed) -> None:
    (body,) = failed.comments
    assert f"{BROKEN_FILE}:{line_of_the_branch()}" in body
    assert "The branch depends on the largest pixel" in body
    assert f"```diff\ndiff --git a/{BROKEN_FILE} b/{BROKEN_FILE}\n" in body
    assert "-        if images.abs().max() &gt; 4:" not in body
    assert "-        if images.abs().max() > 4:" in body
    assert "The suggested change mends the export." in body


def test_nothing_is_written_to_the_repository(failed: Failed) -> None:
    project = failed.project
    assert project.git("status", "--porcelain") == ""
    assert project.git("worktree", "list").count("\n") == 0


def test_the_key_and_the_write_token_are_where_they_belong(failed: Failed) -> None:
    for job in failed.run.jobs:
        if job.id in {"measure", "verify", "retry", "comment"}:
            assert KEY not in job.log
    assert [job.id for job in failed.run.jobs if job.ran("ask")] == ["ask"]


def test_a_diff_that_does_not_apply_is_struck(
    failed: Failed, act: Act, hub: FakeGitHub, model: MakeModel
) -> None:
    server = model(READ, says(answer(suggestion(applies=False))), key=KEY)
    run = act.run(
        failed.project,
        "pull_request",
        workflow=".github/workflows/ask.yml",
        payload=failed.pull.payload,
        api=hub.url,
        secrets={"OPENAI_API_KEY": KEY},
        variables={"BUNDLES": str(failed.run.artifacts), "ENDPOINT": server.endpoint},
        timeout=90.0,
    )
    assert run.job("ask").result == "success", run.log
    checked = read(run.artifacts, "ask/checked-answer.json")
    assert checked["status"] == "answered"
    assert checked["findings"][0]["held"]
    assert checked["patch"]["struck"] == (
        f"it does not apply: patch failed: {BROKEN_FILE}:{line_of_the_branch() - 1}"
    )
    assert not (run.artifacts / "ask/suggested.patch").exists()
    outputs = run.job("ask").step("ask").outputs
    assert (outputs["status"], outputs["patch"]) == ("answered", "")
    assert "The suggested change was struck: it does not apply" in run.summary


ONE_STEP = f"""
on: push
jobs:
  export:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v7
      - uses: actions/setup-python@v7
      - id: export
        uses: {OWN}/actions/export@{PIN}
        with:
          model: src.models.export:classifier
          model-arguments: '{{"config": "smoke_test"}}'
          checkpoint: models/model.pt
          checkpoint-key: weights
          example-inputs: "images: float32[batch,1,8,8]"
          batch-sizes: "1,2,3"
          axes: batch=1..4
          seeds: "0"
          report-file: outputs/export.md
      - if: always()
        env:
          BUNDLE: ${{{{ steps.export.outputs.bundle }}}}
        run: |
          cp -r "$BUNDLE" "$MLACTIONS_TEST_ARTIFACTS/bundle"
          cat outputs/export.md
"""


def test_the_one_step_action_measures_and_verifies(
    act: Act, scratch: MakeScratch, tmp_path: Path
) -> None:
    project = scratch(repository(ONE_STEP))
    python = python_folder(tmp_path / "python", EXAMPLE_PYTHON)

    run = act.run(project, env={"MLACTIONS_TEST_PYTHON": str(python)})

    assert run.exit_code == 0, run.log
    outputs = run.job("export").step("export").outputs
    assert outputs["status"] == "pass"
    assert outputs["bundle"].endswith("mlactions/export")
    assert outputs["result"].endswith("mlactions/export/result.json")
    bundle = run.artifacts.parent / "bundle"
    cases = read(bundle, "result.json")["cases"]
    assert {case["batch"] for case in cases if case["kind"] == "gated"} == {1, 2, 3, 4}
    assert (bundle / "model/model.onnx").is_file()
    assert "## ✅ ONNX export" in run.job("export").log
