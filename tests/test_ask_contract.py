"""What the ask action hands to codex-action: every restriction, and every input that was given."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

ACTION = Path(__file__).resolve().parents[1] / "actions/ask/action.yml"
STEPS = {step["id"]: step for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"]}
CODEX = STEPS["codex"]["with"]


def test_codex_is_restricted() -> None:
    assert CODEX["sandbox"] == "read-only"
    assert CODEX["safety-strategy"] == "drop-sudo"
    assert json.loads(CODEX["codex-args"]) == ["--strict-config", "--json"]


def test_what_prepare_wrote_and_what_the_caller_gave_reaches_codex() -> None:
    rest = {"sandbox", "safety-strategy", "codex-args"}
    prepared = {"prompt-file", "output-schema-file", "output-file", "codex-home"}
    prepared |= {"working-directory"}
    given = {"openai-api-key", "responses-api-endpoint", "codex-version", "model", "effort"}
    given |= {"allow-users", "allow-bot-users"}
    expected = {name: f"${{{{ steps.prepare.outputs.{name} }}}}" for name in prepared}
    expected |= {name: f"${{{{ inputs.{name} }}}}" for name in given}
    assert {name: value for name, value in CODEX.items() if name not in rest} == expected


def test_codex_is_called_when_asked_and_its_end_is_always_looked_at() -> None:
    assert STEPS["codex"]["if"] == "${{ steps.prepare.outputs.ask == 'true' }}"
    assert STEPS["codex"]["continue-on-error"] is True
    assert STEPS["verify"]["if"] == "${{ !cancelled() }}"
