"""Files of this library that lie among a project's configs, and are no experiment of anybody."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable

SPACE, RULES = "configs/sweep.yaml", "configs/drift.yaml"
SWEEPS = "configs/sweeps/"
"""The search space of `sweep`, the rules of `drift`, and the folder of generated sweeps."""


def own_files(paths: Iterable[str], globs: Collection[str]) -> tuple[str, ...]:
    """Return which paths are ours; one that `globs` names in full, without a pattern, is not.

    Paths and globs are relative to the project's folder.
    """
    named = {posixpath.normpath(glob) for glob in globs}
    return tuple(path for path in paths if _is_own(path) and path not in named)


def _is_own(path: str) -> bool:
    return path in {SPACE, RULES} or path.startswith(SWEEPS)
