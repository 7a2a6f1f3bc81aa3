"""The work tree that Codex writes in, thrown away after; what changed there is told by git alone.

It has a git directory of its own, beside it and out of Codex's reach, that borrows the objects of
the caller's repository. Nothing of that repository is written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlactions.ask.repository import Repository, run_git
from mlactions.bundle import write_atomic, write_json
from mlactions.errors import UserError
from mlactions.propose.gates import too_large
from mlactions.propose.model import NOTHING, Entry, Finding, Rules
from mlactions.schema import load_json

# Neither a filter nor a hook of this machine may run on what Codex wrote.
_HERMETIC = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}
_DIFF = ("--cached", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
_UNCLEAN = "mlactions-unclean.json"
_LISTED = 10
"""How many times the files that are allowed are read, so that the report can name them."""


class TreeError(Exception):
    """Git cannot tell what changed: the finding says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


@dataclass(frozen=True)
class WorkTree:
    """A folder with files, and the git directory that watches it."""

    folder: Path
    git: Path

    def create(self, repository: Repository, commit: str) -> None:
        """Check a commit of a repository out into a new folder."""
        for path in (self.folder, self.git):
            shutil.rmtree(path, ignore_errors=True)
        self.folder.mkdir(parents=True)
        init = ("init", "-q", "--template=", f"--separate-git-dir={self.git}", ".")
        self._must(run_git(self.folder, init, environ=_HERMETIC), "make a work tree")
        _borrow(repository, self.git)
        for step in (
            ("update-ref", "--no-deref", "HEAD", commit),
            ("read-tree", commit),
            ("checkout-index", "--all", "--force", "--index"),
        ):
            self._must(self._run(*step), "check the commit out")
        write_json(self.git / _UNCLEAN, self._unclean())

    def _unclean(self) -> dict[str, str]:
        """Return what git calls modified without a change, by path with a hash of what is there.

        Line ends that attributes ask for are one such reason.
        """
        done = self._run("ls-files", "--modified", "-z")
        paths = [os.fsdecode(path) for path in done.stdout.split(b"\0")[:-1]]
        return {path: _hash(self.folder / path) for path in paths}

    def entries(self, commit: str, rules: Rules) -> tuple[Entry, ...]:
        """Return what differs from the commit; files that git ignores are left out.

        Raises TreeError where that is too much to be read, or cannot be read.
        """
        options = ("--modified", "--others", "--exclude-standard", "--deduplicate", "-z")
        listed = self._read("ls-files", *options).split(b"\0")[:-1]
        if len(listed) > _LISTED * rules.max_files:
            text = (
                f"The patch changes {len(listed):,} files, at most {rules.max_files:,} are allowed."
            )
            raise TreeError(Finding("too-many-files", text))
        size = sum(_size(self.folder / os.fsdecode(path)) for path in listed)
        if finding := too_large(size, rules):
            raise TreeError(finding)
        self._read("add", "--all", ".")
        known: dict[str, str] = load_json(self.git / _UNCLEAN)
        same = [path for path, there in known.items() if _hash(self.folder / path) == there]
        if same:
            self._read("reset", "-q", commit, "--", *(f":(literal){path}" for path in same))
        raw = self._read("diff-index", "--raw", "--abbrev=64", "-z", *_DIFF, commit)
        fields = raw.split(b"\0")[:-1]
        counts = self._counts(commit)
        pairs = zip(fields[::2], fields[1::2], strict=True)
        return tuple(self._entry(about.decode(), path, counts) for about, path in pairs)

    def patch(self, commit: str) -> bytes:
        """Return the difference from the commit as a patch that `git apply` takes."""
        options = ("--full-index", "-p", "--src-prefix=a/", "--dst-prefix=b/")
        return self._read("diff-index", *_DIFF, *options, commit)

    def _counts(self, commit: str) -> Mapping[bytes, tuple[bytes, bytes]]:
        lines = self._read("diff-index", "--numstat", "-z", *_DIFF, commit).split(b"\0")[:-1]
        found = (line.split(b"\t", 2) for line in lines)
        return {path: (added, removed) for added, removed, path in found}

    def _entry(self, about: str, path: bytes, counts: Mapping[bytes, tuple[bytes, bytes]]) -> Entry:
        before, after, old, new = about.removeprefix(":").split(" ")[:4]
        added, removed = counts.get(path, (b"0", b"0"))
        binary = added == b"-"
        return Entry(
            path=path.decode(errors="replace"),
            mode_before=before,
            mode_after=after,
            blob_before="" if before == NOTHING else old,
            blob_after="" if after == NOTHING else new,
            added=0 if binary else int(added),
            removed=0 if binary else int(removed),
            binary=binary,
            before=self._text(before, old),
            after=self._text(after, new),
        )

    def _text(self, mode: str, blob: str) -> str | None:
        if not mode.startswith("100"):
            return None
        try:
            return self._read("cat-file", "blob", blob).decode()
        except UnicodeDecodeError:
            return None

    def _read(self, *arguments: str) -> bytes:
        done = self._run(*arguments)
        if done.returncode:
            raise TreeError(Finding("unreadable", f"git {arguments[0]}: {_said(done)}"))
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run git on this folder, whatever its `.git` says now."""
        where = {"GIT_DIR": str(self.git), "GIT_WORK_TREE": str(self.folder)}
        return run_git(self.folder, arguments, environ={**_HERMETIC, **where})

    def _must(self, done: subprocess.CompletedProcess[bytes], what: str) -> None:
        if done.returncode:
            raise UserError("git failed", f"cannot {what}: {_said(done)}", file=str(self.folder))


def _borrow(repository: Repository, git: Path) -> None:
    """Let the git directory read the objects of a repository, and know where history ends."""
    paths = [_path(repository, name) for name in ("objects", "shallow")]
    write_atomic(git / "objects/info/alternates", f"{paths[0]}\n")
    if paths[1].is_file():
        shutil.copyfile(paths[1], git / "shallow")


def _path(repository: Repository, name: str) -> Path:
    done = run_git(repository.root, ("rev-parse", "--git-path", name))
    return (repository.root / os.fsdecode(done.stdout.rstrip(b"\n"))).resolve()


def _hash(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode(errors="replace").split("\n")
    return next((line.strip() for line in lines if line.strip()), "no reason given")[:300]
