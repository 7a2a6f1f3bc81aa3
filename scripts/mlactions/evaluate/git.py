"""What evaluate asks git: the commit, the merge base, the changed files, a second work tree."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from mlactions.errors import UserError
from mlactions.evaluate.tree import resolved

# A container job's checkout belongs to another user; pagers, monitors and hooks could hang us.
_OPTIONS = (
    "--no-pager",
    "-c",
    "safe.directory=*",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
)

_LINK_MODE = "120000"
_VENV = "pyvenv.cfg"

Kind = Literal["added", "changed", "deleted", "renamed", "untracked"]


@dataclass(frozen=True)
class Change:
    """A path that differs from the base, relative to the repository; `old` is set for renames."""

    path: str
    kind: Kind
    old: str | None = None


@dataclass(frozen=True)
class Git:
    """A repository, asked through the git command."""

    root: Path

    @classmethod
    def find(cls, folder: Path) -> Git | None:
        """Return the repository that holds `folder`, None where there is none."""
        try:
            done = _git(folder, "rev-parse", "--show-toplevel")
        except FileNotFoundError:
            return None
        return cls(Path(os.fsdecode(done.stdout).rstrip("\n"))) if done.returncode == 0 else None

    def head(self) -> str | None:
        """Return the full name of the commit that is checked out; None before the first one."""
        return self.commit("HEAD")

    def commit(self, name: str) -> str | None:
        """Return the full name of a commit, None when it is not here."""
        done = _git(
            self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
        return done.stdout.decode().strip() or None

    def close_ref(self, name: str) -> str:
        """Ask whether a branch of a close name was meant; without one, say how to list them."""
        branches = "--format=%(refname:short)%00", "refs/heads", "refs/remotes"
        known = [line.strip() for line in self._lines("for-each-ref", *branches)]
        close = get_close_matches(name, known, n=1)
        return f"Did you mean `{close[0]}`?" if close else "`git branch --all` lists what is here."

    def is_dirty(self) -> bool:
        """Say whether a tracked file differs from the commit, as `git describe --dirty` does."""
        return bool(self._lines("status", "--porcelain", "--untracked-files=no", "-z"))

    def is_shallow(self) -> bool:
        """Say whether history is cut off, so that a merge base may be missing."""
        return _git(self.root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"

    def merge_base(self, commit: str) -> str | None:
        """Return where HEAD left `commit`; None without a common ancestor."""
        done = _git(self.root, "merge-base", "--end-of-options", commit, "HEAD")
        return done.stdout.decode().strip() or None

    def changes(self, base: str) -> tuple[Change, ...]:
        """Return how the work tree differs from a commit, untracked files included.

        Another repository inside this one is not part of the change.
        """
        fields = iter(self._lines("diff", "--name-status", "-z", "-M", "--no-ext-diff", base))
        found = [_change(status, fields) for status in fields]
        untracked = self._lines("ls-files", "--others", "--exclude-standard", "-z")
        found += [Change(p, "untracked") for p in _own(untracked) if not p.endswith("/")]
        return tuple(sorted(found, key=lambda change: change.path))

    def files(self) -> tuple[str, ...]:
        """Return the tracked and the untracked, not ignored files that exist."""
        listed = set(self._lines("ls-files", "--cached", "--others", "--exclude-standard", "-z"))
        return tuple(path for path in sorted(_own(listed)) if (self.root / path).is_file())

    def aliases(self) -> dict[str, str]:
        """Return the files that tracked links to folders lead to: path through the link -> real.

        Links out of the repository and links into themselves are left out.
        """
        found = {}
        root = self.root.resolve()
        files = self.files()
        for line in self._lines("ls-files", "--stage", "-z"):
            mode, _, link = line.partition("\t")
            target = resolved(root / link) if mode.startswith(_LINK_MODE) else root
            if target.is_dir() and target.is_relative_to(root) and target != root:
                prefix = target.relative_to(root).as_posix() + "/"
                inside = [path for path in files if path.startswith(prefix)]
                found.update({f"{link}/{path.removeprefix(prefix)}": path for path in inside})
        return found

    @contextmanager
    def worktree(self, commit: str, folder: Path) -> Iterator[Path]:
        """Check a commit out into a new folder outside the caller's work tree, and remove it."""
        done = _git(self.root, "worktree", "add", "--detach", "--force", str(folder), commit)
        try:
            if done.returncode != 0:
                raise UserError(
                    "cannot check out the base",
                    f"git worktree: {done.stderr.decode(errors='replace').strip()}.",
                )
            yield folder
        finally:
            _git(self.root, "worktree", "remove", "--force", "--force", str(folder))
            _git(self.root, "worktree", "prune")

    def _lines(self, *arguments: str) -> list[str]:
        done = _git(self.root, *arguments)
        if done.returncode != 0:
            message = done.stderr.decode(errors="replace").strip()
            raise UserError("git failed", f"git {arguments[0]}: {message}.", file=str(self.root))
        # A name that is no UTF-8 has to lead back to its file.
        return [line for line in os.fsdecode(done.stdout).split("\0") if line]


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["git", *_OPTIONS, *arguments],
        cwd=folder,
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _own(paths: Collection[str]) -> list[str]:
    """Leave out what is installed in a virtual environment: it is not the repository's."""
    installed = tuple(p.removesuffix(_VENV) for p in paths if p.endswith(f"/{_VENV}"))
    return [path for path in paths if not path.startswith(installed)]


def _change(status: str, fields: Iterator[str]) -> Change:
    path = next(fields)
    if status.startswith(("R", "C")):
        return Change(next(fields), "renamed" if status.startswith("R") else "added", path)
    kinds: dict[str, Kind] = {"A": "added", "D": "deleted"}
    return Change(path, kinds.get(status[0], "changed"))
