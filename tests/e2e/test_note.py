"""The note template, as it stands: a pull request without a note, the draft, and one with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.gate_repository import python_folder, repository, template
from tests.e2e.harness import Act, tool_path
from tests.e2e.test_gate_templates import STAND_INS
from tests.fakes.github import FakeGitHub
from tests.fakes.model import runs, says

KEY = "sk-canary-0123456789"
BASELINE = """\
version: 1
models:
  small:
    metrics:
      val_accuracy: {values: [0.98, 0.99], direction: higher}
"""
DRAFT = {
    "config": "configs/small.yaml",
    "title": "Wider small",
    "hypothesis": "Twice the width learns more.",
    "expected": [
        {"model": "small", "metric": "val_accuracy", "direction": "higher", "bound": 0.99}
    ],
    "rollback": "It is slower.",
    "facts": ["note.rule.small.val_accuracy"],
}


def test_a_config_without_a_note_gets_a_draft_that_passes(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, model: MakeModel
) -> None:
    answer = {"summary": "It is wider.", "findings": [], "next_steps": []}
    server = model(
        runs("cat facts.json diff.patch"),
        says({**answer, "proposal": {"notes": [DRAFT]}}),
        key=KEY,
    )
    more = f"      codex-model: scripted-model\n      responses-api-endpoint: {server.endpoint}\n"
    workflow = template("note").replace("    secrets:\n", f"{more}    secrets:\n")
    files = {
        ".github/workflows/note.yml": workflow,
        "configs/small.yaml": "width: 8\n",
        "configs/baseline.yaml": BASELINE,
    }
    project = scratch(files)
    project.publish("main")
    pull = project.pull_request({"configs/small.yaml": "width: 16\n"})
    hub.add_pull(pull.number, pull.head_sha)
    secrets = {"OPENAI_API_KEY": KEY}

    run = act.run(project, "pull_request", payload=pull.payload, api=hub.url, secrets=secrets)

    assert run.exit_code == 1, run.log
    assert "+width: 16" in server.requests[-1].tool_outputs[0]
    result = json.loads((run.artifacts / "note-note/result.json").read_text())
    assert [item["reason"] for item in result["findings"]] == ["no-note"]
    draft = (run.artifacts / "ask-note/suggested-note.md").read_text()
    (comment,) = hub.store.comments.values()
    assert "Drafted notes" in comment.body
    (note,) = [note for note in run.annotations if "No open note" in note.message]
    assert note.fields["file"] == "configs/small.yaml"

    project.git("switch", "--quiet", "main")
    noted = {"configs/small.yaml": "width: 16\n", "experiments/0001-wider-small.md": draft}
    second = project.pull_request(noted, number=8, branch="noted")
    hub.add_pull(second.number, second.head_sha)
    run = act.run(
        project, "pull_request", payload=second.payload, api=hub.url, secrets=secrets, run_id=2
    )
    assert run.exit_code == 0, run.log


NOTE = """\
---
version: 1
id: 1
title: Wider small
status: open
configs: [configs/small.yaml]
---

# 1: Wider small

## Hypothesis

It learns more.

## Expected outcomes

```yaml
models:
  small:
    metrics:
      val_accuracy: {direction: higher, min: 0.9}
```

## Rollback criteria

```yaml
models:
  small:
    metrics:
      val_accuracy: {direction: higher, min: 0.999}
```

## Result
"""
PATH = "experiments/0001-wider-small.md"


def test_a_closed_note_ends_as_a_pull_request(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, tmp_path: Path
) -> None:
    """Also where the rollback criteria are met: the run is red, and the note says so."""
    files = {**repository(), ".github/workflows/close.yml": template("note-close"), PATH: NOTE}
    project = scratch(files)
    head = project.git("rev-parse", "HEAD")
    hub.store.branches["main"] = head
    hub.store.files["main", PATH] = NOTE.encode()
    with_gh = Act(act.folder, act.library, path=f"{STAND_INS / 'gh'}:{tool_path()}")
    about = {"default_branch": "main", "full_name": project.name}
    inputs = {"note": PATH, "config": "configs/small.yaml"}

    run = with_gh.run(
        project,
        "workflow_dispatch",
        workflow=".github/workflows/close.yml",
        payload={"repository": about, "inputs": inputs},
        api=hub.url,
        env={"MLACTIONS_TEST_PYTHON": str(python_folder(tmp_path / "p", Path(sys.executable)))},
        inputs=inputs,
    )

    assert {job.id: job.result for job in run.jobs} == {
        "evaluate": "success",
        "close": "failure",
        "propose": "success",
    }, run.log
    (pull,) = hub.store.pulls.values()
    assert (pull.base_ref, pull.title) == ("main", f"Close {PATH}")
    written = hub.store.files[pull.head_ref, PATH].decode()
    assert "status: closed\noutcome: held\n" in written
    assert "The hypothesis held" in written
    assert hub.store.files["main", PATH].decode() == NOTE
