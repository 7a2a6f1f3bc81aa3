"""The repository's files as static analysis sees them: those that exist and those just deleted."""

from __future__ import annotations

import os
import posixpath
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

MAX_SOURCE_BYTES = 5 * 1024 * 1024

CONFIG_SUFFIXES = (
    *(".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".conf"),
    *(".gin", ".jsonnet", ".libsonnet", ".json5", ".properties", ".xml", ".py"),
)
"""Of files that people write settings into; names of them are often written without it."""


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
        self._here: dict[str, bool] = {}
        self._leaving: dict[str, bool] = {}
        self._reals: dict[str, str] = {}
        self._sorted = sorted(self.files)
        self._names = {name for path in self.files for name in _spellings(path)}

    def text(self, path: str) -> str | None:
        """Return a file's text; None when it is gone, too large, or not UTF-8."""
        if path not in self._texts:
            self._texts[path] = self._read(self.root / path)
        return self._texts[path]

    def exists(self, path: str) -> bool:
        """Say whether a listed file is there, and not only in the base."""
        if path not in self._here:
            self._here[path] = (self.root / path).is_file()
        return self._here[path]

    def real(self, path: str) -> str:
        """Return where a file stands that is reached through a link, as a changed path has it."""
        if path not in self._reals:
            self._reals[path] = self._real(path)
        return self._reals[path]

    def _real(self, path: str) -> str:
        if path in self.aliases:
            return self.aliases[path]
        if (self.root / path).is_symlink():
            target = resolved(self.root / path)
            if target.is_relative_to(self.root):
                return target.relative_to(self.root).as_posix()
        return path

    def leaves(self, path: str) -> bool:
        """Say whether a path leads out of the repository: then nobody here sees it change."""
        if path not in self._leaving:
            self._leaving[path] = not resolved(self.root / path).is_relative_to(self.root)
        return self._leaving[path]

    def named(self, word: str, places: Iterable[str], *, beside: str = "") -> list[str]:
        """Return the files that a string names, seen from any of several folders.

        A config's suffix may be missing; that of Python only where the file stands in `beside`.
        """
        word = word.rstrip("/").removeprefix("file://")
        if posixpath.basename(word) not in self._names:
            return []
        found = []
        for place in dict.fromkeys(places):
            path = join(place, word.lstrip("/"))
            found += [path + end for end in ("", *CONFIG_SUFFIXES[:-1]) if path + end in self.files]
        script = join(beside, f"{word}.py")
        return [*found, script] if script in self.files else found

    def named_folders(self, word: str, places: Iterable[str]) -> list[str]:
        """Return the folders that a string names, seen from any of several folders."""
        word = word.strip("/")
        if posixpath.basename(word) not in self._folder_names:
            return []
        found = (join(place, word) for place in dict.fromkeys(places))
        return [folder for folder in found if folder in self.folders]

    @cached_property
    def _folder_names(self) -> frozenset[str]:
        return frozenset(posixpath.basename(folder) for folder in self.folders if folder)

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder that holds a file at any depth; "" is the root."""
        return frozenset(parent for path in self.files for parent in parents(path))

    def below(self, folder: str, suffix: str = "") -> list[str]:
        """Return the files in a folder at any depth whose names end with `suffix`."""
        first, last = 0, len(self._sorted)
        if folder:
            first = bisect_left(self._sorted, f"{folder}/")
            last = bisect_left(self._sorted, f"{folder}0")  # "0" follows "/"
        return [path for path in self._sorted[first:last] if path.endswith(suffix)]

    @staticmethod
    def _read(path: Path) -> str | None:
        try:
            if path.stat().st_size > MAX_SOURCE_BYTES:
                return None
            return path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            return None


def resolved(path: Path) -> Path:
    """Return where a path leads; a link that leads to itself stays as it is."""
    return Path(os.path.realpath(path))


def _spellings(path: str) -> Iterator[str]:
    """Yield a file's name, with and without a config's suffix."""
    name = posixpath.basename(path)
    yield name
    if name.endswith(CONFIG_SUFFIXES):
        yield name.rpartition(".")[0]


def parents(path: str) -> Iterator[str]:
    """Yield the folders above a path, nearest first, "" last."""
    while path:
        path = posixpath.dirname(path)
        yield path


def join(*parts: str) -> str:
    """Join and normalise; "" is the root, a path out of the root starts with `..`."""
    path = posixpath.normpath(posixpath.join(*parts) or ".")
    return "" if path == "." else path
