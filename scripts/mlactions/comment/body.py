"""The text of a comment: mark, notes about its worth, the report, and where it comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlactions.comment.sticky import Identity
from mlactions.markdown import LIMIT, escape, link, render
from mlactions.report import Report

_COMMIT = re.compile(r"^<!-- mlactions-commit:([0-9a-f]{40,64}) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Frame:
    """What stands around the report. `commit` was measured, `head` is the pull request's now."""

    identity: Identity
    repository_url: str
    commit: str = ""
    head: str = ""
    unverified: bool = False
    run_url: str = ""
    artifact_url: str = ""

    @property
    def stale(self) -> bool:
        """True where the pull request has moved on since."""
        return bool(self.commit and self.head) and self.commit != self.head


def compose(report: Report, frame: Frame) -> str:
    """Return the comment, as long as GitHub lets it be."""
    head = [frame.identity.mark]
    head += [f"<!-- mlactions-commit:{frame.commit} -->"] if frame.commit else []
    parts = ["\n".join(head), *_notes(frame)]
    around = "\n\n".join([*parts, "", _origin(frame)])
    text = render(report, limit=LIMIT - len(around) - 2, artifact=frame.artifact_url)
    return "\n\n".join([*parts, text.rstrip(), _origin(frame)]) + "\n"


def commit_of(body: str) -> str:
    """Return the commit that a comment of ours was measured at; empty where it names none."""
    match = _COMMIT.search(body[:1000])
    return match[1] if match else ""


def _notes(frame: Frame) -> list[str]:
    notes = []
    if frame.unverified:
        notes.append(
            "> [!CAUTION]\n> **Unverified fork result.** The fork's own run made these numbers;"
            " nothing outside of it has checked them. No status is set."
        )
    if frame.stale:
        notes.append(
            f"> [!WARNING]\n> **This result is for an older commit.** It was measured at"
            f" {_commit(frame, frame.commit)}; the pull request is now at"
            f" {_commit(frame, frame.head)}."
        )
    return notes


def _origin(frame: Frame) -> str:
    parts = [f"Measured at {_commit(frame, frame.commit)}"] if frame.commit else []
    parts += [link("run", frame.run_url)] if frame.run_url else []
    parts += [link("whole report", frame.artifact_url)] if frame.artifact_url else []
    return f"<sub>{' · '.join([*parts, escape(frame.identity.key)])}</sub>"


def _commit(frame: Frame, sha: str) -> str:
    """Link a commit by its short name; `sha` is hexadecimal, so it cannot hold markup."""
    return f"[`{sha[:7]}`]({frame.repository_url}/commit/{sha})"
