"""Session logs: the shapes Codex writes, and logs that were cut off or are not logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlactions.codex_session import Failure, find_sessions, read_session

START = "2026-11-22T19:03:48.000Z"
END = "2026-11-22T19:04:29.500Z"


def event(kind: str, at: str = START, **payload: Any) -> dict[str, Any]:
    return {"timestamp": at, "type": kind, "payload": payload}


def ran(command: str, code: int | None, output: str = "") -> dict[str, Any]:
    item = {"type": "CommandExecution", "command": ["bash", "-c", command], "exit_code": code}
    return event("event_msg", type="item_completed", item={**item, "aggregated_output": output})


def used(total: int) -> dict[str, Any]:
    usage = {"input_tokens": total, "cached_input_tokens": 3, "output_tokens": 7}
    usage["reasoning_output_tokens"] = 2
    return event("event_msg", type="token_count", info={"total_token_usage": usage})


def mcp(status: str) -> dict[str, Any]:
    item = {"type": "McpToolCall", "server": "mlflow", "tool": "list_runs", "status": status}
    return event("event_msg", type="item_completed", item=item)


WHOLE = [
    event("session_meta", cli_version="0.169.0", cwd="/x"),
    event("turn_context", model="gpt-6.1-sol"),
    ran("cat facts.json", 0, "compare.a"),
    used(100),
    ran("ls /nowhere", 2, "No such file"),
    mcp("completed"),
    mcp("failed"),
    event("event_msg", type="token_count", info=None),
    used(250),
    event("event_msg", at=END, type="task_complete", last_agent_message='{"a":1}'),
]


def write(path: Path, events: list[Any]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in events))
    return path


def test_a_whole_session(tmp_path: Path) -> None:
    session = read_session(write(tmp_path / "log", WHOLE))
    assert session.completed
    assert session.failure is None
    assert session.message == '{"a":1}'
    assert [(c.line, c.exit_code, c.output) for c in session.commands] == [
        ("bash -c cat facts.json", 0, "compare.a"),
        ("bash -c ls /nowhere", 2, "No such file"),
    ]
    usage = session.usage
    assert (usage.input_tokens, usage.cached_input_tokens) == (250, 3)
    assert (usage.output_tokens, usage.reasoning_tokens, usage.tokens) == (7, 2, 257)
    assert (usage.seconds, usage.commands) == (41.5, 2)
    assert (usage.mcp_calls, usage.mcp_failures) == (2, 1)
    assert (usage.model, usage.codex_version) == ("gpt-6.1-sol", "0.169.0")


def test_a_session_that_was_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "log", WHOLE[:4])
    path.write_text(path.read_text() + '{"timestamp": "2026-11-22T19:0')
    session = read_session(path)
    assert not session.completed
    assert session.message is None
    assert session.usage.input_tokens == 100


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ("usage_limit_exceeded", ("usage_limit_exceeded", None)),
        ({"http_connection_failed": {"http_status_code": 401}}, ("http_connection_failed", 401)),
        ({"response_stream_disconnected": None}, ("response_stream_disconnected", None)),
        (None, ("", None)),
    ],
)
def test_a_failure(tmp_path: Path, info: object, expected: tuple[str, int | None]) -> None:
    error = {"message": "no", "codex_error_info": info}
    end = event("event_msg", type="task_complete", last_agent_message=None, error=error)
    session = read_session(write(tmp_path / "log", [end]))
    assert session.failure == Failure(expected[0], "no", expected[1])


def test_long_output_is_cut(tmp_path: Path) -> None:
    session = read_session(write(tmp_path / "log", [ran("cat big", 0, "x" * 300_000)]))
    assert len(session.commands[0].output) == 256 * 1024


def test_a_call_of_a_server_says_what_went_wrong(tmp_path: Path) -> None:
    def call(**rest: Any) -> dict[str, Any]:
        item = {"type": "McpToolCall", "server": "mlflow", "tool": "list_runs", **rest}
        return event("event_msg", type="item_completed", item=item)

    said = {"content": [{"type": "text", "text": "Run not found"}], "isError": True}
    lines = [
        call(status="completed", result={"content": [{"type": "text", "text": "runs"}]}),
        call(status="failed", result=said),
        call(status="completed", result=said),
        call(status="failed", error={"message": "transport closed"}),
        call(status="failed", error="transport closed", result=None),
        call(status="in_progress"),
    ]
    session = read_session(write(tmp_path / "log", lines))
    assert [(call.failed, call.said) for call in session.tool_calls] == [
        (False, ""),
        (True, "Run not found"),
        (True, "Run not found"),
        (True, "transport closed"),
        (True, "transport closed"),
        (True, ""),
    ]
    assert (session.usage.mcp_calls, session.usage.mcp_failures) == (6, 5)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["task_complete", "item_completed", "token_count"]),
        "item": json_values
        | st.fixed_dictionaries(
            {"type": st.sampled_from(["CommandExecution", "McpToolCall"])},
            optional={"result": json_values, "error": json_values, "server": json_values},
        ),
        "info": json_values | st.fixed_dictionaries({"total_token_usage": json_values}),
        "error": json_values,
        "last_agent_message": json_values,
    },
)
events = st.fixed_dictionaries(
    {"type": st.sampled_from(["event_msg", "session_meta"]), "payload": payloads | json_values},
    optional={"timestamp": json_values},
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(events | json_values, max_size=8))
def test_any_log_can_be_read(tmp_path: Path, lines: list[Any]) -> None:
    session = read_session(write(tmp_path / "log", lines))
    assert session.usage.commands == len(session.commands)


def test_sessions_are_found_below_the_home(tmp_path: Path) -> None:
    assert find_sessions(tmp_path) == ()
    folder = tmp_path / "sessions/2026/11/22"
    folder.mkdir(parents=True)
    for name in ("rollout-b.jsonl", "rollout-a.jsonl", "notes.jsonl"):
        (folder / name).touch()
    day = "sessions/2026/11/22"
    assert find_sessions(tmp_path) == (f"{day}/rollout-a.jsonl", f"{day}/rollout-b.jsonl")
