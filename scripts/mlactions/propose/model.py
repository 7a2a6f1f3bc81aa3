"""What `propose` talks about: tasks, rules for a patch, and what a patch does. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

WORD, CHECK, PUBLISH = "propose", "propose-check", "propose-publish"
"""The words that the three steps write their results under."""

BRANCHES = "mlactions/propose/"
"""Every branch that is written begins with this."""

Kind = Literal["added", "changed", "deleted"]


@dataclass(frozen=True)
class Task:
    """A task that ships as a prompt; `tests`: the patch must bring tests that prove it.

    `plan_only` forbids code: the patch is Markdown.
    """

    name: str
    tests: bool = False
    plan_only: bool = False


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("plan-model", plan_only=True),
        Task("data-pipeline", tests=True),
        Task("backbone", tests=True),
        Task("export-fix"),
        Task("repro-fix", tests=True),
        Task("experiment"),
    )
}

OWN = Task("own")
"""The user's own prompt file."""


@dataclass(frozen=True)
class Rules:
    """What a patch may do. `allow` are globs of paths, `lock_files` those that may change.

    `max_lines` counts lines that come and go, `max_bytes` the whole content of changed files.
    """

    allow: tuple[str, ...]
    lock_files: tuple[str, ...] = ()
    max_files: int = 20
    max_lines: int = 1_000
    max_bytes: int = 1_000_000
    plan_only: bool = False
    tests: bool = False


@dataclass(frozen=True)
class Entry:
    """One path of a patch, as git lists it; modes are octal, `000000` where there is no file.

    `before` and `after` are contents; None where there is no file, or no UTF-8 text.
    """

    path: str
    mode_before: str
    mode_after: str
    blob_before: str
    blob_after: str
    added: int
    removed: int
    binary: bool = False
    before: str | None = None
    after: str | None = None

    @property
    def kind(self) -> Kind:
        """Whether the file comes, goes or changes."""
        if self.mode_before == NOTHING:
            return "added"
        return "deleted" if self.mode_after == NOTHING else "changed"

    @property
    def bytes(self) -> int:
        """The size of the new content."""
        return len((self.after or "").encode())


NOTHING, FILE, PROGRAM = "000000", "100644", "100755"


@dataclass(frozen=True)
class Finding:
    """Why a patch is refused: a stable reason, what was found, and the path it is about."""

    reason: str
    text: str
    path: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"reason": self.reason, "text": self.text, "path": self.path}
