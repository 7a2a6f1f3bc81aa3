"""`actions/ask` as a step: real Codex CLI, codex-action stand-in, scripted model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ask_cases import ANSWER, FACTS, KEY, make_bundle
from tests.e2e.bridge import SELF, SELF_REF
from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.harness import Act, Run
from tests.fakes.github import FakeGitHub
from tests.fakes.model import FakeModel, fails, runs, says

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
READ = runs("cat facts.json")
COMMANDS = (
    "::error::CANARY-1\n##[error]CANARY-2\n  ::add-mask::digits_cnn\n##[add-mask]digits_cnn\n"
)


@pytest.fixture
def ask(act: Act, scratch: MakeScratch, hub: FakeGitHub, tmp_path: Path) -> Any:
    """Run the action on a result: `ask(model, actor=…, **inputs)`."""
    bundle = make_bundle(tmp_path / "bundle", "", facts=FACTS)
    results = {f"results/{path.name}": path.read_bytes() for path in bundle.iterdir()}

    def start(model: FakeModel, actor: str = "alice", **changes: str) -> Run:
        inputs = {
            "bundle": "results",
            "openai-api-key": "${{ secrets.OPENAI_API_KEY }}",
            "responses-api-endpoint": model.endpoint,
            "model": "scripted-model",
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        step = {"id": "ask", "uses": f"{SELF}/actions/ask@{SELF_REF}", "with": inputs}
        steps = [{"uses": CHECKOUT, "with": {"fetch-depth": 0}}, step]
        jobs = {"ask": {"runs-on": "ubuntu-latest", "steps": steps}}
        files = {
            **results,
            ".github/workflows/w.yml": json.dumps({"on": "push", "jobs": jobs}),
            "src/train.py": "learning_rate = 0.5\nold_learning_rate = 0.01\n",
            "AGENTS.md": "CANARY-AGENTS",
        }
        return act.run(
            scratch(files), api=hub.url, secrets={"OPENAI_API_KEY": KEY}, actor=actor, timeout=60.0
        )

    return start


def test_the_answer_arrives_checked(ask: Any, model: MakeModel) -> None:
    server = model(READ, says(ANSWER), key=KEY)
    run = ask(server)
    assert run.exit_code == 0, run.log
    outputs = run.job("ask").step("ask").outputs
    assert outputs["status"] == "answered"
    assert json.loads(outputs["usage"])["codex_version"] == "0.169.0"
    assert "Codex answered; 8 of 8 claims held." in run.summary
    assert "There: `learning_rate = 0.5`" in run.summary
    assert server.requests[0].schema is not None
    assert "CANARY-AGENTS" not in server.requests[0].everything
    assert KEY not in run.output


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"openai_api_key": ""}, "not-called", "No explanation: no API key was given."),
        ({"actor": "mallory"}, "not-called", "codex-action stopped before it set Codex up"),
        ({"codex_version": "0.1.0"}, "not-called", "codex-action stopped before it set Codex up"),
    ],
)
def test_a_call_that_does_not_happen_fails_nothing(
    ask: Any, model: MakeModel, changes: dict[str, str], status: str, said: str
) -> None:
    server = model(READ, says(ANSWER), key=KEY)
    run = ask(server, **changes)
    assert run.exit_code == 0, run.log
    assert run.job("ask").step("ask").outputs["status"] == status
    assert said in run.log
    assert server.requests == []


def test_an_outage_fails_nothing(ask: Any, model: MakeModel) -> None:
    run = ask(model(fails(429, "insufficient_quota"), key=KEY))
    assert run.exit_code == 0, run.log
    assert run.job("ask").step("ask").outputs["status"] == "infrastructure-failed"
    assert "the API account has no quota left" in run.summary


def test_a_required_answer_that_is_missing_fails(ask: Any, model: MakeModel) -> None:
    run = ask(model(READ, says("no"), key=KEY), required="true")
    assert run.exit_code == 1
    assert run.job("ask").step("ask").outputs["status"] == "no-answer"


def test_a_wildcard_is_refused_before_anything_is_asked(ask: Any, model: MakeModel) -> None:
    server = model(READ, says(ANSWER), key=KEY)
    run = ask(server, actor="mallory", allow_users="*")
    assert run.exit_code == 1
    assert "`*` is not allowed" in run.log
    assert server.requests == []


def test_what_codex_prints_is_no_workflow_command(ask: Any, model: MakeModel) -> None:
    speaks = runs(f"cat facts.json; printf '{COMMANDS}'")
    run = ask(model(speaks, says({**ANSWER, "summary": f"It fell.\n{COMMANDS}"}), key=KEY))
    assert run.exit_code == 0, run.log
    log = run.job("ask").step("ask", "codex", "run_codex").log
    assert "CANARY-2" in log, "nothing was printed that could have been obeyed"
    assert not [line for line in log.splitlines() if line.lstrip().startswith(("::", "##["))]
    assert not [note for note in run.job("ask").annotations if "CANARY" in note.message]
    assert run.job("ask").step("ask").outputs["status"] == "answered"
    assert "digits_cnn" in run.summary
