"""The audit template, as it stands, on pull requests; and what Codex may add to it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dev.docs import OWN
from tests.e2e.bridge import ROOT
from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.gate_repository import PIN, python_folder, template
from tests.e2e.harness import Act, Run
from tests.fakes.github import FakeGitHub
from tests.fakes.model import runs, says

KEY = "sk-canary-0123456789"

# Stands for a training: reads Hydra's overrides, records steps, leaves a metrics file.
TRAIN = """\
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, "src")
from mlactions_record import record

given = dict(item.split("=", 1) for item in sys.argv if "=" in item)
assert not [name for name in os.environ if "KEY" in name or "TOKEN" in name]
loss = 1.0
for step in range(5):
    loss = loss / 2 NOISE
    record(step, {"head.weight": loss}, {"loss": loss})
Path(given["hydra.run.dir"], "metrics.json").write_text(json.dumps({"loss": loss}))
"""
NOISE = "+ (int.from_bytes(os.urandom(4), 'big') / 2**40 if step == 3 else 0)"
MODEL = """\
import torch


def load(path):
    return torch.load(path, weights_only=True)
"""


def files(workflow: str) -> dict[str, str]:
    return {
        "scripts/train.py": TRAIN.replace(" NOISE", ""),
        "src/mlactions_record.py": (ROOT / "scripts/mlactions_record.py").read_text(),
        "src/model.py": MODEL,
        "requirements.txt": "",
        ".github/workflows/audit.yml": workflow,
    }


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Let the stand-in for setup-python offer this machine's Python."""
    folder = python_folder(tmp_path / "python", Path(sys.executable))
    return {"MLACTIONS_TEST_PYTHON": str(folder)}


def result(run: Run) -> Any:
    return json.loads((run.artifacts / "audit-audit/result.json").read_text())


def test_the_template_names_the_line_and_the_step(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, env: dict[str, str]
) -> None:
    project = scratch(files(template("audit")))
    changes = {
        "scripts/train.py": TRAIN.replace("NOISE", NOISE),
        "src/model.py": MODEL.replace(", weights_only=True", ""),
    }
    pull = project.pull_request(changes)
    hub.add_pull(pull.number, pull.head_sha)

    run = act.run(project, "pull_request", payload=pull.payload, api=hub.url, env=env)

    assert run.exit_code == 1, run.log
    found = {job.id: job.result for job in run.jobs if job.result is not None}
    assert found["measure"] == "success", run.log
    assert (result(run)["status"], result(run)["commit"]) == ("fail", pull.head_sha)
    first = result(run)["measured"]["comparisons"][0]["first"]
    assert first == {"step": 3, "metric": "loss", "tensor": "head.weight"}
    (finding,) = result(run)["findings"]
    assert (finding["rule"], finding["file"]) == ("torch-load-unsafe", "src/model.py")
    said = [note for job in run.jobs for note in job.annotations]
    notes = [note for note in said if note.level == "warning"]
    assert (notes[0].fields["file"], notes[0].fields["line"]) == ("src/model.py", "5")
    (comment,) = hub.comments(pull.number)
    assert "first at step 3, in metric loss and tensor head.weight" in comment.body


def test_the_template_passes_what_can_be_repeated(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, env: dict[str, str]
) -> None:
    project = scratch(files(template("audit")))
    pull = project.pull_request({"src/more.py": "x = 1\n"})
    hub.add_pull(pull.number, pull.head_sha)
    run = act.run(project, "pull_request", payload=pull.payload, api=hub.url, env=env)
    assert run.exit_code == 0, run.log
    assert result(run)["status"] == "pass"
    assert "equal bit for bit" in hub.comments(pull.number)[0].body


CALLER = f"""
on: pull_request
permissions: {{}}
jobs:
  audit:
    permissions:
      contents: read
      pull-requests: write
    uses: {OWN}/.github/workflows/audit.yml@{PIN}
    with:
      paths: src
      explain: always
      codex-model: scripted-model
      responses-api-endpoint: ${{{{ vars.ENDPOINT }}}}
    secrets:
      openai-api-key: ${{{{ secrets.OPENAI_API_KEY }}}}
"""


def finding(line: int, quote: str) -> dict[str, Any]:
    return {
        "kind": "own-generator",
        "level": "warning",
        "file": "src/model.py",
        "line": line,
        "quote": quote,
        "explanation": "It loads what another run left.",
        "fix": "Name the file in the config.",
        "facts": ["audit.score"],
        "evidence": [],
    }


def test_what_codex_finds_is_held_against_its_line_and_fails_nothing(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, model: MakeModel
) -> None:
    found = [
        finding(5, "    return torch.load(path, weights_only=True)"),
        finding(5, "    return torch.load(path, weights_only=False)"),
        finding(50, "import torch"),
    ]
    answer = {"summary": "One thing.", "findings": [], "next_steps": []}
    server = model(
        runs("cat facts.json"), says({**answer, "proposal": {"findings": found}}), key=KEY
    )
    project = scratch(files(CALLER))
    pull = project.pull_request({"src/more.py": "x = 1\n"})
    hub.add_pull(pull.number, pull.head_sha)

    run = act.run(
        project,
        "pull_request",
        payload=pull.payload,
        api=hub.url,
        secrets={"OPENAI_API_KEY": KEY},
        variables={"ENDPOINT": server.endpoint},
    )

    assert run.exit_code == 0, run.log
    assert result(run)["status"] == "pass"
    checked = json.loads((run.artifacts / "ask-audit/checked-answer.json").read_text())
    assert checked["status"] == "answered", run.log
    assert checked["proposal"]["claims"] == {"checked": 3, "held": 1}
    body = hub.comments(pull.number)[0].body
    assert "~~src/model.py:50~~" in body
    assert KEY not in run.output
