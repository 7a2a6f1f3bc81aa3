"""`ask prepare`: turn bundles into a question that Codex can be asked safely."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlactions.ask.evidence import Evidence, collect
from mlactions.ask.form import answer_schema, proposer
from mlactions.ask.prompt import MAX_CHARACTERS, Supplied, compose
from mlactions.ask.repository import Repository, open_repository
from mlactions.ask.workspace import (
    Context,
    Workspace,
    copy_bundle,
    make_room,
    write_context,
    write_evidence,
)
from mlactions.bundle import write_atomic
from mlactions.codex import Endpoint, sandbox_fault
from mlactions.codex_home import Server, home_config
from mlactions.codex_home.request import (
    SERVERS_FOLDER,
    URI,
    make_servers,
    may_be_strangers,
    refuse_strangers,
)
from mlactions.codex_session import find_sessions
from mlactions.errors import UserError
from mlactions.runner import Annotation, Runner

MAX_DIFF_BYTES = 1024 * 1024
MAX_CONVENTIONS_BYTES = 32 * 1024


@dataclass(frozen=True)
class Question:
    """What is asked, and where. `endpoint` only where we call Codex ourselves.

    `servers` are the MCP servers Codex gets, `tracking_uri` is what MLflow's reads.

    `answered` are the accounts that codex-action lets in besides people with write access.
    """

    bundles: Sequence[Path]
    repository: Path
    base_ref: str
    out: Path
    always: bool = False
    has_key: bool = True
    answered: frozenset[str] = frozenset()
    endpoint: Endpoint | None = None
    servers: tuple[str, ...] = ()
    tracking_uri: str = ""


def prepare(
    question: Question, runner: Runner, environ: Mapping[str, str] | None = None
) -> Context:
    """Write prompt, answer schema, facts, Codex home and context; return the context.

    `environ` is the caller's environment, which says where MCP servers are; it is needed for them.
    """
    if question.servers:
        refuse_strangers("an MCP server", runner.environ, base_ref=question.base_ref)
    evidence = collect(question.bundles)
    repository = open_repository(question.repository)
    workspace = Workspace(question.out.resolve())
    _check_apart(workspace, repository)
    make_room(workspace)
    servers = _servers(question, workspace, runner.environ, environ)
    config = home_config(question.endpoint, servers)
    write_atomic(workspace.home / "config.toml", config)
    write_evidence(workspace, evidence)
    if word := proposer(evidence.words):
        copy_bundle(workspace, evidence.bundles[word])
    supplied = _supply(workspace, question.base_ref, evidence, repository, runner)
    supplied = replace(supplied, servers=tuple(server.name for server in servers))
    _write_prompt(workspace, evidence, repository, supplied)
    _make_readable(workspace)
    _note(evidence, repository, runner)
    reason, detail = _why_not(question, evidence, runner.environ)
    actor, allowed = runner.environ.get("GITHUB_ACTOR", ""), question.answered
    context = Context(
        reason=reason,
        detail=detail,
        repository=str(question.repository.resolve()),
        head=repository.head,
        commit=evidence.commit,
        actor=actor,
        declined=actor.endswith("[bot]") and _account(actor) not in map(_account, allowed),
        sessions=find_sessions(workspace.home),
        config=hashlib.sha256(config.encode()).hexdigest(),
        servers=supplied.servers,
    )
    write_context(workspace, context)
    return context


def _servers(
    question: Question,
    workspace: Workspace,
    own: Mapping[str, str],
    environ: Mapping[str, str] | None,
) -> tuple[Server, ...]:
    """Write what the MCP servers need below the home; one that cannot start is an error now."""
    given = {**(own if environ is None else environ), URI: question.tracking_uri}
    return make_servers(question.servers, workspace.home, given)


def _account(name: str) -> str:
    return name.strip().lower().removesuffix("[bot]")


def _why_not(question: Question, evidence: Evidence, environ: Mapping[str, str]) -> tuple[str, str]:
    """Say why Codex is not called: a reason and its detail, both empty if it is."""
    if not (question.always or evidence.troubled):
        return "nothing-to-explain", ""
    if not question.has_key:
        return "no-key", ""
    fault = sandbox_fault(environ)
    return ("sandbox-dead", fault) if fault else ("", "")


def _check_apart(workspace: Workspace, repository: Repository) -> None:
    """Refuse a folder in the checkout: there Codex finds what a pull request wrote for it."""
    inside = workspace.folder.is_relative_to(repository.root)
    if inside or repository.root.is_relative_to(workspace.folder):
        raise UserError(
            "bad input",
            f"`--out` {'lies inside' if inside else 'holds'} the repository that is asked about.",
            "Name a folder outside of it, for example below $RUNNER_TEMP.",
            file=str(workspace.folder),
        )


def _supply(
    workspace: Workspace,
    base_ref: str,
    evidence: Evidence,
    repository: Repository,
    runner: Runner,
) -> Supplied:
    """Write the diff and the conventions; both come from commits, never from the work tree."""
    base = base_ref if base_ref and repository.has(base_ref) else ""
    if base_ref and not base:
        _notice(runner, f"{base_ref} is not in this clone: Codex gets no diff. Use fetch-depth: 0.")
    diff = repository.diff(base) if base else None
    if base and diff is None:
        _notice(runner, f"No merge base with {base}: Codex gets no diff.")
    if diff:
        cut = b"\n[the rest of the diff is left out]\n" if len(diff) > MAX_DIFF_BYTES else b""
        write_atomic(workspace.facts / "diff.patch", diff[:MAX_DIFF_BYTES] + cut)
    return Supplied(
        diff=bool(diff),
        conventions=_conventions(workspace, base if base_ref else None, repository, runner),
        logs=bool(evidence.logs),
        papers=tuple(paper.name for paper in evidence.papers),
        bundle=proposer(evidence.words),
    )


def _conventions(
    workspace: Workspace, base: str | None, repository: Repository, runner: Runner
) -> bool:
    """Write AGENTS.md as the repository has accepted it; return whether there is one.

    That is the base's. Where none was named (None), it is the head's, unless the event may have
    brought a stranger's; one that was named and is missing gives none at all.
    """
    if base is None and may_be_strangers(runner.environ):
        event = runner.environ.get("GITHUB_EVENT_NAME") or "unknown"
        _notice(
            runner,
            f"Codex gets no AGENTS.md: on the event {event} the head may be a pull request's."
            " Name the commit to take it from as base-ref.",
        )
        return False
    trusted = repository.head if base is None else base
    found = trusted and repository.show(trusted, "AGENTS.md", limit=MAX_CONVENTIONS_BYTES)
    if found:
        write_atomic(workspace.facts / "conventions.md", found)
    return bool(found)


def _write_prompt(
    workspace: Workspace, evidence: Evidence, repository: Repository, supplied: Supplied
) -> None:
    prompt = compose(evidence.words, repository=repository.root, supplied=supplied)
    if len(prompt) > MAX_CHARACTERS:
        raise UserError("prompt too long", f"{len(prompt):,} characters, Codex takes 1,048,576.")
    write_atomic(workspace.prompt, prompt)
    # In the order of the file: that is the order in which a model writes.
    write_atomic(workspace.schema, json.dumps(answer_schema(evidence.words), indent=2) + "\n")


def _make_readable(workspace: Workspace) -> None:
    """Let another user read what we wrote, and nothing else: codex-action may run Codex as one."""
    files = (workspace.prompt, workspace.schema, workspace.home / "config.toml")
    for path in (workspace.folder, workspace.home, *files, workspace.facts):
        _open_up(path)
    for path in (*workspace.facts.rglob("*"), *(workspace.home / SERVERS_FOLDER).rglob("*")):
        _open_up(path)


def _open_up(path: Path) -> None:
    if not path.is_symlink():
        path.chmod(0o755 if path.is_dir() else 0o644)


def _note(evidence: Evidence, repository: Repository, runner: Runner) -> None:
    if evidence.commit and evidence.commit != repository.head:
        _notice(
            runner,
            f"The facts were measured at {evidence.commit[:12]}, the checkout that Codex reads is "
            f"at {repository.head[:12]}.",
        )
    if evidence.left_out:
        _notice(
            runner, f"{evidence.left_out} facts beyond the first {len(evidence.facts)} left out."
        )


def _notice(runner: Runner, message: str) -> None:
    runner.annotate(Annotation("notice", message, "ask"))
