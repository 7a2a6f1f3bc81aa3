"""`actions/ask` as a step: real Codex CLI, codex-action stand-in, scripted model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.ask_cases import ANSWER, FACTS, KEY, make_bundle
from tests.e2e.bridge import SELF, SELF_REF
from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.harness import Act, Run
from tests.fakes.github import FakeGitHub
from tests.fakes.model import FakeModel, fails, runs, says, uses
from tests.mlflow_support import Gatekeeper, Mlflow

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
SECRETS = {"OPENAI_API_KEY": KEY, "MLFLOW_TRACKING_TOKEN": "CANARY-TOKEN"}
READ = runs("cat facts.json")
COMMANDS = (
    "::error::CANARY-1\n##[error]CANARY-2\n  ::add-mask::digits_cnn\n##[add-mask]digits_cnn\n"
)


@pytest.fixture
def ask(act: Act, scratch: MakeScratch, hub: FakeGitHub, tmp_path: Path) -> Any:
    """Run the action on a result: `ask(model, actor=…, environ=…, event=…, **inputs)`."""
    bundle = make_bundle(tmp_path / "bundle", "", facts=FACTS)
    results = {f"results/{path.name}": path.read_bytes() for path in bundle.iterdir()}

    def start(
        model: FakeModel,
        actor: str = "alice",
        environ: Mapping[str, str] | None = None,
        **changes: str,
    ) -> Run:
        inputs = {
            "bundle": "results",
            "openai-api-key": "${{ secrets.OPENAI_API_KEY }}",
            "responses-api-endpoint": model.endpoint,
            "model": "scripted-model",
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        step: dict[str, Any] = {
            "id": "ask",
            "uses": f"{SELF}/actions/ask@{SELF_REF}",
            "with": inputs,
        }
        step["env"] = dict(environ or {})
        steps = [{"uses": CHECKOUT, "with": {"fetch-depth": 0}}, step]
        jobs = {"ask": {"runs-on": "ubuntu-latest", "steps": steps}}
        files = {
            **results,
            ".github/workflows/w.yml": json.dumps({"on": "push", "jobs": jobs}),
            "src/train.py": "learning_rate = 0.5\nold_learning_rate = 0.01\n",
            "AGENTS.md": "CANARY-AGENTS",
        }
        return act.run(scratch(files), api=hub.url, secrets=SECRETS, actor=actor, timeout=60.0)

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


def test_codex_reads_mlflow_with_credentials_that_nobody_else_sees(
    ask: Any, model: MakeModel, mlflow_server: Mlflow
) -> None:
    experiment = mlflow_server.experiment()
    run_id = mlflow_server.run(experiment, {"lr": "0.5"})
    look = runs(
        "cat facts.json; env; cat /proc/*/environ | tr '\\0' '\\n'; cat ../home/config.toml"
    )
    server = model(look, uses("mlflow", "describe_run", run_id=run_id), says(ANSWER), key=KEY)
    with Gatekeeper(mlflow_server, "Bearer CANARY-TOKEN") as gate:
        run = ask(
            server,
            environ={"MLFLOW_TRACKING_TOKEN": "${{ secrets.MLFLOW_TRACKING_TOKEN }}"},
            mcp="mlflow",
            tracking_uri=gate.url,
        )
    assert run.exit_code == 0, run.log
    outputs = run.job("ask").step("ask").outputs
    assert outputs["status"] == "answered", run.log
    usage = json.loads(outputs["usage"])
    assert (usage["mcp_calls"], usage["mcp_failures"]) == (1, 0)
    assert '"lr": "0.5"' in server.requests[-1].tool_outputs[-1]
    assert "enabled_tools" in server.requests[-1].everything
    assert "CANARY-TOKEN" not in server.requests[-1].everything
    assert "CANARY-TOKEN" not in run.output


def test_a_server_that_does_not_start_is_named(ask: Any, model: MakeModel) -> None:
    """The remote server is asked through a proxy that does not exist."""
    server = model(READ, says(ANSWER), key=KEY)
    run = ask(server, environ={"HTTPS_PROXY": "http://127.0.0.1:9"}, mcp="huggingface")
    assert run.exit_code == 0, run.log
    assert run.job("ask").step("ask").outputs["status"] == "infrastructure-failed"
    assert "an MCP server that Codex needs did not start" in run.summary
    assert server.requests == []


def test_no_server_with_code_of_a_pull_request(ask: Any, model: MakeModel) -> None:
    server = model(READ, says(ANSWER), key=KEY)
    run = ask(server, mcp="mlflow", tracking_uri="http://127.0.0.1:9", base_ref="HEAD")
    assert run.exit_code == 1
    assert "refused on a pull request" in run.log
    assert server.requests == []
