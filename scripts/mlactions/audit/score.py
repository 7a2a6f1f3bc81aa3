"""The score: 100 without findings, halved by every HALF points; and that of earlier commits."""

from __future__ import annotations

import math
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from mlactions.audit.engine import audit
from mlactions.audit.files import take_stock
from mlactions.audit.model import Finding, Level
from mlactions.compare.rules import Git

POINTS: Mapping[Level, int] = {"error": 10, "warning": 3, "note": 1}
HALF = 50
_SUFFIXES = (".py", ".ipynb", ".txt", ".toml", ".lock", ".sh", ".yml", ".yaml")
MAX_ARCHIVE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Point:
    """The score at a commit; `day` is its date (UTC)."""

    commit: str
    day: str
    score: float
    error: int
    warning: int
    note: int


def score(findings: Sequence[Finding]) -> float:
    """Return 100 · 2^(-points / HALF), to one decimal."""
    points = sum(POINTS[item.level] for item in findings)
    return round(100 * math.pow(2, -points / HALF), 1)


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many findings there are of each level."""
    counted = Counter(item.level for item in findings)
    return {level: counted[level] for level in POINTS}


def history(
    git: Git, paths: Sequence[str], *, commits: int, exclude: Sequence[str], tests: bool
) -> Iterator[Point]:
    """Yield the score at the last commits of the first-parent line that touch the paths.

    The oldest comes first. Nothing is checked out: each tree is unpacked into a folder of its own.
    """
    listed = git("log", "--first-parent", f"--max-count={commits}", "--format=%H %cs", "--", *paths)
    for line in reversed(listed.stdout.decode(errors="replace").splitlines()):
        commit, _, day = line.partition(" ")
        archive = git("archive", "--format=tar", commit, "--", ".")
        if archive.returncode or len(archive.stdout) > MAX_ARCHIVE_BYTES:
            continue
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            _unpack(archive.stdout, root)
            there = [path for path in paths if (root / path).exists()]
            if not there:
                continue
            found = audit(take_stock(root, there, exclude=exclude, tests=tests))
        yield Point(commit, day, score(found.findings), **counts(found.findings))


def _unpack(data: bytes, root: Path) -> None:
    """Unpack what an audit reads; nothing that leads out of the folder."""
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(_SUFFIXES):
                archive.extract(member, root, filter="data")
