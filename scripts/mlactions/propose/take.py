"""`propose take`: whether Codex worked, what it changed as git sees it, and what refuses that."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mlactions.ask.answer import NoAnswerError, read_answer
from mlactions.ask.outcome import AskStatus, Ending, Trace, clean, ending_of, not_called
from mlactions.bundle import write_atomic
from mlactions.codex_session import Session, find_sessions, read_session
from mlactions.errors import UserError
from mlactions.escaping import printable
from mlactions.propose.answer import parse_answer
from mlactions.propose.gates import judge
from mlactions.propose.model import BRANCHES, WORD, Entry, Finding, Rules
from mlactions.propose.render import WHY
from mlactions.propose.testing import added_tests
from mlactions.propose.tree import TreeError
from mlactions.propose.workspace import Context, Place, read_context
from mlactions.schema import validate
from mlactions.settings import Status
from mlactions.text import plural

PATCH = "change.patch"
_EMPTY: Mapping[str, Any] = {
    "title": "",
    "summary": "",
    "plan": [],
    "classes": [],
    "forward": [],
    "models": [],
    "unverified": [],
}


@dataclass(frozen=True)
class Taken:
    """What a task came to: how the call ended, what Codex says, and what git says."""

    ending: Ending
    said: Mapping[str, Any]
    entries: tuple[Entry, ...] = ()
    findings: tuple[Finding, ...] = ()
    patch: bytes = b""
    session: Session | None = None

    @property
    def status(self) -> Status:
        """A patch that every gate lets through passes."""
        if self.ending.status != AskStatus.ANSWERED:
            return Status.REFUSED
        return Status.FAIL if self.findings else Status.PASS


def take(out: Path, *, outcome: str, own: str | None = None) -> dict[str, Any]:
    """Return result.json of a folder that `prepare` made, and lay what goes with it into `bundle`.

    `outcome` is how the step that called Codex ended, `own` what Codex's process said where we
    called it. The work tree is removed.
    """
    place = Place(out.resolve())
    context = read_context(place)
    if context is None:
        raise UserError(
            "not prepared",
            "there is no task here: `propose prepare` did not finish.",
            file=str(place.folder),
        )
    taken = _taken(place, context, outcome, own)
    document = _document(context, taken)
    shutil.rmtree(place.bundle, ignore_errors=True)
    if taken.status == Status.PASS:
        write_atomic(place.bundle / PATCH, taken.patch)
        for file, entry in zip(document["files"], taken.entries, strict=True):
            if file["content"]:
                write_atomic(place.bundle / file["content"], (entry.after or "").encode())
    validate(document, "propose-result", file=str(place.bundle / "result.json"))
    for folder in (place.tree.folder, place.tree.git):
        shutil.rmtree(folder, ignore_errors=True)
    return document


def _taken(place: Place, context: Context, outcome: str, own: str | None) -> Taken:
    if context.reason:
        return Taken(not_called(context.reason, context.detail), _EMPTY)
    trace = replace(_trace(place, context, outcome), own=own)
    # Any command that succeeded proves that the sandbox lives; every task begins with reading.
    ending = ending_of(trace, [""])
    if ending is not None:
        return Taken(ending, _EMPTY, session=trace.session)
    try:
        message = trace.session.message if trace.session else None
        said = parse_answer(read_answer(place.answer, message=message))
    except NoAnswerError as error:
        ending = Ending(AskStatus.NO_ANSWER, error.reason, error.detail)
        return Taken(ending, _EMPTY, session=trace.session)
    answered = Taken(Ending(AskStatus.ANSWERED), said, session=trace.session)
    try:
        entries = place.tree.entries(context.commit, context.rules)
        findings = judge(entries, context.rules)
        patch = b"" if findings else place.tree.patch(context.commit)
    except TreeError as error:
        return replace(answered, findings=(error.finding,))
    return replace(answered, entries=entries, findings=findings, patch=patch)


def _trace(place: Place, context: Context, outcome: str) -> Trace:
    new = [name for name in find_sessions(place.home) if name not in context.sessions]
    config = place.home / "config.toml"
    now = hashlib.sha256(config.read_bytes()).hexdigest() if config.is_file() else ""
    return Trace(
        outcome=outcome,
        sessions=len(new),
        set_up=now != context.config or any(place.home.glob("*.json")),
        session=read_session(place.home / new[0]) if len(new) == 1 else None,
        actor=context.actor,
        declined=context.declined,
    )


def _document(context: Context, taken: Taken) -> dict[str, Any]:
    tests = added_tests(taken.entries)
    return {
        "version": 1,
        "word": WORD,
        "status": str(taken.status),
        "verdict": _verdict(taken),
        "commit": context.commit,
        "key": context.slug,
        "task": context.task,
        "prompt": context.prompt,
        "base": context.base,
        "branch": f"{BRANCHES}{context.slug}",
        "reason": taken.ending.reason,
        "detail": printable(clean(taken.ending.detail))[:500],
        **taken.said,
        "findings": [finding.document() for finding in taken.findings],
        "files": [_file(entry, number) for number, entry in enumerate(taken.entries, start=1)],
        "tests": [{"path": path, "names": list(names)} for path, names in tests.items()],
        "tests_required": context.rules.tests,
        "rules": as_json(context.rules),
        "patch_sha256": hashlib.sha256(taken.patch).hexdigest() if taken.patch else "",
        "usage": asdict(taken.session.usage) if taken.session else None,
    }


def as_json(rules: Rules) -> dict[str, Any]:
    """Return rules as JSON has them."""
    return {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(rules).items()}


def _file(entry: Entry, number: int) -> dict[str, Any]:
    names = ("path", "kind", "mode_after", "blob_before", "blob_after", "added", "removed", "bytes")
    content = "" if entry.after is None else f"files/{number}"
    return {**{name: getattr(entry, name) for name in names}, "content": content}


def _verdict(taken: Taken) -> str:
    if taken.status == Status.REFUSED:
        why = WHY.get(taken.ending.reason, f"{taken.ending.reason or taken.ending.status}.")
        return f"Codex made no change. {why}"
    if taken.findings:
        reasons = ", ".join(dict.fromkeys(finding.reason for finding in taken.findings))
        return f"The change is refused: {reasons}."
    lines = f"{_sum(taken.entries, 'added'):,} lines added, {_sum(taken.entries, 'removed'):,}"
    return f"{plural(len(taken.entries), 'file')} changed, {lines} removed; every gate holds."


def _sum(entries: Sequence[Entry], name: str) -> int:
    return sum(getattr(entry, name) for entry in entries)
