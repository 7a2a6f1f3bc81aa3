"""The note template, as it stands: a pull request without a note, the draft, and one with it."""

from __future__ import annotations

import json

from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.gate_repository import template
from tests.e2e.harness import Act
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
