"""The session log ("rollout") Codex leaves in its home: what it did, not what it says it did.

JSON lines under `sessions/YYYY/MM/DD/`; the shapes are those of Codex 0.169, and what a newer one
adds is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

MAX_OUTPUT = 256 * 1024
MAX_NAME = 100
MAX_SAID = 2_000


@dataclass(frozen=True)
class Command:
    """A shell command Codex ran in its sandbox; `exit_code` is None if it never ended."""

    line: str
    exit_code: int | None
    output: str


@dataclass(frozen=True)
class ToolCall:
    """A call of an MCP server's tool; `said` is what came back where it failed, else empty."""

    server: str
    tool: str
    failed: bool
    said: str


@dataclass(frozen=True)
class Failure:
    """Why a session ended without an answer: Codex's own kind and message, and an HTTP status."""

    kind: str
    message: str
    http_status: int | None


@dataclass(frozen=True)
class Usage:
    """What a session cost."""

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    seconds: float
    commands: int
    mcp_calls: int
    mcp_failures: int
    model: str
    codex_version: str

    @property
    def tokens(self) -> int:
        """All tokens that were read or written."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class Session:
    """One session; `completed` is False when it was cut off."""

    completed: bool
    failure: Failure | None
    message: str | None
    commands: tuple[Command, ...]
    usage: Usage
    tool_calls: tuple[ToolCall, ...] = ()


def find_sessions(home: Path) -> tuple[str, ...]:
    """Return the session logs of a Codex home, as paths relative to it."""
    found = (home / "sessions").glob("**/rollout-*.jsonl")
    return tuple(sorted(path.relative_to(home).as_posix() for path in found if path.is_file()))


def read_session(path: Path) -> Session:
    """Read one session log; a last line that was cut off is left out."""
    log = _Log()
    with path.open(encoding="utf-8", errors="replace") as stream:
        for event in _events(stream):
            log.add(event)
    return log.session()


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("payload"), dict):
            yield event


class _Log:
    """Collects what the lines of a log say."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.tools: list[ToolCall] = []
        self.tokens: Mapping[str, Any] = {}
        self.end: Mapping[str, Any] | None = None
        self.model = self.version = ""
        self.times: list[str] = []

    def add(self, event: Mapping[str, Any]) -> None:
        """Take in one line."""
        payload = event["payload"]
        self.times = [*self.times[:1], str(event.get("timestamp", ""))]
        match event.get("type"), payload.get("type"):
            case "session_meta", _:
                self.version = str(payload.get("cli_version", ""))[:MAX_NAME]
            case "turn_context", _:
                self.model = str(payload.get("model", ""))[:MAX_NAME]
            case "event_msg", "token_count":
                total = _mapping(payload.get("info")).get("total_token_usage")
                self.tokens = _mapping(total) or self.tokens
            case "event_msg", "task_complete":
                self.end = payload
            case "event_msg", "item_completed":
                self._item(_mapping(payload.get("item")))

    def _item(self, item: Mapping[str, Any]) -> None:
        if item.get("type") == "McpToolCall":
            self.tools.append(_tool_call(item))
        if item.get("type") == "CommandExecution":
            line = item.get("command")
            words = line if isinstance(line, list) else [line]
            code = item.get("exit_code") if isinstance(item.get("exit_code"), int) else None
            output = str(item.get("aggregated_output") or "")[:MAX_OUTPUT]
            self.commands.append(Command(" ".join(map(str, words)), code, output))

    def session(self) -> Session:
        """Return the whole."""
        end = self.end or {}
        message = end.get("last_agent_message")
        return Session(
            completed=self.end is not None,
            failure=_failure(_mapping(end.get("error"))),
            message=message if isinstance(message, str) else None,
            commands=tuple(self.commands),
            usage=self._usage(),
            tool_calls=tuple(self.tools),
        )

    def _usage(self) -> Usage:
        return Usage(
            input_tokens=_count(self.tokens, "input_tokens"),
            cached_input_tokens=_count(self.tokens, "cached_input_tokens"),
            output_tokens=_count(self.tokens, "output_tokens"),
            reasoning_tokens=_count(self.tokens, "reasoning_output_tokens"),
            seconds=self._seconds(),
            commands=len(self.commands),
            mcp_calls=len(self.tools),
            mcp_failures=sum(call.failed for call in self.tools),
            model=self.model,
            codex_version=self.version,
        )

    def _seconds(self) -> float:
        try:
            first, last = (datetime.fromisoformat(self.times[i]) for i in (0, -1))
        except (IndexError, TypeError, ValueError):
            return 0.0
        return max(0.0, round((last - first).total_seconds(), 1))


def _tool_call(item: Mapping[str, Any]) -> ToolCall:
    """Read a call: a server that answered with an error says so in its result."""
    result = _mapping(item.get("result"))
    failed = item.get("status") != "completed" or result.get("isError") is True
    parts = result.get("content")
    texts = (
        [str(_mapping(part).get("text", "")) for part in parts] if isinstance(parts, list) else []
    )
    error = _mapping(item.get("error")).get("message") or item.get("error") or ""
    said = " ".join([*texts, str(error)]).strip() if failed else ""
    server, tool = (str(item.get(key, ""))[:MAX_NAME] for key in ("server", "tool"))
    return ToolCall(server, tool, failed, said[:MAX_SAID])


def _failure(error: Mapping[str, Any]) -> Failure | None:
    if not error:
        return None
    info = error.get("codex_error_info")
    details = _mapping(info)
    kind = next(iter(details), "") if details else str(info or "")
    status = _mapping(details.get(kind)).get("http_status_code")
    known = status if isinstance(status, int) else None
    return Failure(kind, str(error.get("message", "")), known)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) and value > 0 else 0
