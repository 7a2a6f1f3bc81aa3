"""Config groups as their folders show them, where Hydra is not asked."""

from __future__ import annotations

from pathlib import Path

from mlactions.sweep.model import Space

_SUFFIXES = (".yaml", ".yml")


def group_options(configs: Path, space: Space) -> dict[str, tuple[str, ...]]:
    """Return the parameters that are folders of configs, with the options in them."""
    found = {}
    for parameter in space.parameters:
        folder = configs / parameter.name
        if "." in parameter.name or not folder.is_dir():
            continue
        options = sorted(path.stem for path in folder.iterdir() if path.suffix in _SUFFIXES)
        if options:
            found[parameter.key] = tuple(options)
    return found
