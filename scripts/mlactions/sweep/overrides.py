"""The override file of a trial: `# @package _global_`, and what differs from the config.

Reference: https://hydra.cc/docs/patterns/configuring_experiments/
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mlactions.sweep import yaml_text
from mlactions.sweep.model import Parameter, Space, Trial

_SEED = "\0seed"


class Writer:
    """Renders override files. Trials with the same parameters share a layout, made once."""

    def __init__(self, space: Space, groups: Collection[str]) -> None:
        self._space = space
        self._groups = frozenset(groups)
        self._parameters = {item.key: item for item in space.parameters}
        self._layouts: dict[tuple[str, ...], Callable[[Sequence[str]], str]] = {}
        self._texts: dict[tuple[type, Any], str] = {}

    def text(self, trial: Trial, sweep: str) -> str:
        """Return the file of a trial."""
        keys = tuple(trial.values)
        layout = self._layouts.get(keys)
        if layout is None:
            layout = self._layouts[keys] = self._layout(keys, seeded=trial.seed is not None)
        values = [self._scalar(value) for value in trial.values.values()]
        if trial.seed is not None:
            values.append(str(trial.seed))
        header = f"# @package _global_\n# Trial {trial.number} of {sweep}, sha256:{trial.hash}\n"
        return header + layout(values)

    def _scalar(self, value: Any) -> str:
        if isinstance(value, list | dict):
            return yaml_text.scalar(value)
        known = self._texts.get((type(value), value))
        if known is None:
            known = yaml_text.scalar(value)
            if len(self._texts) < 10_000:  # noqa: PLR2004  # continuous values never come again
                self._texts[type(value), value] = known
        return known

    def _layout(self, keys: Sequence[str], *, seeded: bool) -> Callable[[Sequence[str]], str]:
        """Return what puts values between the lines that name them."""
        lines: list[str | int] = []
        groups = [key for key in keys if key in self._groups]
        places = {key: place for place, key in enumerate(keys)}
        if groups:
            lines.append("defaults:\n")
            for key in groups:
                lines += [f"  - {_choice(self._parameters[key])}: ", places[key], "\n"]
            lines.append("  - _self_\n")
        tree: dict[str, Any] = {}
        for key in keys:
            if key not in self._groups:
                _put(tree, self._parameters[key].name.split("."), places[key])
        if seeded:
            _put(tree, self._space.seed_parameter.split("."), len(keys))
        _nest(tree, 0, lines)
        return _joined(lines)


def _joined(lines: Sequence[str | int]) -> Callable[[Sequence[str]], str]:
    def join(values: Sequence[str]) -> str:
        return "".join(part if isinstance(part, str) else values[part] for part in lines)

    return join


def _choice(parameter: Parameter) -> str:
    """Return an item of the defaults list, without its option."""
    package = f"@{parameter.package}" if parameter.package else ""
    override = "" if parameter.prefix else "override "
    return f"{override}/{parameter.name}{package}"


def _put(tree: dict[str, Any], parts: Sequence[str], place: int) -> None:
    for part in parts[:-1]:
        tree = tree.setdefault(part, {})
    tree[parts[-1]] = place


def _nest(tree: Mapping[str, Any], depth: int, lines: list[str | int]) -> None:
    for name, below in tree.items():
        start = f"{'  ' * depth}{yaml_text.key(name)}:"
        if isinstance(below, int):
            lines += [f"{start} ", below, "\n"]
        else:
            lines.append(f"{start}\n")
            _nest(below, depth + 1, lines)
