"""`ask verify`: whether Codex was called, whether it answered, and which of its claims hold."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mlactions import markdown
from mlactions.ask import proposal as proposals
from mlactions.ask.answer import Answer, NoAnswerError, parse_answer, read_answer
from mlactions.ask.claims import Checker, as_document
from mlactions.ask.evidence import Evidence
from mlactions.ask.form import proposer
from mlactions.ask.identifiers import look_up
from mlactions.ask.outcome import AskStatus, Ending, Trace, clean, ending_of, not_called
from mlactions.ask.patch import check_patch
from mlactions.ask.render import render_report
from mlactions.ask.repository import Repository, open_repository
from mlactions.ask.workspace import (
    Context,
    Workspace,
    clear_bundle,
    read_context,
    read_evidence,
    read_quotable,
)
from mlactions.bundle import seal, write_atomic, write_json
from mlactions.codex_session import Session, find_sessions, read_session
from mlactions.schema import validate

_EMPTY: Mapping[str, Any] = {
    "summary": "",
    "findings": [],
    "next_steps": [],
    "numbers_unverified": {"summary": [], "next_steps": []},
    "claims": {"checked": 0, "held": 0},
    "facts": {},
    "patch": None,
    "proposal": None,
}

MAX_REPORT = 4_000_000
"""Characters: every answer that is accepted fits, so that the artifact has all of it."""

MAX_TOOL_FAILURES = 20

SUGGESTED = "suggested.patch"
"""The name of a suggested diff that applies, in the bundle of the checked answer."""


def verify(
    out: Path,
    *,
    outcome: str,
    own: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Check the answer in a folder that `prepare` made; write and return checked-answer.json.

    `outcome` is how the step that called Codex ended, `own` what Codex's process said where we
    called it ourselves; `environ` is the caller's, for words that look claims up. The folder
    `bundle` holds the checked answer, its report and, where one was suggested and applies, a patch,
    sealed.
    """
    workspace = Workspace(out.resolve())
    context = read_context(workspace)
    if context is None:
        return decline(workspace, Ending(AskStatus.NOT_CALLED, "not-prepared"))
    if context.reason:
        return decline(workspace, not_called(context.reason, context.detail))
    session = None
    try:
        trace = replace(_trace(workspace, context, outcome), own=own)
        session = trace.session
        found = _look(workspace, context, read_evidence(workspace), trace, environ)
        return _write(workspace, found, session, context.commit)
    except Exception as error:  # noqa: BLE001  # whoever waits for the answer must learn why not
        ending = Ending(AskStatus.NO_ANSWER, "check-failed", clean(_where(error)))
        return _write(workspace, _Found(ending), session, context.commit)


def _where(error: Exception) -> str:
    """Say what went wrong in our own code, and where; a traceback could hold an agent's words."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}: {error}"


def decline(workspace: Workspace, ending: Ending) -> dict[str, Any]:
    """Write the checked answer of a question that could not be asked."""
    context = read_context(workspace)
    return _write(workspace, _Found(ending), None, context.commit if context else "")


@dataclass(frozen=True)
class _Found:
    """How a question ended, the answer's part of checked-answer.json, and files beside it."""

    ending: Ending
    body: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    files: Mapping[str, str] = field(default_factory=dict)


def _look(
    workspace: Workspace,
    context: Context,
    evidence: Evidence,
    trace: Trace,
    environ: Mapping[str, str] | None,
) -> _Found:
    ending = ending_of(trace, [str(fact["id"]) for fact in evidence.facts])
    if ending is not None:
        return _Found(ending)
    try:
        message = trace.session.message if trace.session else None
        answer = parse_answer(read_answer(workspace.answer, message=message), evidence.words)
    except NoAnswerError as error:
        return _Found(Ending(AskStatus.NO_ANSWER, error.reason, error.detail))
    sources = open_repository(Path(context.repository))
    word = proposer(evidence.words)
    find = word and proposals.finder(word, bundle=workspace.facts / word, environ=environ)
    known = look_up(answer, evidence.facts, sources, find or _nobody)
    checked = Checker(evidence, sources, read_quotable(workspace), known).check(answer)
    if answer.patch.strip():
        checked = replace(checked, patch=check_patch(answer.patch, sources))
    if word:
        found = _proposal(
            word, answer, evidence, sources, bundle=workspace.facts / word, environ=environ
        )
        checked = replace(checked, proposal=found)
    body = as_document(checked, evidence)
    files = dict(checked.proposal.files) if checked.proposal else {}
    if body["patch"] and body["patch"]["held"]:
        files[SUGGESTED] = body["patch"]["text"]
    return _Found(Ending(AskStatus.ANSWERED), body, files)


def _nobody(_: Sequence[str]) -> tuple[str, ...]:
    """Know no identifier: what neither a fact nor the repository has, nothing bears out."""
    return ()


def _proposal(
    word: str,
    answer: Answer,
    evidence: Evidence,
    sources: Repository,
    *,
    bundle: Path,
    environ: Mapping[str, str] | None,
) -> proposals.CheckedProposal:
    facts = {str(fact["id"]): fact for fact in evidence.facts}
    return proposals.check(
        word, answer.proposal, facts=facts, repository=sources, bundle=bundle, environ=environ
    )


def _trace(workspace: Workspace, context: Context, outcome: str) -> Trace:
    """Read what the call left in the Codex home."""
    new = [name for name in find_sessions(workspace.home) if name not in context.sessions]
    config = workspace.home / "config.toml"
    now = hashlib.sha256(config.read_bytes()).hexdigest() if config.is_file() else ""
    return Trace(
        outcome=outcome,
        sessions=len(new),
        set_up=now != context.config or any(workspace.home.glob("*.json")),
        session=read_session(workspace.home / new[0]) if len(new) == 1 else None,
        actor=context.actor,
        declined=context.declined,
        servers=context.servers,
    )


def _tool_failures(session: Session | None) -> list[dict[str, str]]:
    """List the calls of MCP servers that failed: what Codex then wrote rests on less."""
    failed = [call for call in session.tool_calls if call.failed] if session else []
    return [
        {
            "server": call.server,
            "tool": call.tool,
            "said": markdown.printable(clean(call.said))[:500],
        }
        for call in failed[:MAX_TOOL_FAILURES]
    ]


def _write(
    workspace: Workspace,
    found: _Found,
    session: Session | None,
    commit: str,
) -> dict[str, Any]:
    ending = found.ending
    document: dict[str, Any] = {
        "version": 1,
        "status": str(ending.status),
        "reason": ending.reason,
        "detail": markdown.printable(ending.detail)[:500],
        "commit": commit,
        **found.body,
        "usage": asdict(session.usage) if session else None,
        "tool_failures": _tool_failures(session),
    }
    clear_bundle(workspace)
    path = workspace.bundle / "checked-answer.json"
    validate(document, "checked-answer", file=str(path))
    write_json(path, document)
    for name, text in found.files.items():
        write_atomic(workspace.bundle / name, text)
    report = markdown.render(render_report(document), limit=MAX_REPORT)
    write_atomic(workspace.bundle / "report.md", report)
    seal(workspace.bundle, "ask")
    return document
