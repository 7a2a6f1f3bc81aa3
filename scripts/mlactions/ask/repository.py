"""The checkout Codex reads, seen through git: no link and no odd path leads out of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlactions.errors import UserError

MAX_SOURCE_BYTES = 8 * 1024 * 1024
_SECONDS = 120


@dataclass(frozen=True)
class Source:
    """A file a claim points at: its path from the repository's root, and its text."""

    path: str
    text: str

    @property
    def lines(self) -> int:
        """How many lines it has; the last needs no line end."""
        return self.text.count("\n") + (not self.text.endswith("\n") and self.text != "")


class NoSourceError(Exception):
    """Why a path does not lead to a file of the repository."""


@dataclass(frozen=True)
class Repository:
    """A git checkout: `root` is its top, `prefix` the folder below it that was named.

    `commit` is empty when the work tree differs from HEAD: then the files themselves are read.
    """

    root: Path
    prefix: str
    head: str
    commit: str

    def read(self, path: str) -> Source:
        """Return the file a path names, from the root or from the folder that was named.

        Raises NoSourceError for a path that leads out of the repository, through a link, to
        nothing, or to something that is no text file.
        """
        relative = self._relative(path)
        try:
            return self._source(relative)
        except NoSourceError:
            if not self.prefix:
                raise
            return self._source(f"{self.prefix}/{relative}")

    def show(self, commit: str, path: str, *, limit: int) -> str | None:
        """Return a file of a commit, at most `limit` bytes of it, or None if it has none."""
        done = self._git("show", f"{commit}:{path}")
        return None if done is None else done[:limit].decode(errors="replace")

    def has(self, commit: str) -> bool:
        """Tell whether a commit is in this clone."""
        return self._git("cat-file", "-e", f"{commit}^{{commit}}") is not None

    def branch(self) -> str:
        """Return the branch that is checked out, nothing for a commit alone."""
        return (self._git("symbolic-ref", "--short", "--quiet", "HEAD") or b"").decode().strip()

    def diff(self, base: str) -> bytes | None:
        """Return what changed from the merge base with `base` to HEAD, None without one."""
        options = ("--no-color", "--no-ext-diff", "--no-textconv", "--find-renames")
        return self._git("diff", *options, f"{base}...{self.head}")

    def _relative(self, path: str) -> str:
        text = path.removeprefix(f"{self.root}/").removeprefix("./")
        pure = PurePosixPath(text)
        if not text or pure.is_absolute() or ".." in pure.parts or "\0" in text:
            raise NoSourceError("leads out of the repository")
        if ".git" in (part.lower() for part in pure.parts):
            raise NoSourceError("is git's own, not a file of the repository")
        return pure.as_posix()

    def _source(self, path: str) -> Source:
        data = self._committed(path) if self.commit else self._on_disk(path)
        if b"\0" in data[:8192]:
            raise NoSourceError("is a binary file")
        return Source(path, data.decode(errors="replace"))

    def _committed(self, path: str) -> bytes:
        entry = self._git("--literal-pathspecs", "ls-tree", "-l", "-z", self.commit, "--", path)
        facts, _, found = (entry or b"").partition(b"\t")
        if found != path.encode() + b"\0":
            raise NoSourceError("is not a file of the repository")
        mode, kind, name, size = facts.split()
        if mode == b"120000":
            raise NoSourceError("is a link")
        if kind != b"blob":
            raise NoSourceError("is not a file")
        return self._git("cat-file", "blob", name.decode()) or b"" if _fits(int(size)) else b""

    def _on_disk(self, path: str) -> bytes:
        try:
            return self._bytes(self.root / path, len(PurePosixPath(path).parts))
        except OSError:
            raise NoSourceError("cannot be read") from None

    def _bytes(self, full: Path, depth: int) -> bytes:
        steps = [full, *full.parents][:depth]
        if any(step.is_symlink() for step in steps):
            raise NoSourceError("is a link")
        if not full.is_file():
            raise NoSourceError("is not a file of the repository")
        return full.read_bytes() if _fits(full.stat().st_size) else b""

    def _git(self, *arguments: str) -> bytes | None:
        done = run_git(self.root, arguments)
        return done.stdout if done.returncode == 0 else None


def open_repository(folder: Path) -> Repository:
    """Return the checkout a folder belongs to."""
    folder = folder.resolve()
    found = run_git(folder, ("rev-parse", "--show-toplevel", "HEAD")) if folder.is_dir() else None
    if found is None or found.returncode:
        raise UserError(
            "no repository",
            "this is not a git checkout with a commit, so claims about files cannot be checked.",
            "Check the repository out first, or name its folder with `--repository`.",
            file=str(folder),
        )
    top, head = found.stdout.decode().splitlines()
    root = Path(top).resolve()
    status = run_git(root, ("status", "--porcelain", "--untracked-files=normal", "--no-renames"))
    prefix = folder.relative_to(root).as_posix().removeprefix(".")
    dirty = status.returncode != 0 or status.stdout.strip() != b""
    return Repository(root, prefix, head, "" if dirty else head)


def run_git(
    folder: Path,
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    given: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """Run git without watchers; in a container job the checkout belongs to another user.

    `environ` is added to our own variables, `given` is what it reads from standard input.
    """
    command = ["git", "-C", str(folder), "--no-optional-locks", "-c", "core.quotePath=false"]
    command += ["-c", "safe.directory=*", "-c", "core.fsmonitor=false"]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        check=False,
        timeout=_SECONDS,
        input=given,
        env={**os.environ, **(environ or {})},
    )


def _fits(size: int) -> bool:
    if size > MAX_SOURCE_BYTES:
        raise NoSourceError("is too large to check")
    return True
