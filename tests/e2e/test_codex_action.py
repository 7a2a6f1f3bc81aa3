"""The real Codex CLI, alone and behind the codex-action stand-in, against the scripted model."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeModel, MakeScratch
from tests.e2e.harness import Act, Run, tool_path
from tests.fakes.github import FakeGitHub
from tests.fakes.model import FakeModel, Turn, answers_from, drops, fails, hangs, runs, says, silent

VERSION = "0.169.0"
ACTION = "openai/codex-action@52fe01ec70a42f454c9d2ebd47598f9fd6893d56"
KEY = "sk-canary-0123456789"
SCHEMA = {
    "type": "object",
    "properties": {"fact": {"type": "string"}},
    "required": ["fact"],
    "additionalProperties": False,
}
CONFIG = """
approval_policy = "never"
[features]
plugins = false
[analytics]
enabled = false
"""
PROVIDER = """
model_provider = "scripted"
[model_providers.scripted]
name = "Scripted"
base_url = "{address}/v1"
wire_api = "responses"
env_key = "SCRIPTED_KEY"
request_max_retries = 0
stream_max_retries = 0
"""


def run_codex(
    codex: str, model: FakeModel, home: Path, *arguments: str, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """One `codex exec` with its final message on standard output."""
    provider = PROVIDER.format(address=model.url).split("\n", 2)
    (home / "config.toml").write_text(f"{provider[1]}\n{CONFIG}{provider[2]}")
    command = [codex, "exec", "--skip-git-repo-check", "-s", "read-only", "-C", str(home)]
    return subprocess.run(
        [*command, "-m", "scripted-model", *arguments],
        input="Which fact moved?",
        env={"PATH": tool_path(), "HOME": str(home), "CODEX_HOME": str(home), "SCRIPTED_KEY": KEY},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([says({"fact": "x"})], (0, '{"fact": "x"}')),
        ([runs("echo metric:acc=0.9"), answers_from(r"metric:\w+", "$MATCH")], (0, "metric:acc")),
        ([says("slow", pause=0.1)], (0, "slow")),
        ([says("")], (0, "")),
        ([silent()], (0, "")),
        ([says("not json")], (0, "not json")),
        ([drops()], (1, "")),
        ([fails(401, "invalid_api_key")], (1, "")),
        ([fails(429, "rate_limit_exceeded")], (1, "")),
        ([fails(500)], (1, "")),
    ],
)
def test_codex_ends_as_the_script_says(
    codex: str, model: MakeModel, home: Path, turns: list[Turn], expected: tuple[int, str]
) -> None:
    server = model(*turns, key=KEY)
    result = run_codex(codex, server, home)
    assert (result.returncode, result.stdout.strip()) == expected, result.stderr
    assert server.requests[0].prompt == "Which fact moved?"
    assert len(server.requests) == len(turns)
    assert server.others == []


def test_a_model_that_hangs_keeps_codex_waiting(codex: str, model: MakeModel, home: Path) -> None:
    server = model(hangs())
    with pytest.raises(subprocess.TimeoutExpired):
        run_codex(codex, server, home, timeout=3.0)
    assert len(server.requests) == 1


def test_the_model_sees_the_answer_schema_and_refuses_an_open_one(
    codex: str, model: MakeModel, home: Path
) -> None:
    server = model(says({"fact": "x"}))
    file = home / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    assert run_codex(codex, server, home, "--output-schema", str(file)).returncode == 0
    assert server.requests[0].schema == SCHEMA
    file.write_text(json.dumps({**SCHEMA, "additionalProperties": True}))
    refused = run_codex(codex, server, home, "--output-schema", str(file))
    assert refused.returncode == 1
    assert "invalid_json_schema" in refused.stderr


@pytest.fixture
def ask(act: Act, scratch: MakeScratch, hub: FakeGitHub, tmp_path: Path) -> Any:
    """Run the codex-action stand-in in a workflow: `ask(model, **inputs)`."""

    def start(server: FakeModel, actor: str = "alice", **changes: str) -> Run:
        inputs = {
            "prompt-file": "prompt.md",
            "output-schema-file": "schema.json",
            "output-file": "answer.json",
            "openai-api-key": "${{ secrets.OPENAI_API_KEY }}",
            "responses-api-endpoint": server.endpoint,
            "codex-version": VERSION,
            "codex-home": str(tmp_path / "codex-home"),
            "sandbox": "read-only",
            "model": "scripted-model",
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        step = {"id": "codex", "uses": ACTION, "with": inputs}
        steps = [{"uses": "actions/checkout@v7"}, step]
        jobs = {"ask": {"runs-on": "ubuntu-latest", "steps": steps}}
        files = {
            ".github/workflows/w.yml": json.dumps({"on": "push", "jobs": jobs}),
            "prompt.md": "Which fact moved?",
            "schema.json": json.dumps(SCHEMA),
        }
        (tmp_path / "codex-home").mkdir(exist_ok=True)
        (tmp_path / "codex-home" / "config.toml").write_text(CONFIG)
        secrets = {"OPENAI_API_KEY": KEY}
        return act.run(scratch(files), api=hub.url, secrets=secrets, actor=actor, timeout=60.0)

    return start


def test_the_key_reaches_the_model_and_nothing_that_codex_runs(
    ask: Any, model: MakeModel, tmp_path: Path
) -> None:
    look = "env; cat /proc/*/environ | tr '\\0' '\\n'; echo metric:acc=0.9"
    server = model(runs(look), answers_from(r"metric:\w+", '{"fact": "$MATCH"}'), key=KEY)
    run = ask(server)
    assert run.exit_code == 0, run.log
    assert run.job("ask").step("codex").outputs["final-message"] == '{"fact": "metric:acc"}'
    assert len(server.requests) == 2
    assert server.requests[0].prompt == "Which fact moved?"
    assert server.requests[0].schema == SCHEMA
    assert "GITHUB_SHA=" in server.requests[1].tool_outputs[0]
    assert not any(KEY in request.everything for request in server.requests)
    assert KEY not in run.output
    config = (tmp_path / "codex-home" / "config.toml").read_text()
    assert config.startswith("# Added by codex-action.\nmodel_provider = ")
    assert KEY not in config


def test_the_command_line_is_that_of_the_real_action(ask: Any, model: MakeModel) -> None:
    run = ask(model(says("{}")), effort="high", codex_args='["--json"]')
    line = next(line for line in run.log.splitlines() if "Running: " in line)
    command = json.loads(line.partition("Running: ")[2])
    workspace = command[4]
    assert command == [
        *("codex", "exec", "--skip-git-repo-check", "--cd", workspace),
        *("--output-last-message", "answer.json", "--output-schema", "schema.json"),
        *("--model", "scripted-model", "--config", 'model_reasoning_effort="high"', "--json"),
        *("--sandbox", "read-only"),
    ]
    assert '"type":"turn.completed"' in run.log


@pytest.mark.parametrize(
    ("turn", "changes", "message"),
    [
        (fails(401, "invalid_api_key"), {}, "codex exited with code 1"),
        (says("{}"), {"codex_version": ""}, "codex-version is 'empty'"),
        (says("{}"), {"actor": "mallory"}, "Actor 'mallory' is not permitted"),
        (says("{}"), {"openai_api_key": ""}, "Failed to read server info"),
        (says("{}"), {"prompt": "and another"}, "Only one of `prompt`"),
        (says("{}"), {"sandbox": "none"}, "Invalid safety strategy"),
    ],
)
def test_the_action_fails_by_name(
    ask: Any, model: MakeModel, turn: Turn, changes: dict[str, str], message: str
) -> None:
    run = ask(model(turn), **changes)
    assert run.exit_code == 1
    assert message in run.log


@pytest.mark.parametrize(
    ("actor", "changes", "code"),
    [
        ("mallory", {"allow_users": "bob, mallory"}, 0),
        ("renovate[bot]", {"allow_bot_users": "renovate"}, 0),
        ("renovate[bot]", {}, 1),
        ("github-actions[bot]", {"allow_bots": "true"}, 0),
    ],
)
def test_who_may_start_codex(
    ask: Any, model: MakeModel, actor: str, changes: dict[str, str], code: int
) -> None:
    assert ask(model(says("{}")), actor=actor, **changes).exit_code == code
