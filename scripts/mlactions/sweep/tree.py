"""Config groups as their folders show them, where Hydra is not asked."""

from __future__ import annotations

from pathlib import Path

from mlactions.own_files import own_files
from mlactions.sweep.model import Space

_BASELINE = "configs/baseline.yaml"
_SUFFIXES = (".yaml", ".yml")


def config_names(configs: Path, space: Path) -> list[str]:
    """Return the configs that may be trained: neither the search space nor files of ours."""
    paths = [path for path in sorted(configs.glob("*.yaml")) if path != space]
    own = set(own_files((f"configs/{path.name}" for path in paths), ()))
    return [path.stem for path in paths if f"configs/{path.name}" not in own | {_BASELINE}]


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
