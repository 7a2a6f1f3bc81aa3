"""A bundle: a folder of facts with a manifest. It is how the four roles talk to each other.

Relocatable (no absolute paths) and deterministic (no clock). Whoever reads one trusts nothing:
paths, sizes, hashes and the shape of every document are checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlactions.errors import UserError
from mlactions.schema import load_json, validate

MANIFEST = "manifest.json"
MAX_FILES = 20_000
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_BUNDLE_BYTES = 512 * 1024 * 1024
MODEL_BYTES = {"export": 16 * 1024**3}
"""Bytes, of one file and of all, in the bundles of words that carry models."""


@dataclass(frozen=True)
class Entry:
    """One file of a bundle: its relative POSIX path, its size in bytes, its SHA-256 in hex."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest was checked; `word` is the capability that wrote it."""

    folder: Path
    word: str
    entries: tuple[Entry, ...]

    def path(self, name: str) -> Path:
        """Return the path of a listed file; a name the manifest lacks is an error."""
        if all(entry.path != name for entry in self.entries):
            raise _broken(self.folder, f"`{name}` is missing from the manifest")
        return self.folder / PurePosixPath(name)

    def json(self, name: str, *, schema: str | None = None) -> Any:
        """Read a JSON file of the bundle, checked against one of our schemas when named."""
        path = self.path(name)
        document = load_json(path, max_bytes=MAX_FILE_BYTES)
        if schema is not None:
            validate(document, schema, file=str(path))
        return document


def write_atomic(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file whole or not at all.

    The mode is readable for others, because a later step may run as another user.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        _write(path, data, mode)
    except OSError as error:
        raise UserError(
            "cannot write",
            f"{(error.strerror or 'failed').lower()}.",
            "Name a folder that can be written to, on a disk with room.",
            file=str(path),
        ) from error


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, document: Any) -> None:
    """Write JSON that is equal byte for byte when the document is equal.

    One line per item of the lists and mappings at the top: a row is read, and compared, at once.
    """
    write_atomic(path, _lines(document, "", depth=2) + "\n")


def _lines(value: Any, indent: str, depth: int) -> str:
    """Spread the outer levels over lines. Python's own indented writer takes five times as long."""
    if depth and value and isinstance(value, dict):
        pairs = ((_compact(str(key)), item) for key, item in sorted(value.items()))
        inner = (f"{indent} {key}: {_lines(item, indent + ' ', depth - 1)}" for key, item in pairs)
        return "{\n" + ",\n".join(inner) + f"\n{indent}}}"
    if depth and value and isinstance(value, list | tuple):
        inner = (f"{indent} {_lines(item, indent + ' ', 0)}" for item in value)
        return "[\n" + ",\n".join(inner) + f"\n{indent}]"
    return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def seal(folder: Path, word: str) -> Bundle:
    """Write the manifest over all files of a folder; the last act of a command that measures."""
    entries = tuple(_entry(folder, path) for path in _files(folder))
    manifest = {
        "version": 1,
        "word": word,
        "files": [{"path": e.path, "bytes": e.bytes, "sha256": e.sha256} for e in entries],
    }
    write_json(folder / MANIFEST, manifest)
    return Bundle(folder, word, entries)


def open_bundle(folder: Path, *, word: str | None = None) -> Bundle:
    """Read and check a bundle; `word` is the capability expected to have written it."""
    if not (folder / MANIFEST).is_file():
        raise UserError(
            "no bundle",
            f"there is no {MANIFEST} in it: the step that measures did not finish.",
            file=str(folder),
        )
    manifest = load_json(folder / MANIFEST)
    validate(manifest, "manifest", file=str(folder / MANIFEST))
    if word is not None and manifest["word"] != word:
        raise _broken(folder, f"it was written by `{manifest['word']}`, expected `{word}`")
    entries = tuple(Entry(**entry) for entry in manifest["files"])
    _check(folder, entries, MODEL_BYTES.get(manifest["word"]))
    return Bundle(folder, manifest["word"], entries)


def unfold(folder: Path) -> tuple[Path, ...]:
    """Return a folder of bundles as those bundles, in order; any other path as it is.

    That is what several artifacts downloaded together look like. A folder beside the bundles that
    is none is returned too, so that a part whose measuring did not finish is missed by its reader.
    """
    if not folder.is_dir() or (folder / MANIFEST).exists():
        return (folder,)
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    if not any((path / MANIFEST).is_file() for path in folders):
        return (folder,)
    return tuple(folders)


def _files(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise _broken(folder, f"`{path.relative_to(folder)}` is a link")
        if path.is_file() and path != folder / MANIFEST:
            yield path


def _entry(folder: Path, path: Path) -> Entry:
    return Entry(path.relative_to(folder).as_posix(), path.stat().st_size, digest(path))


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hash of a file's content in hex, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _check(folder: Path, entries: tuple[Entry, ...], cap: int | None) -> None:
    root = folder.resolve()
    total = sum(entry.bytes for entry in entries)
    if len(entries) > MAX_FILES or total > (cap or MAX_BUNDLE_BYTES):
        raise _broken(folder, "it is too large")
    if len({entry.path for entry in entries}) != len(entries):
        raise _broken(folder, "the manifest lists a file twice")
    for entry in entries:
        path = folder / PurePosixPath(entry.path)
        if path.is_symlink() or not path.resolve().is_relative_to(root) or not path.is_file():
            raise _broken(folder, f"`{entry.path}` is missing, a link, or outside the bundle")
        if path.stat().st_size != entry.bytes or entry.bytes > (cap or MAX_FILE_BYTES):
            raise _broken(folder, f"`{entry.path}` does not have the size the manifest names")
        if digest(path) != entry.sha256:
            raise _broken(folder, f"`{entry.path}` was changed after it was measured")


def _broken(folder: Path, why: str) -> UserError:
    return UserError("broken bundle", f"{why}.", "Run the measuring step again.", file=str(folder))
