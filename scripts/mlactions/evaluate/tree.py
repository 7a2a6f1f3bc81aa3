"""The repository's files as static analysis sees them: those that exist and those just deleted."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

MAX_SOURCE_BYTES = 5 * 1024 * 1024


class Tree:
    """Paths are POSIX and relative to `root`. A deleted file is listed but has no text.

    `aliases` names files that are also reached through a linked folder: alias -> real path.
    """

    def __init__(
        self, root: Path, files: Iterable[str], aliases: Mapping[str, str] | None = None
    ) -> None:
        self.root = root
        self.aliases = dict(aliases or {})
        self.files = frozenset(files) | frozenset(self.aliases)
        self._texts: dict[str, str | None] = {}

    def text(self, path: str) -> str | None:
        """Return a file's text; None when it is gone, too large, or not UTF-8."""
        if path not in self._texts:
            self._texts[path] = self._read(self.root / path)
        return self._texts[path]

    def exists(self, path: str) -> bool:
        """Say whether a listed file is there, and not only in the base."""
        return (self.root / path).is_file()

    def real(self, path: str) -> str:
        """Return where a file stands that is reached through a link, as a changed path has it."""
        if path in self.aliases:
            return self.aliases[path]
        if (self.root / path).is_symlink():
            target = (self.root / path).resolve()
            if target.is_relative_to(self.root):
                return target.relative_to(self.root).as_posix()
        return path

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder that holds a file at any depth; "" is the root."""
        return frozenset(parent for path in self.files for parent in parents(path))

    def below(self, folder: str, suffix: str = "") -> list[str]:
        """Return the files in a folder at any depth whose names end with `suffix`."""
        prefix = f"{folder}/" if folder else ""
        return sorted(p for p in self.files if p.startswith(prefix) and p.endswith(suffix))

    @staticmethod
    def _read(path: Path) -> str | None:
        try:
            if path.stat().st_size > MAX_SOURCE_BYTES:
                return None
            return path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            return None


def parents(path: str) -> Iterator[str]:
    """Yield the folders above a path, nearest first, "" last."""
    while path:
        path = posixpath.dirname(path)
        yield path


def join(*parts: str) -> str:
    """Join and normalise; "" is the root, a path out of the root starts with `..`."""
    path = posixpath.normpath(posixpath.join(*parts) or ".")
    return "" if path == "." else path
