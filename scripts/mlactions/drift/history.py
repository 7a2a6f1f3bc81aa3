"""When each drifted line of the configuration was last changed, as git tells it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mlactions.compare.rules import Git
from mlactions.drift.model import Row

MAX_ROWS = 30
MAX_SUBJECT = 72
CHANGED = "last changed in"
"""How a note of git's begins."""

UNCOMMITTED = "not committed yet"

_COMMIT = re.compile(r"[0-9a-f]{40,64}")


def with_history(rows: Iterable[Row], folder: Path, git: Git) -> tuple[Row, ...]:
    """Return the rows; those of drifted settings say which commit wrote their line."""
    told = []
    left = MAX_ROWS
    for row in rows:
        wanted = row.kind == "parameter" and row.state == "drift" and row.level in {"fail", "warn"}
        if wanted and left and row.file and row.line:
            left -= 1
            note = _changed(row.file, row.line, folder, git)
            told.append(replace(row, note=". ".join(filter(None, (row.note, note)))))
        else:
            told.append(row)
    return tuple(told)


def _changed(file: str, line: int, folder: Path, git: Git) -> str:
    """Return who wrote a line: a commit, its day and subject; nothing where git cannot tell."""
    path = os.path.relpath(file, folder)
    done = git("blame", "--porcelain", f"-L{line},{line}", "--", path)
    head, *fields = done.stdout.decode(errors="replace").splitlines() or [""]
    commit = head.partition(" ")[0]
    if done.returncode or not _COMMIT.fullmatch(commit):
        return ""
    if set(commit) == {"0"}:
        return UNCOMMITTED
    found = {name: value for name, _, value in (field.partition(" ") for field in fields)}
    if "boundary" in found and _is_shallow(git):
        return ""  # a shallow clone gives its oldest commit the credit for everything
    day = datetime.fromtimestamp(int(found.get("committer-time", "0")), tz=UTC).date().isoformat()
    subject = found.get("summary", "")
    short = subject if len(subject) <= MAX_SUBJECT else f"{subject[: MAX_SUBJECT - 1]}…"
    return f"{CHANGED} {commit[:8]} on {day}: {short}"


def _is_shallow(git: Git) -> bool:
    return git("rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
