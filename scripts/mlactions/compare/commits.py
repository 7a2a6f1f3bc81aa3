"""Whether a bundle was measured at the commit that is checked: old results pass no new change."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.compare.model import Candidate, Finding, Level
from mlactions.compare.rules import Git
from mlactions.errors import UserError
from mlactions.schema import load_json

MAX_EVENT_BYTES = 32 * 1024 * 1024

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_EVENT_HEADS = (("pull_request", "head", "sha"), ("workflow_run", "head_sha"))


@dataclass(frozen=True)
class Checked:
    """What is checked: the commit that is checked out, those of the event, whether it is clean.

    `head` is "" outside of a repository; `event` is empty outside of GitHub.
    """

    head: str = ""
    event: tuple[str, ...] = ()
    clean: bool = False

    @property
    def commits(self) -> tuple[str, ...]:
        """Every commit that may have been measured, what is checked out first."""
        return tuple(dict.fromkeys(sha for sha in (self.head, *self.event) if sha))


def checked(candidate: Candidate, git: Git, environ: Mapping[str, str]) -> Checked:
    """Ask git and the event, where a bundle says at which commit it was measured."""
    if candidate.expected is None or not candidate.commit:
        return Checked()
    github = environ.get("GITHUB_ACTIONS") == "true"
    head = _ask(git, "rev-parse", "--verify", "--quiet", "HEAD^{commit}") or ""
    dirty = not github and candidate.commit == head and _dirty(candidate)
    changes = _ask(git, "status", "--porcelain", "--untracked-files=no") if dirty else None
    return Checked(head, _event(environ) if github else (), clean=changes == "")


def other_commit(candidate: Candidate, against: Checked) -> Iterator[Finding]:
    """Yield what it means that something else was measured than what is checked.

    On GitHub it is a failure: nobody measures by hand there. On a laptop it is a warning.
    """
    measured, known = candidate.commit, against.commits
    if known and measured not in known:
        level: Level = "fail" if against.event else "warn"
        yield Finding(
            "other-commit", level, _sentence(measured, known, on_github=bool(against.event))
        )
    elif against.clean and _dirty(candidate):
        message = "Measured with uncommitted changes that are not there any more: measure again."
        yield Finding("other-commit", "warn", message)


def _dirty(candidate: Candidate) -> bool:
    return any(side.provenance.get("dirty") is True for side in candidate.head.values())


def _sentence(measured: str, known: Collection[str], *, on_github: bool) -> str:
    here = " or ".join(f"`{commit[:12]}`" for commit in known)
    todo = "name the bundle of this run" if on_github else "run `evaluate` again"
    what = "the commit of this run is" if on_github else "HEAD is"
    return f"The numbers were measured at `{measured[:12]}`, and {what} {here}: {todo}."


def _ask(git: Git, *arguments: str) -> str | None:
    """Return what git says; None where it cannot be asked, and then there is nothing to say."""
    try:
        done = git(*arguments)
    except UserError:
        return None
    return None if done.returncode else done.stdout.decode(errors="replace").strip()


def _event(environ: Mapping[str, str]) -> tuple[str, ...]:
    path = Path(environ.get("GITHUB_EVENT_PATH") or "-")
    event: Any = load_json(path, max_bytes=MAX_EVENT_BYTES) if path.is_file() else {}
    found = [*(_below(event, keys) for keys in _EVENT_HEADS), environ.get("GITHUB_SHA", "")]
    return tuple(sha for sha in found if isinstance(sha, str) and _COMMIT.fullmatch(sha))


def _below(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
