"""The real Codex CLI asked through our files, answered by a scripted model, checked by `verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlactions.bundle import open_bundle
from mlactions.schema import validate
from tests.ask_cases import (
    ACCURACY,
    ANSWER,
    CRASH,
    Project,
    Ran,
    call_codex,
    make_crash,
    make_project,
    prepare,
    verify,
    write,
)
from tests.fakes.model import FakeModel, Turn, drops, fails, hangs, runs, says, silent

READ = runs("cat facts.json", "cat diff.patch")
DEAD = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" "$@"'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a pull request whose comparison failed, with the question about it."""
    made = make_project(tmp_path)
    assert prepare(made).code == 0
    return made


def asked(project: Project, *turns: Turn) -> tuple[Ran, dict[str, Any]]:
    """Call Codex with a script and verify what comes of it."""
    with FakeModel(*turns) as model:
        outcome = call_codex(project, model)
    return verify(project, outcome)


def test_an_answer_that_holds(project: Project) -> None:
    with FakeModel(READ, says(ANSWER)) as model:
        outcome = call_codex(project, model)
        first = model.requests[0]
        assert first.prompt.strip() == project.workspace.prompt.read_text().strip()
        assert first.schema == json.loads(project.workspace.schema.read_text())
        assert "CANARY" not in first.everything, "the pull request's AGENTS.md reached the model"
        assert ACCURACY in model.requests[1].tool_outputs[0]
    ran, checked = verify(project, outcome)
    assert ran.code == 0
    assert (checked["status"], checked["reason"]) == ("answered", "")
    assert checked["commit"] == project.head
    assert checked["findings"][0]["held"]
    assert checked["findings"][0]["quote"] == "learning_rate = 0.5"
    assert checked["claims"] == {"checked": 8, "held": 8}
    assert checked["numbers_unverified"] == {"summary": [], "next_steps": []}
    usage = checked["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["commands"]) == (300, 20, 2)
    assert (usage["model"], usage["codex_version"]) == ("scripted-model", "0.169.0")
    assert usage["seconds"] > 0


def test_the_outputs_and_the_bundle(project: Project) -> None:
    ran, checked = asked(project, READ, says(ANSWER))
    bundle = project.workspace.bundle
    assert ran.outputs == {
        "status": "answered",
        "bundle": str(bundle),
        "result": str(bundle / "checked-answer.json"),
        "report": str(bundle / "report.md"),
        "usage": json.dumps(checked["usage"], sort_keys=True, separators=(",", ":")),
        "patch": "",
    }
    assert {entry.path for entry in open_bundle(bundle, word="ask").entries} == {
        "checked-answer.json",
        "report.md",
    }
    assert ran.summary.strip() == (bundle / "report.md").read_text().strip()
    assert "Measured: test_accuracy of digits_cnn changed by -0.031" in ran.summary
    assert ran.said.endswith("ANSWERED: Codex answered; 8 of 8 claims held.\n")


def test_invented_ids_files_and_numbers(project: Project) -> None:
    invented = {**ANSWER["findings"][0], "facts": ["compare.invented"], "file": "src/none.py"}
    invented |= {"model": "resnet", "metric": "f1", "explanation": "It lost 0.123 @team #9."}
    answer = {**ANSWER, "summary": "Accuracy is 0.77 now.", "findings": [invented]}
    ran, checked = asked(project, READ, says(answer))
    assert ran.code == 0
    finding = checked["findings"][0]
    assert not finding["held"]
    assert len(finding["struck"]) == 4
    assert finding["numbers_unverified"] == ["0.123"]
    assert checked["numbers_unverified"]["summary"] == ["0.77"]
    assert checked["claims"] == {"checked": 6, "held": 0}
    assert "1 explanation was struck" in ran.summary
    assert "~~It lost 0.123 @" in ran.summary
    assert "@team" not in ran.summary


def test_invented_runs_and_commits_are_counted_whatever_word_asked(project: Project) -> None:
    short = project.head[:9]
    answer = {
        **ANSWER,
        "summary": f"{ANSWER['summary']} Run {'deadbeef' * 4} and commit 1a2b3c4 show it.",
        "next_steps": [f"Go back to commit {short}.", f"Deploy run {'feedface' * 4}."],
    }
    _, checked = asked(project, READ, says(answer))
    assert checked["numbers_unverified"] == {
        "summary": ["deadbeef" * 4, "1a2b3c4"],
        "next_steps": ["feedface" * 4],
    }
    claims = checked["claims"]
    assert claims["checked"] - claims["held"] == 3


@pytest.mark.parametrize(
    ("turns", "status", "reason"),
    [
        ([READ, silent()], "no-answer", "empty"),
        ([READ, says("All is well, merge it.")], "no-answer", "not-json"),
        ([READ, says({"verdict": "pass"})], "no-answer", "schema-violated"),
        ([READ, says({**ANSWER, "summary": "x" * 300_000})], "no-answer", "too-large"),
        ([says(ANSWER)], "no-answer", "unproven"),
        ([runs("true"), says(ANSWER)], "no-answer", "unproven"),
        ([runs("cat missing.json; false"), says(ANSWER)], "no-answer", "unproven"),
        ([fails(401, "invalid_api_key")], "infrastructure-failed", "auth"),
        ([fails(429, "rate_limit_exceeded")], "infrastructure-failed", "rate-limit"),
        ([fails(429, "insufficient_quota")], "infrastructure-failed", "quota"),
        ([fails(500)], "infrastructure-failed", "server-error"),
        ([READ, fails(503)], "infrastructure-failed", "server-error"),
        ([fails(400, "invalid_json_schema")], "infrastructure-failed", "request-failed"),
        ([READ, drops()], "infrastructure-failed", "stream-broken"),
    ],
)
def test_without_a_usable_answer(
    project: Project, turns: list[Turn], status: str, reason: str
) -> None:
    ran, checked = asked(project, *turns)
    assert ran.code == 0, "the verdict is not Codex's to change"
    assert (checked["status"], checked["reason"]) == (status, reason)
    assert (checked["summary"], checked["findings"]) == ("", [])
    assert ran.outputs["status"] == status
    assert "::warning title=ask::No explanation:" in ran.said
    assert checked["usage"] is not None


def test_a_model_that_hangs(project: Project) -> None:
    with FakeModel(READ, hangs()) as model:
        outcome = call_codex(project, model, limit=3)
    ran, checked = verify(project, outcome)
    assert (ran.code, outcome) == (0, "failure")
    assert (checked["status"], checked["reason"]) == ("infrastructure-failed", "timed-out")
    assert checked["usage"]["commands"] == 2


def test_an_endpoint_that_is_not_there_ends(project: Project) -> None:
    """Without `unbounded_connection_retries = false` Codex would wait for the network for ever."""
    with FakeModel(silent()) as model:
        pass
    ran, checked = verify(project, call_codex(project, model))
    assert ran.code == 0
    assert (checked["status"], checked["reason"]) == ("infrastructure-failed", "stream-broken")


def test_a_sandbox_that_cannot_start(project: Project) -> None:
    with FakeModel(READ, says(ANSWER)) as model:
        outcome = call_codex(project, model, wrapper=("unshare", "-Ur", "sh", "-c", DEAD))
    assert outcome == "success", "Codex itself does not notice"
    _, checked = verify(project, outcome)
    assert (checked["status"], checked["reason"]) == ("infrastructure-failed", "sandbox-dead")
    assert checked["detail"].startswith("bwrap: ")


def test_commands_can_neither_write_nor_see_the_environment(project: Project) -> None:
    target = project.repository / "written"
    commands = runs(f"touch {target}", "cat facts.json", "env", "cat /proc/1/environ")
    with FakeModel(commands, says(ANSWER)) as model:
        call_codex(project, model, wrapper=("env", "CANARY_TOKEN=secret"))
        assert "CANARY_TOKEN" not in " ".join(model.requests[1].tool_outputs)
    assert not target.exists()


def test_a_crash_is_explained_from_its_log(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    crash = make_crash(tmp_path / "evaluate", project.head)
    prepare(project, "--bundle", str(crash))
    finding = {**ANSWER["findings"][0], "model": "digits_vit", "metric": "", "facts": [CRASH]}
    finding["explanation"] = "The layer expected 64 features and got 48, at seed 1 but not seed 3."
    answer = {**ANSWER, "findings": [finding]}
    log = runs("cat facts.json", "tail -c 100 logs/1.log")
    _, checked = asked(project, log, says(answer))
    assert checked["findings"][0]["held"]
    assert checked["findings"][0]["numbers_unverified"] == ["seed 3"]


def test_an_answer_that_somebody_else_wrote(project: Project) -> None:
    with FakeModel(READ, says(ANSWER)) as model:
        outcome = call_codex(project, model)
    write(project.workspace.answer, json.dumps({**ANSWER, "summary": "All is well."}))
    _, checked = verify(project, outcome)
    assert (checked["status"], checked["reason"]) == ("no-answer", "unproven")


def test_a_second_session_proves_nothing(project: Project) -> None:
    with FakeModel(READ, says(ANSWER)) as model:
        outcome = call_codex(project, model)
    write(project.workspace.home / "sessions/2026/01/01/rollout-2.jsonl", "{}")
    _, checked = verify(project, outcome)
    assert (checked["status"], checked["reason"]) == ("infrastructure-failed", "several-sessions")


def test_a_codex_that_was_not_set_up(project: Project) -> None:
    ran, checked = verify(project, "failure")
    assert (checked["status"], checked["reason"]) == ("not-called", "not-set-up")
    assert "or whoever started the run has no write access" in ran.said


@pytest.mark.parametrize(
    ("actor", "options", "reason"),
    [
        ("renovate[bot]", (), "actor"),
        ("renovate[bot]", ("--allow-bot-users", "dependabot[bot]"), "actor"),
        ("renovate[bot]", ("--allow-bot-users", "dependabot[bot], Renovate"), "not-set-up"),
        ("renovate[bot]", ("--allow-users", "renovate[bot]"), "not-set-up"),
        ("mallory", (), "not-set-up"),
    ],
)
def test_only_of_a_bot_it_is_known_that_it_was_declined(
    tmp_path: Path, actor: str, options: tuple[str, ...], reason: str
) -> None:
    project = make_project(tmp_path)
    prepare(project, *options, GITHUB_ACTOR=actor)
    ran, checked = verify(project, "failure")
    assert (checked["status"], checked["reason"]) == ("not-called", reason)
    assert checked["detail"] == actor
    assert ("Name it in `allow-bot-users`." in ran.said) == (reason == "actor")


def test_codex_that_did_not_start(project: Project) -> None:
    write(project.workspace.home / "1234.json", "{}")
    _, checked = verify(project, "failure")
    assert (checked["status"], checked["reason"]) == ("infrastructure-failed", "not-started")


def test_no_key(project: Project) -> None:
    prepare(project, "--has-key", "false")
    ran, checked = verify(project, "skipped")
    assert (checked["status"], checked["reason"]) == ("not-called", "no-key")
    assert "::notice title=ask::No explanation: no API key was given." in ran.said


def test_nothing_to_explain(tmp_path: Path) -> None:
    project = make_project(tmp_path, status="pass")
    prepare(project)
    ran, checked = verify(project, "skipped")
    assert (checked["status"], checked["reason"]) == ("not-called", "nothing-to-explain")
    assert "Nothing failed" in ran.summary


def test_a_question_that_was_not_prepared(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert prepare(project, "--codex-version", "").code == 2
    ran, checked = verify(project, "skipped")
    assert ran.code == 0
    assert (checked["status"], checked["reason"]) == ("not-called", "not-prepared")


def test_required_means_exit_3(project: Project) -> None:
    ran, checked = verify(project, "failure", "--required", "true")
    assert ran.code == 3
    assert ran.outputs["status"] == checked["status"] == "not-called"
    assert "::error title=no usable answer::not-set-up." in ran.said


def test_every_checked_answer_has_the_agreed_form(project: Project) -> None:
    finding = {**ANSWER["findings"][0], "facts": ["<" * 4000] * 50, "model": "\\" * 4000}
    finding |= {"file": "x/" * 2000, "line": 10**30, "explanation": "0.77 " * 800}
    numbers = " ".join(str(number) for number in range(1000, 1799))
    answer = {"summary": numbers, "findings": [finding], "next_steps": ["9" * 4000] * 10}
    _, checked = asked(project, READ, says(answer))
    validate(checked, "checked-answer", file="checked-answer.json")
    assert checked["status"] == "answered"
    assert not any(finding["held"] for finding in checked["findings"])


@pytest.mark.parametrize("broken", ["repository", "facts", "session"])
def test_an_error_of_ours_is_a_reason_too(project: Project, broken: str) -> None:
    with FakeModel(READ, says(ANSWER)) as model:
        outcome = call_codex(project, model)
    if broken == "repository":
        project.repository.rename(project.repository.with_name("moved"))
    elif broken == "facts":
        (project.workspace.facts / "facts.json").unlink()
    else:
        session = next(project.workspace.home.glob("sessions/**/*.jsonl"))
        session.write_text(session.read_text().replace('"exit_code":0', '"exit_code":[]'))
        (project.workspace.facts / "metrics.json").write_text("[]")
    ran, checked = verify(project, outcome)
    assert ran.code == 0
    assert "Traceback" not in ran.said
    assert (checked["status"], checked["reason"]) == ("no-answer", "check-failed")
    assert "Codex's answer could not be checked" in ran.said
    assert checked["usage"]["commands"] == 2


def test_a_session_from_before_is_not_this_one(project: Project) -> None:
    old = write(project.workspace.home / "sessions/2026/01/01/rollout-1.jsonl", "{}")
    assert prepare(project).code == 0
    assert old.exists()
    _, checked = asked(project, READ, says(ANSWER))
    assert checked["status"] == "answered"


def test_what_is_said_of_a_failure_is_short_and_plain(project: Project) -> None:
    context = json.loads(project.workspace.context.read_text())
    hostile = "\u202e\x1b[31mno\x07 " + "x" * 900
    context |= {"reason": "sandbox-dead", "detail": hostile}
    write(project.workspace.context, json.dumps(context))
    _, checked = verify(project, "skipped")
    assert checked["reason"] == "sandbox-dead"
    assert checked["detail"] == "no " + "x" * 497


def test_of_a_long_answer_the_artifact_has_all(project: Project) -> None:
    finding = {**ANSWER["findings"][0], "explanation": "It is the optimiser state. " * 140}
    ran, checked = asked(project, READ, says({**ANSWER, "findings": [finding] * 20}))
    report = (project.workspace.bundle / "report.md").read_text()
    assert report.count("confidence high") == 20
    assert len(checked["findings"]) == 20
    assert ran.summary.strip() == report.strip()
