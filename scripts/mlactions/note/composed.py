"""Which experiment configs a changed file is a part of: Hydra's groups, files that one names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mlactions.evaluate.globs import selects
from mlactions.evaluate.hydra import Composer
from mlactions.evaluate.tree import Tree

SUFFIXES = (".yaml", ".yml")


def composed(
    folder: Path, files: Iterable[str], changed: Iterable[str], globs: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """Return, for each changed file that is no experiment itself, the experiments that hold it.

    Paths are relative to `folder`; `globs` say which configs are experiments, and one behind `!`
    takes away what it names.
    """
    anywhere = ("**", *(glob for glob in globs if glob.startswith("!")))
    parts = {
        name
        for name in changed
        if name.endswith(SUFFIXES) and not selects(name, globs) and selects(name, anywhere)
    }
    if not parts:
        return {}
    tree = Tree(folder.resolve(), files)
    composer = Composer(tree, "")
    found: dict[str, list[str]] = {}
    for config in sorted(name for name in tree.files if selects(name, globs)):
        for name in parts & composer.closure(config).files.keys():
            found.setdefault(name, []).append(config)
    return {name: tuple(found[name]) for name in sorted(found)}
