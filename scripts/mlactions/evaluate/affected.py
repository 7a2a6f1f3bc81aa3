"""Which configs a change touches. When in doubt, a config is evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlactions.evaluate.git import Change
from mlactions.evaluate.records import Choice, Config


@dataclass(frozen=True)
class Project:
    """What the static analysis sees: paths are relative to `root`, the repository."""

    root: Path
    folder: str
    arguments: tuple[str, ...]
    depends: tuple[str, ...]
    files: frozenset[str]
    python_path: tuple[str, ...]


def explain(
    project: Project, configs: Iterable[Config], changes: Sequence[Change]
) -> tuple[Choice, ...]:
    """Return a choice for each config, with the change that reaches it or why none does."""
    return tuple(Choice(config, selected=bool(changes), reason="in doubt") for config in configs)
