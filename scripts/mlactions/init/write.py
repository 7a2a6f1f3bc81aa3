"""Write files that are not there yet: all of them or none, and never over another."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mlactions.errors import UserError
from mlactions.init.model import File
from mlactions.settings import path_below

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK})
"""How file systems without hard links refuse one."""


def write_new(root: Path, files: Sequence[File]) -> None:
    """Create files below a folder. Raises UserError, and takes back what it made, if one fails."""
    made: list[Path] = []
    try:
        for file in files:
            path = path_below(root, file.path, field="path")
            made += _folders(path.parent)
            create(path, file.text)
            made.append(path)
    except FileExistsError as error:
        _take_back(made)
        message = "it came to be while this ran. Nothing was written."
        raise UserError("file exists", message, "Run it again.", str(error.filename)) from None
    except OSError as error:
        _take_back(made)
        reason = (error.strerror or "it failed").lower()
        raise UserError(
            "cannot write",
            f"{reason}. Nothing was written.",
            "Make the folder writable for you.",
            str(error.filename or root),
        ) from None
    except UserError:
        _take_back(made)
        raise


def create(path: Path, text: str) -> None:
    """Write a new file whole, or not at all: a link to a finished file never replaces another."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode())
        Path(temporary).chmod(0o644)
        try:
            path.hardlink_to(temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with path.open("x", encoding="utf-8", newline="\n") as plain:
                plain.write(text)
    finally:
        Path(temporary).unlink()


def _folders(folder: Path) -> list[Path]:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir()
    return list(reversed(missing))


def _take_back(made: Sequence[Path]) -> None:
    for path in reversed(made):
        path.rmdir() if path.is_dir() else path.unlink()
