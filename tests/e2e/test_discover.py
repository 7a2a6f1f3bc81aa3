"""The discover template as it stands, and Codex ranking in a job, with a Hub on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.docs import OWN
from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.gate_repository import PIN, template
from tests.e2e.harness import Act, Run, tool_path
from tests.fakes.github import FakeGitHub
from tests.fakes.hub import FakeHub, sha
from tests.fakes.hub import model as repository
from tests.fakes.model import runs, says, uses
from tests.hub_support import hub_server

KEY = "sk-canary-0123456789"
TOKEN = "hf_CANARY"
FORM = {
    "task": "image classification of `digits`; echo $(id)",
    "kind": "model",
    "licence": "apache-2.0,mit",
    "max-parameters": "100M",
    "min-samples": "",
}


@pytest.fixture
def models() -> Iterator[FakeHub]:
    """Start a Hub that takes one token."""
    with FakeHub(
        repository("acme/digits-vit", parameters=5_700_000),
        repository("acme/digits-nc", licence="cc-by-nc-4.0", parameters=5_700_000),
        repository("acme/digits-huge", parameters=632_000_000),
        token=TOKEN,
    ) as served:
        yield served


@pytest.fixture
def with_server(act: Act, tmp_path: Path) -> Act:
    """Give a way to run workflows on a machine that has the Hub's MCP server."""
    return Act(act.folder, act.library, path=f"{hub_server(tmp_path)}:{tool_path()}")


def result(run: Run) -> Any:
    return json.loads((run.artifacts / "discover-discover/result.json").read_text())


def test_the_template_answers_in_the_job_s_summary(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, models: FakeHub
) -> None:
    workflow = template("discover").replace(
        "      not-gated: true\n", f"      not-gated: true\n      hub-endpoint: {models.url}\n"
    )
    project = scratch({".github/workflows/discover.yml": workflow, "requirements.txt": "timm\n"})
    payload = {"inputs": FORM}

    run = act.run(
        project, "workflow_dispatch", payload=payload, api=hub.url, secrets={"HF_TOKEN": TOKEN}
    )

    assert run.exit_code == 0, run.log
    jobs = {job.id: job.result for job in run.jobs if job.result is not None}
    assert jobs["discover"] == "success"
    assert jobs.get("ask", "skipped") == "skipped", "there is no key"
    assert [item["id"] for item in result(run)["candidates"]] == ["acme/digits-vit"]
    assert f'REVISION = "{sha("acme/digits-vit")}"' in run.summary
    assert result(run)["task"] == FORM["task"]
    assert TOKEN not in run.output
    assert {request.headers.get("authorization") for request in models.state.requests} == {
        f"Bearer {TOKEN}"
    }

    payload = {"inputs": {**FORM, "max-parameters": "1M"}}
    run = act.run(
        project,
        "workflow_dispatch",
        payload=payload,
        api=hub.url,
        secrets={"HF_TOKEN": TOKEN},
        run_id=2,
    )
    assert run.exit_code == 1
    assert result(run)["state"] == "no-candidate"
    assert "5,700,000 parameters are more than 1,000,000" in run.summary


RANKED = f"""
on: workflow_dispatch
jobs:
  discover:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v7
      - id: discover
        uses: {OWN}/actions/discover@{PIN}
        with:
          task: digits
          licence: apache-2.0
        env:
          HF_ENDPOINT: ${{{{ vars.HUB }}}}
      - id: ask
        uses: {OWN}/actions/ask@{PIN}
        with:
          bundle: ${{{{ steps.discover.outputs.bundle }}}}
          openai-api-key: ${{{{ secrets.OPENAI_API_KEY }}}}
          responses-api-endpoint: ${{{{ vars.ENDPOINT }}}}
          model: scripted-model
          when: always
          mcp: huggingface-stdio
        env:
          HF_ENDPOINT: ${{{{ vars.HUB }}}}
      - uses: actions/upload-artifact@v7
        with:
          name: ask
          path: ${{{{ steps.ask.outputs.bundle }}}}
"""


def test_whom_codex_ranks_is_looked_up_in_its_job(
    with_server: Act, scratch: MakeScratch, hub: FakeGitHub, models: FakeHub, model: MakeModel
) -> None:
    named = ("acme/digits-vit", "acme/digits-invented", "acme/digits-nc")
    candidates = [{"id": name, "reason": "It fits."} for name in named]
    answer: dict[str, Any] = {"summary": "Try the first.", "findings": [], "next_steps": []}
    search = uses("huggingface", "hub_repo_search", query="digits", repo_types=["model"])
    answer |= {"proposal": {"candidates": candidates}}
    server = model(runs("cat facts.json"), search, says(answer), key=KEY)
    project = scratch({".github/workflows/discover.yml": RANKED})

    run = with_server.run(
        project,
        "workflow_dispatch",
        api=hub.url,
        secrets={"OPENAI_API_KEY": KEY},
        variables={"HUB": models.url, "ENDPOINT": server.endpoint},
    )

    assert run.exit_code == 0, run.log
    assert "acme/digits-huge" in server.requests[-1].tool_outputs[-1], "the MCP server searched"
    checked = json.loads((run.artifacts / "ask/checked-answer.json").read_text())
    assert checked["status"] == "answered", run.log
    assert checked["proposal"]["claims"] == {"checked": 3, "held": 1}
    struck = checked["proposal"]["document"]["candidates"][1:]
    assert [item["struck"][0]["code"] for item in struck] == ["not-found", "licence-not-allowed"]
    assert "~~acme/digits-invented~~" in run.summary
    assert (run.artifacts / "ask/citations.bib").is_file()
    assert KEY not in run.output
