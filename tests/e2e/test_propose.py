"""The propose template, as it stands: Codex works, the change is run, a draft opens."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.ask_cases import KEY, make_bundle
from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.gate_repository import template
from tests.e2e.harness import Act, Run
from tests.e2e.harness_repository import Scratch, repository_payload
from tests.fakes.github import FakeGitHub
from tests.fakes.github_git import files_of, load_commit
from tests.fakes.model import FakeModel
from tests.propose_support import FILES, GOOD, GOOD_MODEL, turns

NO_KEY = "! env | grep -q 'sk-[c]anary'"
MEASURED = """\
  measured:
    runs-on: ubuntu-24.04
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - uses: actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a # v7.0.1
        with:
          name: export-gate
          path: exported
"""
HOSTILE = "Build $(touch CANARY) `x` ${{ secrets.X }}"


def workflow(model: FakeModel) -> str:
    """Return the template with this machine's Python, and a model that is here."""
    python = sys.executable
    added = f"{python} -m pytest -q -p no:cacheprovider --junitxml={{report}} {{tests}}"
    more = (
        f"      python: {python}\n      added-tests: {added}\n      codex-model: scripted-model\n"
    )
    more += f"      responses-api-endpoint: {model.endpoint}\n"
    text = template("propose")
    # What was measured before, in the same run; and no key where the change is run.
    text = text.replace(
        "jobs:\n  propose:\n", f"jobs:\n{MEASURED}  propose:\n    needs: [measured]\n"
    )
    more += f'      install: "{NO_KEY}"\n'
    for old, new in (
        ("tests: python -m pytest\n", f"tests: {python} -m pytest -q -p no:cacheprovider\n"),
        ("lint: python -m compileall", f"lint: {python} -m compileall"),
        ("      install: python -m pip install -r requirements.txt pytest\n", ""),
        ('      python-version: "3.12"\n', ""),
        ("    secrets:\n", f"{more}    secrets:\n"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


def dispatch(act: Act, project: Scratch, hub: FakeGitHub) -> Run:
    """Start the workflow as a person does."""
    inputs = {
        "task": "data-pipeline",
        "request": HOSTILE,
        "slug": "wider",
        "artifact": "export-gate",
    }
    repository = {**repository_payload(project.name), "default_branch": "main"}
    payload: Mapping[str, Any] = {
        "inputs": inputs,
        "ref": "refs/heads/main",
        "repository": repository,
    }
    secrets = {"OPENAI_API_KEY": KEY}
    return act.run(
        project, "workflow_dispatch", payload=payload, api=hub.url, secrets=secrets, inputs=inputs
    )


@pytest.fixture
def no_workflow_of_ours(tmp_path: Path) -> dict[str, str]:
    """Give the project, an export's result in it, without its workflow, which act would run too."""
    files = {path: text for path, text in FILES.items() if ".github" not in path}
    fact = {"id": "export.cause", "text": "CANARY-EXPORT"}
    exported = make_bundle(tmp_path / "exported", "a" * 40, word="export", facts=[fact])
    return files | {f"exported/{path.name}": path.read_text() for path in exported.iterdir()}


def test_a_draft_comes_of_a_dispatch(
    act: Act,
    scratch: MakeScratch,
    hub: FakeGitHub,
    model: MakeModel,
    no_workflow_of_ours: dict[str, str],
) -> None:
    look = "cat ../facts/request.json ../facts/result-1/facts.json; env"
    look += "; cat /proc/*/environ | tr '\\0' '\\n'"
    server = model(*turns(look, *GOOD), key=KEY)
    files = {**no_workflow_of_ours, ".github/workflows/propose.yml": workflow(server)}
    project = scratch(files)
    tip = load_commit(hub.store, project.path, "main")

    run = dispatch(act, project, hub)

    assert run.exit_code == 0, run.log
    (pull,) = hub.store.pulls.values()
    assert (pull.draft, pull.base_ref, pull.head_ref) == (True, "main", "mlactions/propose/wider")
    assert files_of(hub.store, pull.head_ref)["src/model.py"] == GOOD_MODEL.encode()
    assert hub.store.objects[pull.head_sha]["parents"] == [tip]
    checked = json.loads((run.artifacts / "propose-check-wider/result.json").read_text())
    assert [item["outcome"] for item in checked["runs"]] == ["passed"] * 3
    assert [(test["without"], test["with"]) for test in checked["tests"]] == [("failed", "passed")]
    assert json.dumps(HOSTILE) in server.requests[2].tool_outputs[1]
    assert "CANARY-EXPORT" in server.requests[2].tool_outputs[1]
    assert KEY not in "".join(request.everything for request in server.requests)
    assert KEY not in run.output
    assert project.git("status", "--porcelain") == ""


def test_a_refused_change_ends_before_anything_is_run_or_written(
    act: Act,
    scratch: MakeScratch,
    hub: FakeGitHub,
    model: MakeModel,
    no_workflow_of_ours: dict[str, str],
) -> None:
    server = model(*turns(*GOOD, "echo >> .github/workflows/propose.yml"), key=KEY)
    files = {**no_workflow_of_ours, ".github/workflows/propose.yml": workflow(server)}
    project = scratch(files)
    load_commit(hub.store, project.path, "main")

    run = dispatch(act, project, hub)

    assert run.exit_code == 1
    result = json.loads((run.artifacts / "propose-wider/result.json").read_text())
    assert [finding["reason"] for finding in result["findings"]] == ["forbidden-path"]
    assert "forbidden-path" in run.summary
    assert not run.ran("check")
    assert not run.ran("publish")
    assert hub.count("POST") == 0
