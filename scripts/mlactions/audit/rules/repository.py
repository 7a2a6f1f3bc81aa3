"""The repository: checkpoints that were committed to git."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from mlactions.audit.model import Finding, Place, Rule

FAMILY = "repository"

COMMITTED = Rule(
    "checkpoint-committed",
    FAMILY,
    "warning",
    "A checkpoint is committed to git",
    "Git keeps every version of it for good, nobody sees what trained it, and a pickle runs code"
    " where it is loaded.",
    "Keep it in a model registry or release, or in Git LFS or DVC, and remove it:"
    " `git rm --cached`, and a line in .gitignore.",
    "https://docs.github.com/en/repositories/working-with-files/managing-large-files",
)
RULES = (COMMITTED,)

MIN_BYTES = 100_000
_LFS = b"version https://git-lfs.github.com/spec/"
_FOREIGN = {"tests", "test", "testdata", "fixtures"}


def check(files: Sequence[tuple[str, int, bytes]]) -> Iterator[Finding]:
    """Yield checkpoints among tracked files, each with its size in bytes and its first bytes.

    Pointers of Git LFS, small ones and fixtures of tests are left alone.
    """
    for path, size, head in files:
        parts = set(PurePosixPath(path).parts[:-1])
        if size < MIN_BYTES or head.startswith(_LFS) or parts & _FOREIGN:
            continue
        if path.lower().endswith((".h5", ".hdf5", ".pkl", ".joblib")) and _is_data(path):
            continue
        message = f"{size / 1e6:,.1f} MB of a checkpoint are in git."
        yield Finding(COMMITTED.id, COMMITTED.level, path, Place(1), message, path)


def _is_data(path: str) -> bool:
    """Say whether a container that may hold anything lies among data."""
    return bool({"data", "dataset", "datasets", "raw"} & set(PurePosixPath(path).parts[:-1]))
