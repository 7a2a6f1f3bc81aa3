"""How a call ended, told from what it left behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mlactions.ask.answer import MAX_BYTES, NoAnswerError, parse_answer, read_answer
from mlactions.ask.outcome import AskStatus, Ending, Trace, ending_of, not_called
from mlactions.codex_session import Command, Failure, Session, ToolCall, Usage
from tests.ask_cases import ANSWER

USAGE = Usage(100, 0, 10, 0, 1.0, 1, 0, 0, "m", "0.169.0")
READ = Command("bash -c cat facts.json", 0, '"id": "compare.a"')
SESSION = Session(completed=True, failure=None, message="{}", commands=(READ,), usage=USAGE)
TRACE = Trace("success", 1, set_up=True, session=SESSION, actor="alice")
BWRAP = "bwrap: Creating new namespace failed: nesting depth exceeded (ENOSPC)\n"
BROKEN = AskStatus.INFRASTRUCTURE_FAILED


def ending(session: Session) -> Ending | None:
    return ending_of(replace(TRACE, session=session), ["compare.a"])


def test_a_session_that_read_the_facts_has_an_answer_to_look_at() -> None:
    assert ending(SESSION) is None
    other = Command("bash -c jq . *.json", 0, '"id": "compare.a"')
    assert ending(replace(SESSION, commands=(Command("ls", 0, ""), other))) is None


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure("http_connection_failed", "unexpected status 401", 401), (BROKEN, "auth")),
        (Failure("http_connection_failed", "unexpected status 403", 403), (BROKEN, "auth")),
        (Failure("unauthorized", "", None), (BROKEN, "auth")),
        (Failure("usage_limit_exceeded", "Quota exceeded", None), (BROKEN, "quota")),
        (Failure("response_too_many_failed_attempts", "", 429), (BROKEN, "rate-limit")),
        (Failure("other", "last status: 429 Too Many Requests", None), (BROKEN, "rate-limit")),
        (Failure("internal_server_error", "high demand", None), (BROKEN, "server-error")),
        (Failure("server_overloaded", "", None), (BROKEN, "server-error")),
        (Failure("other", "unexpected status 503", None), (BROKEN, "server-error")),
        (
            Failure("other", "stream disconnected before completion", None),
            (BROKEN, "stream-broken"),
        ),
        (Failure("context_window_exceeded", "", None), (BROKEN, "context-window")),
        (Failure("other", '{"error": {"code": "invalid"}}', None), (BROKEN, "request-failed")),
        (Failure("cyber_policy", "flagged", None), (AskStatus.REFUSED, "cyber-policy")),
        (Failure("invalid_prompt", "flagged", None), (AskStatus.REFUSED, "invalid-prompt")),
    ],
)
def test_failures_have_names(failure: Failure, expected: tuple[AskStatus, str]) -> None:
    found = ending(replace(SESSION, failure=failure, message=None))
    assert found is not None
    assert (found.status, found.reason) == expected


GOOD = ToolCall("mlflow", "list_runs", failed=False, said="")
BAD = ToolCall("mlflow", "describe_run", failed=True, said="http://a:b@c/ refused,  Bearer xyz")
OTHER = replace(GOOD, server="huggingface")


@pytest.mark.parametrize(
    ("calls", "stands"),
    [((), True), ((GOOD,), True), ((BAD, GOOD), True), ((BAD,), False), ((OTHER, BAD, BAD), False)],
)
def test_a_server_that_never_answered_leaves_no_answer(
    calls: tuple[ToolCall, ...], stands: bool
) -> None:
    found = ending(replace(SESSION, tool_calls=calls))
    detail = "mlflow, describe_run: http://[removed]@c/ refused, [removed]"
    assert found == (None if stands else Ending(BROKEN, "mcp-failed", detail))


@pytest.mark.parametrize(
    ("own", "outcome", "reason"),
    [
        (None, "failure", "mcp-not-started"),
        (None, "success", "not-started"),
        ("exit code 1: required MCP servers failed to initialize: m", "failure", "mcp-not-started"),
        ("exit code 1: no such model", "failure", "codex-failed"),
        ("stopped", "cancelled", "timed-out"),
    ],
)
def test_a_server_that_did_not_start_leaves_no_session(
    own: str | None, outcome: str, reason: str
) -> None:
    trace = Trace(outcome, 0, set_up=True, own=own, servers=("mlflow",))
    found = ending_of(trace, [])
    assert found is not None
    assert (found.status, found.reason) == (BROKEN, reason)


def test_a_message_that_names_a_key_is_cleaned() -> None:
    failure = Failure("other", "bad key sk-abc123 in Bearer xyz", None)
    found = ending(replace(SESSION, failure=failure))
    assert found is not None
    assert found.detail == "bad key [removed] in [removed]"


@pytest.mark.parametrize(
    ("session", "status", "reason"),
    [
        (replace(SESSION, completed=False), BROKEN, "timed-out"),
        (replace(SESSION, commands=(Command("ls", 1, BWRAP),) * 2), BROKEN, "sandbox-dead"),
        (replace(SESSION, message=None), AskStatus.NO_ANSWER, "empty"),
        (replace(SESSION, message=""), AskStatus.NO_ANSWER, "empty"),
        (replace(SESSION, commands=()), AskStatus.NO_ANSWER, "unproven"),
        (
            replace(SESSION, commands=(Command("echo facts.json", 0, "facts.json"),)),
            AskStatus.NO_ANSWER,
            "unproven",
        ),
        (
            replace(SESSION, commands=(Command("cat facts.json", 1, "compare.a"),)),
            AskStatus.NO_ANSWER,
            "unproven",
        ),
        (
            replace(SESSION, usage=replace(USAGE, input_tokens=0, output_tokens=0)),
            AskStatus.NO_ANSWER,
            "unproven",
        ),
    ],
)
def test_what_a_session_does_not_prove(session: Session, status: AskStatus, reason: str) -> None:
    found = ending(session)
    assert found is not None
    assert (found.status, found.reason) == (status, reason)


def test_a_session_that_our_own_codex_left_half_done() -> None:
    half = replace(TRACE, outcome="failure", session=replace(SESSION, completed=False))

    found = ending_of(replace(half, own="exit code 1: out of disk"), [])

    assert found == Ending(BROKEN, "codex-failed", "exit code 1: out of disk")


def test_one_command_that_worked_means_the_sandbox_lives() -> None:
    commands = (Command("rm -r /", 1, "bwrap: no"), READ)
    assert ending(replace(SESSION, commands=commands)) is None
    reads_of_it = Command("cat facts.json docs/sandbox.md", 0, f"compare.a {BWRAP}")
    assert ending(replace(SESSION, commands=(reads_of_it,))) is None


@pytest.mark.parametrize(
    ("trace", "status", "reason"),
    [
        (Trace("failure", 0, set_up=False, actor="eve"), AskStatus.NOT_CALLED, "not-set-up"),
        (Trace("cancelled", 0, set_up=False), AskStatus.NOT_CALLED, "not-set-up"),
        (Trace("failure", 0, set_up=False, declined=True), AskStatus.NOT_CALLED, "actor"),
        (Trace("failure", 0, set_up=True, declined=True), BROKEN, "not-started"),
        (Trace("skipped", 0, set_up=False), AskStatus.NOT_CALLED, "skipped"),
        (Trace("failure", 0, set_up=True), BROKEN, "not-started"),
        (Trace("success", 0, set_up=False), BROKEN, "not-started"),
        (Trace("failure", 0, set_up=False, own="exit code 2"), BROKEN, "codex-failed"),
        (Trace("success", 0, set_up=False, own="exit code 0"), BROKEN, "codex-failed"),
        (Trace("cancelled", 0, set_up=False, own="stopped"), BROKEN, "timed-out"),
        (Trace("success", 2, set_up=True), BROKEN, "several-sessions"),
    ],
)
def test_without_one_session(trace: Trace, status: AskStatus, reason: str) -> None:
    found = ending_of(trace, [])
    assert found is not None
    assert (found.status, found.reason) == (status, reason)


def test_what_prepare_decided() -> None:
    assert not_called("no-key", "").status is AskStatus.NOT_CALLED
    assert not_called("sandbox-dead", "x").status is BROKEN


@pytest.mark.parametrize(
    ("content", "message", "reason"),
    [
        (None, "{}", "empty"),
        (b"", "", "empty"),
        (b" \n", "", "empty"),
        (b"\xff", "\xff", "not-json"),
        (b"{}", "{ }", "unproven"),
        (b"x" * (MAX_BYTES + 1), "x", "too-large"),
    ],
)
def test_an_answer_file_that_is_none(
    tmp_path: Path, content: bytes | None, message: str, reason: str
) -> None:
    path = tmp_path / "answer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NoAnswerError) as caught:
        read_answer(path, message=message)
    assert caught.value.reason == reason


def test_a_linked_answer_is_none(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("{}")
    (tmp_path / "answer.json").symlink_to(tmp_path / "real")
    assert read_answer(tmp_path / "real", message="{}") == "{}"
    with pytest.raises(NoAnswerError, match="there is no answer file"):
        read_answer(tmp_path / "answer.json", message="{}")


FINDING = ANSWER["findings"][0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I think the learning rate is too high.", "not-json"),
        ('```json\n{"summary": ""}\n```', "not-json"),
        ('{"summary": "a", "summary": "b"}', "not-json"),
        ("[" * 100_000, "not-json"),
        ('{"summary": "x", "findings": [], "next_steps": ["\\udfff"]}', "not-json"),
        ('{"summary": "\\ud800", "findings": [], "next_steps": []}', "not-json"),
        ({}, "schema-violated"),
        ([], "schema-violated"),
        ({**ANSWER, "verdict": "pass"}, "schema-violated"),
        ({**ANSWER, "summary": None}, "schema-violated"),
        ({**ANSWER, "findings": [{**FINDING, "confidence": "certain"}]}, "schema-violated"),
        ({**ANSWER, "findings": [{**FINDING, "line": 1.5}]}, "schema-violated"),
        ({**ANSWER, "findings": [{**FINDING, "line": "1"}]}, "schema-violated"),
        ({**ANSWER, "findings": [FINDING] * 21}, "schema-violated"),
        ({**ANSWER, "next_steps": ["x"] * 11}, "schema-violated"),
        ({**ANSWER, "summary": "x" * 4001}, "schema-violated"),
        ({**ANSWER, "findings": [{**FINDING, "facts": ["x"] * 51}]}, "schema-violated"),
        ({**ANSWER, "findings": [{**FINDING, "file": "x" * 4001}]}, "schema-violated"),
    ],
)
def test_an_answer_of_another_form(answer: object, reason: str) -> None:
    with pytest.raises(NoAnswerError) as caught:
        parse_answer(answer if isinstance(answer, str) else json.dumps(answer))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({**ANSWER, "findings": [FINDING] * 21}, "21 findings, at most 20"),
        ({**ANSWER, "next_steps": ["x"] * 11}, "11 next_steps, at most 10"),
        ({**ANSWER, "findings": [{**FINDING, "facts": ["x"] * 51}]}, "51 facts of a finding"),
        ({**ANSWER, "findings": [{**FINDING, "file": "x" * 4001}]}, "4,001 characters of a name"),
        ({**ANSWER, "findings": [{**FINDING, "model": "x" * 4001}]}, "characters of a name"),
        ({**ANSWER, "findings": [{**FINDING, "facts": ["x" * 4001]}]}, "characters of a name"),
        ({**ANSWER, "next_steps": ["x" * 4001]}, "4,001 characters of a text"),
        (
            {**ANSWER, "findings": [{**FINDING, "explanation": "x" * 4001}]},
            "characters of a text",
        ),
        ('{"summary": "\\ud800", "findings": [], "next_steps": []}', "is not Unicode"),
    ],
)
def test_what_an_answer_has_too_much_of_is_named(answer: object, said: str) -> None:
    with pytest.raises(NoAnswerError) as caught:
        parse_answer(answer if isinstance(answer, str) else json.dumps(answer))
    assert said in caught.value.detail


@pytest.mark.parametrize(
    "answer",
    [
        {**ANSWER, "findings": [FINDING] * 20, "next_steps": ["x" * 4000] * 10},
        {**ANSWER, "findings": [{**FINDING, "facts": ["x" * 4000] * 50, "file": "x" * 4000}]},
    ],
)
def test_an_answer_at_its_limits_is_read(answer: object) -> None:
    assert parse_answer(json.dumps(answer)).findings


@pytest.mark.parametrize("line", ["2.0", "2e0", "20e-1", "1e300"])
def test_a_line_that_is_written_as_a_float_is_a_line(line: str) -> None:
    text = json.dumps(ANSWER).replace('"line": 1', f'"line": {line}')
    found = parse_answer(text).findings[0].line
    assert isinstance(found, int)
    assert found == float(line)


@pytest.mark.parametrize("line", ["2.5", "1e400", "NaN", "true"])
def test_a_line_that_is_none_is_refused(line: str) -> None:
    text = json.dumps(ANSWER).replace('"line": 1', f'"line": {line}')
    with pytest.raises(NoAnswerError):
        parse_answer(text)
