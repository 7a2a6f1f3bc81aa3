"""The folder a question lives in: where each file is, and what `verify` must know of `prepare`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mlactions.ask.evidence import PAPERS, Evidence, Log, Outcome
from mlactions.ask.proposal import answer_files
from mlactions.ask.scope import Quotable
from mlactions.bundle import MANIFEST, Bundle, write_atomic, write_json
from mlactions.publish import empty_folder
from mlactions.schema import load_json
from mlactions.settings import Status

MAX_BYTES = 64 * 1024 * 1024

_NAMES = frozenset(
    {"prompt.md", "answer.schema.json", "answer.json", "facts", "home", "context.json", "bundle"}
)


@dataclass(frozen=True)
class Workspace:
    """Names below one folder. Codex reads `facts` and nothing else of it."""

    folder: Path

    @property
    def prompt(self) -> Path:
        """What Codex is asked."""
        return self.folder / "prompt.md"

    @property
    def schema(self) -> Path:
        """The form of its answer."""
        return self.folder / "answer.schema.json"

    @property
    def answer(self) -> Path:
        """Its answer, written by `codex exec` itself."""
        return self.folder / "answer.json"

    @property
    def facts(self) -> Path:
        """Codex's working directory: all that was measured."""
        return self.folder / "facts"

    @property
    def home(self) -> Path:
        """The Codex home: configuration and session logs."""
        return self.folder / "home"

    @property
    def context(self) -> Path:
        """What `prepare` leaves for `verify`."""
        return self.folder / "context.json"

    @property
    def bundle(self) -> Path:
        """The checked answer and its report."""
        return self.folder / "bundle"


def make_room(workspace: Workspace) -> None:
    """Remove an earlier question: Codex does not touch an old answer when it fails.

    The Codex home stays with its session logs. Raises UserError for a folder of anybody else's,
    whose files would be lost.
    """
    empty_folder(workspace.folder, "ask", _NAMES, mark=workspace.context.name, keep={"home"})
    write_json(workspace.context, {"word": "ask"})


def clear_bundle(workspace: Workspace) -> None:
    """Remove an earlier answer; where no question was prepared, only what is one."""
    if _question(workspace):
        shutil.rmtree(workspace.bundle, ignore_errors=True)
    else:
        empty_folder(workspace.bundle, "ask", answer_files(workspace.bundle))


@dataclass(frozen=True)
class Context:
    """What `verify` must know. `reason` says why Codex is not called, empty if it is.

    `declined`: the actor is a bot that codex-action does not answer. `servers` are the MCP servers
    that Codex was given.
    """

    reason: str
    detail: str
    repository: str
    head: str
    commit: str
    actor: str
    declined: bool
    sessions: tuple[str, ...]
    config: str
    servers: tuple[str, ...] = ()


def write_context(workspace: Workspace, context: Context) -> None:
    """Leave the context for `verify`."""
    write_json(workspace.context, {"word": "ask", **asdict(context)})


def read_context(workspace: Workspace) -> Context | None:
    """Return the context, or None if `prepare` did not finish."""
    document = _question(workspace)
    if "sessions" not in document:
        return None
    known = (field.name for field in fields(Context) if field.name in document)
    lists = {name: tuple(document.get(name, ())) for name in ("sessions", "servers")}
    return Context(**{**{name: document[name] for name in known}, **lists})


def _question(workspace: Workspace) -> dict[str, Any]:
    """Return what `prepare` left, empty if it was never there."""
    document: Any = load_json(workspace.context) if workspace.context.is_file() else None
    if not isinstance(document, dict) or document.get("word") != "ask":
        return {}
    return document


def write_evidence(workspace: Workspace, evidence: Evidence) -> None:
    """Write the facts as files: what an answer may cite, and what it may read besides."""
    facts = workspace.facts
    write_json(facts / "facts.json", {"version": 1, "facts": list(evidence.facts)})
    write_json(facts / "results.json", [asdict(outcome) for outcome in evidence.outcomes])
    document = {
        "head": evidence.head,
        "base": evidence.base,
        "models": sorted(evidence.models),
        "seeds": sorted(evidence.seeds),
    }
    write_json(facts / "metrics.json", document)
    _write_logs(facts, evidence.logs)
    for paper in evidence.papers:
        write_atomic(facts / paper.name, paper.text)


def _write_logs(facts: Path, logs: Sequence[Log]) -> None:
    """Write the ends of logs under numbers: Codex reads a path too, and models are named freely."""
    listed = []
    for number, log in enumerate(logs, start=1):
        name = f"logs/{number}.log"
        write_atomic(facts / name, log.text)
        entry = {"file": name, "called": log.path, "model": log.model, "side": log.side}
        listed.append({**entry, "seed": log.seed, "outcome": log.outcome})
    if listed:
        write_json(facts / "logs.json", listed)


def copy_bundle(workspace: Workspace, bundle: Bundle) -> Path:
    """Lay a whole result beside the facts; its manifest tells who reads it that it is unchanged."""
    folder = workspace.facts / bundle.word
    for name in (MANIFEST, *(entry.path for entry in bundle.entries)):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.folder / name, target)
    return folder


def read_evidence(workspace: Workspace) -> Evidence:
    """Read back what `write_evidence` wrote; logs are read as text by whoever quotes them."""
    facts: Mapping[str, Any] = load_json(workspace.facts / "facts.json", max_bytes=MAX_BYTES)
    metrics = load_json(workspace.facts / "metrics.json", max_bytes=MAX_BYTES)
    results = load_json(workspace.facts / "results.json")
    return Evidence(
        outcomes=tuple(Outcome(r["word"], Status(r["status"]), r["verdict"]) for r in results),
        facts=tuple(facts["facts"]),
        head=metrics["head"],
        base=metrics["base"],
        models=frozenset(metrics["models"]),
        seeds=frozenset(metrics["seeds"]),
    )


def read_quotable(workspace: Workspace) -> Quotable:
    """Return the other texts Codex was given, which it may quote numbers from."""
    facts = workspace.facts
    listed = load_json(facts / "logs.json") if (facts / "logs.json").is_file() else ()
    return Quotable(
        logs=tuple((entry["model"], _text(facts / entry["file"])) for entry in listed),
        patch=_text(facts / "diff.patch"),
        papers=tuple(_text(facts / name) for name in PAPERS),
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def as_json(value: Any) -> str:
    """Return compact JSON for a step output."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
