"""How a call of Codex ended, told from what it left behind; pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from mlactions.codex_session import Failure, Session


class AskStatus(StrEnum):
    """How a question ended; the `status` output of the ask action."""

    ANSWERED = "answered"
    NO_ANSWER = "no-answer"
    REFUSED = "refused"
    INFRASTRUCTURE_FAILED = "infrastructure-failed"
    NOT_CALLED = "not-called"


@dataclass(frozen=True)
class Ending:
    """A status with its reason, a stable code, and what was found."""

    status: AskStatus
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Trace:
    """What a call left behind; `outcome` is how the step that called Codex ended.

    `set_up` is true once codex-action had touched the Codex home: it does that after it found the
    actor to have write access and had installed Codex. `declined` is true for a bot that it does
    not answer: of a person only codex-action's own log tells. `own` is what the process said
    where we called Codex ourselves, None where codex-action did. `servers` are the MCP servers it
    had to start.
    """

    outcome: str
    sessions: int
    set_up: bool
    session: Session | None = None
    actor: str = ""
    declined: bool = False
    own: str | None = None
    servers: tuple[str, ...] = ()


REFUSALS = {"cyber_policy", "invalid_prompt", "content_filter", "content_policy"}
_SANDBOX_DEAD = re.compile(
    r"\bbwrap: |landlock|unshare: |sandbox.{0,40}(?:denied|failed)", re.IGNORECASE
)
NO_SERVER = re.compile(r"required MCP servers? failed to initialize")
_STATUS = re.compile(r"\b(?:status:? )(\d{3})\b")
_USER = re.compile(r"//[^/\s@]+@")
_SECRET = re.compile(r"\b(?:sk-|Bearer )\S+", re.IGNORECASE)


def not_called(reason: str, detail: str) -> Ending:
    """Return the ending that `prepare` decided on."""
    if reason == "sandbox-dead":
        return _broken(reason, detail)
    return Ending(AskStatus.NOT_CALLED, reason, detail)


def ending_of(trace: Trace, fact_ids: Collection[str]) -> Ending | None:
    """Return why there is no answer to look at, or None if there should be one."""
    session = trace.session
    if session is None:
        return _without_session(trace)
    if session.failure is not None:
        return _of_failure(session.failure)
    if not session.completed:
        if trace.own is not None and trace.outcome == "failure":
            return _broken("codex-failed", clean(trace.own))
        return _broken("timed-out", "the session was cut off before Codex had answered")
    if session.commands and all(_died(c.output, c.exit_code) for c in session.commands):
        return _broken("sandbox-dead", " ".join(session.commands[0].output.split())[:200])
    if not session.message:
        return Ending(AskStatus.NO_ANSWER, "empty", "the last message was empty")
    return _deaf(session) or _unproven(session, fact_ids)


def _deaf(session: Session) -> Ending | None:
    """Hold an answer to what it asked for: of a server that gave nothing, nothing was learnt."""
    for server in dict.fromkeys(call.server for call in session.tool_calls):
        calls = [call for call in session.tool_calls if call.server == server]
        if all(call.failed for call in calls):
            said = clean(calls[-1].said)[:450]
            return _broken("mcp-failed", f"{server}, {calls[-1].tool}: {said}")
    return None


def _without_session(trace: Trace) -> Ending:
    if trace.sessions > 1:
        return _broken("several-sessions", f"{trace.sessions} sessions in one Codex home")
    if trace.outcome == "skipped":
        return Ending(AskStatus.NOT_CALLED, "skipped", "the codex step was skipped")
    if NO_SERVER.search(trace.own or ""):
        return _broken("mcp-not-started", clean(trace.own or ""))
    if trace.own is not None:
        reason = "timed-out" if trace.outcome == "cancelled" else "codex-failed"
        return _broken(reason, clean(trace.own))
    if trace.outcome in {"failure", "cancelled"} and not trace.set_up:
        reason = "actor" if trace.declined else "not-set-up"
        return Ending(AskStatus.NOT_CALLED, reason, trace.actor)
    if trace.servers and trace.outcome == "failure":
        names = ", ".join(trace.servers)
        return _broken("mcp-not-started", f"no session began, and this one needs {names}")
    return _broken("not-started", "Codex left no session log")


def _unproven(session: Session, fact_ids: Collection[str]) -> Ending | None:
    """Hold the session to what the task needs: tokens were used, a fact was seen."""
    if session.usage.tokens == 0:
        return Ending(AskStatus.NO_ANSWER, "unproven", "the session log counts no tokens")
    for command in session.commands:
        if command.exit_code == 0 and any(name in command.output for name in fact_ids):
            return None
    return Ending(AskStatus.NO_ANSWER, "unproven", "no command read the facts")


def _died(output: str, code: int | None) -> bool:
    return code != 0 and _SANDBOX_DEAD.search(output) is not None


def clean(message: str) -> str:
    """Return a message on one line and without what looks like a key."""
    return _SECRET.sub("[removed]", _USER.sub("//[removed]@", " ".join(message.split())))


def _of_failure(failure: Failure) -> Ending:
    message = clean(failure.message)[:300]
    if failure.kind in REFUSALS:
        return Ending(AskStatus.REFUSED, failure.kind.replace("_", "-"), message)
    found = _STATUS.search(failure.message)
    status = failure.http_status or (int(found[1]) if found else 0)
    if status in {401, 403} or failure.kind == "unauthorized":
        return _broken("auth", message)
    if failure.kind == "usage_limit_exceeded":
        return _broken("quota", message)
    if status == 429:  # noqa: PLR2004  # Too Many Requests
        return _broken("rate-limit", message)
    if status >= 500 or failure.kind in {"internal_server_error", "server_overloaded"}:  # noqa: PLR2004
        return _broken("server-error", message)
    if "stream" in failure.message or "stream" in failure.kind or "connection" in failure.kind:
        return _broken("stream-broken", message)
    if failure.kind == "context_window_exceeded":
        return _broken("context-window", message)
    return _broken("request-failed", message)


def _broken(reason: str, detail: str) -> Ending:
    return Ending(AskStatus.INFRASTRUCTURE_FAILED, reason, detail)
