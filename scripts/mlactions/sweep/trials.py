"""From a space to its trials: in a fixed order, each configuration once, one at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import islice, product
from typing import Any

from mlactions.errors import UserError
from mlactions.sweep.domains import Choice
from mlactions.sweep.identity import canonical_value, config_hash, fragment
from mlactions.sweep.model import ABSENT, Parameter, Space, Trial
from mlactions.sweep.points import points
from mlactions.sweep.space import is_product

PATIENCE = 20
"""Points that may be tried for each configuration that is wanted: many may be the same one."""

STARTUP = 10
"""Configurations that TPE draws at random before it models anything; Optuna's number, too."""

Values = Mapping[str, Any]
Choices = tuple[tuple[str, str | None], ...]
"""Config groups and the options a trial chooses, in the order of their names."""


@dataclass(frozen=True)
class Base:
    """The config that trials change, as composed for a choice of config groups.

    `settings` are its values by dotted name, each in its one spelling.
    """

    fingerprint: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True)
class Bases:
    """The composed configs, by the options chosen; `groups` are the parameters that choose."""

    groups: frozenset[str] = frozenset()
    by_choices: Mapping[Choices, Base] = field(default_factory=dict)

    def of(self, values: Values) -> Base:
        """Return the config that a trial with these values changes."""
        if not self.by_choices:
            return _NOTHING
        return self.by_choices.get(choices(values, self.groups), _NOTHING)


_NOTHING = Base()


def choices(values: Values, groups: Iterable[str]) -> Choices:
    """Return the options that values choose."""
    return tuple((key, values[key]) for key in sorted(groups) if key in values)


def resolve_globs(space: Space, options: Mapping[str, Sequence[str]]) -> Space:
    """Return the space with its globs replaced by the options of the config groups."""
    found = []
    for parameter in space.parameters:
        domain = parameter.domain
        if isinstance(domain, Choice) and domain.glob is not None:
            known = options.get(parameter.key, ())
            kept = tuple(
                name
                for name in sorted(known)
                if any(fnmatchcase(name, glob) for glob in domain.glob.include)
                and not any(fnmatchcase(name, glob) for glob in domain.glob.exclude)
            )
            if not kept:
                there = f"of {', '.join(sorted(known))}" if known else "because there are none"
                message = f"`{parameter.key}`: the glob matches no option, {there}."
                hint = "A glob chooses among the files of a config group's folder."
                raise UserError("not a valid sweep", message, hint, space.file, parameter.line)
            parameter = replace(parameter, domain=Choice(kept))  # noqa: PLW2901  # the resolved one
        found.append(parameter)
    return replace(space, parameters=tuple(found))


def size(space: Space) -> int:
    """Return how many configurations a space has at most, without making them."""
    if space.method == "tpe" and space.wanted is None:
        return STARTUP
    if space.method != "grid":
        return space.wanted or 0
    full = math.prod(len(item.domain.levels() or ()) for item in space.parameters)
    return full if space.wanted is None else min(full, space.wanted)


def make_trials(space: Space, bases: Bases, *, first: int = 1) -> Iterator[Trial]:
    """Yield the trials: configuration by configuration, each with all its seeds."""
    wanted = space.wanted
    if space.method == "tpe":
        wanted = STARTUP if wanted is None else min(wanted, STARTUP)
    found = _distinct(configurations(space), space, bases)
    number = first
    for values, digest in found if wanted is None else islice(found, wanted):
        for seed in seeds_of(values, space, bases):
            yield Trial(number, values, digest, seed)
            number += 1


def seeds_of(values: Values, space: Space, bases: Bases) -> tuple[int | None, ...]:
    """Return the seeds that a configuration is run with: the file's, or the config's own.

    A result counts for the seed that it was made with; None where a trial sets it otherwise.
    """
    if space.seeds:
        return space.seeds
    seed = bases.of(values).seed
    if seed is None:
        return (None,)
    name = f"{space.seed_parameter}."
    sets = any(name.startswith(f"{key}.") for key in values if key not in bases.groups)
    return (None if sets else seed,)


def _distinct(found: Iterable[Values], space: Space, bases: Bases) -> Iterator[tuple[Values, str]]:
    """Leave out configurations that were there already, however they were spelt."""
    hasher = Hasher(space, bases)
    seen: set[bytes] = set()
    for values in found:
        digest = hasher.hash(values)
        short = bytes.fromhex(digest[:32])
        if short not in seen:
            seen.add(short)
            yield values, digest


class Hasher:
    """Hashes configurations: the composed config, and what a trial changes of it.

    A value that is the config's own is no change, so that a default that is spelled out has the
    hash of one that is not.
    """

    def __init__(self, space: Space, bases: Bases) -> None:
        self._bases = bases
        parameters = sorted(space.parameters, key=lambda item: item.key)
        self._order = [(item.key, item.name) for item in parameters if item.key not in bases.groups]
        self._known: dict[tuple[str, type, Any], str] = {}

    def hash(self, values: Values) -> str:
        """Return the hash in hex."""
        base = self._bases.of(values)
        changed = []
        for key, name in self._order:
            value = values.get(key, ABSENT)
            if value is ABSENT:
                continue
            text = self._fragment(key, name, value)
            if base.settings.get(name) != text:
                changed.append(text)
        if base is _NOTHING:
            changed += [
                fragment(f"/{key}", option) for key, option in choices(values, self._bases.groups)
            ]
        return config_hash(changed, base.fingerprint)

    def _fragment(self, key: str, name: str, value: Any) -> str:
        if isinstance(value, list | dict):
            return fragment(name, value)
        place = (key, type(value), value)
        known = self._known.get(place)
        if known is None:
            known = fragment(name, value)
            if len(self._known) < 100_000:  # noqa: PLR2004  # continuous values never come again
                self._known[place] = known
        return known


def settings_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return a composed config's values by dotted name, as `Hasher` compares them."""
    found: dict[str, str] = {}

    def visit(value: Any, name: str) -> None:
        if name:
            found[name] = f"{canonical_value(name)}:{canonical_value(value)}"
        if isinstance(value, Mapping):
            for key, below in value.items():
                visit(below, f"{name}.{key}" if name else str(key))

    visit(document, "")
    return found


def configurations(space: Space) -> Iterator[Values]:
    """Yield configurations in the order of the method; some may come twice."""
    if space.method == "grid":
        yield from _grid(space)
        return
    wanted = size(space)
    found = points(space.method, len(space.parameters), space.sampler_seed, wanted)
    for point in islice(found, PATIENCE * wanted + 1000):
        values = at_point(space, point)
        if not is_excluded(space, values):
            yield values


def at_point(space: Space, point: Sequence[float]) -> Values:
    """Return the configuration at a point of the unit cube, a coordinate per parameter."""
    return _chosen(space, lambda place: space.parameters[place].domain.at(point[place]))


def _chosen(space: Space, choose: Callable[[int], Any]) -> Values:
    values: dict[str, Any] = {}
    for place, parameter in enumerate(space.parameters):
        if parameter.when is None or parameter.when.holds(values):
            values[parameter.key] = choose(place)
    return values


def is_excluded(space: Space, values: Values) -> bool:
    """Tell whether an `exclude` rule leaves a configuration out."""
    return any(rule.holds(values) for rule in space.exclude)


def _grid(space: Space) -> Iterator[Values]:
    """Yield the grid, the last parameter changing fastest."""
    if is_product(space):
        keys = [item.key for item in space.parameters]
        levels = [item.domain.levels() or () for item in space.parameters]
        for combination in _product(levels):
            yield dict(zip(keys, combination, strict=True))
        return
    for values in _branches(space.parameters, {}):
        if not is_excluded(space, values):
            yield dict(values)


def _product(levels: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield all combinations; the first dimension is not laid out, however long it is."""
    if not levels:
        yield ()
        return
    for value in levels[0]:
        for rest in product(*levels[1:]):
            yield (value, *rest)


def _branches(parameters: Sequence[Parameter], values: dict[str, Any]) -> Iterator[Values]:
    """Yield combinations where a parameter exists only if its condition holds."""
    if not parameters:
        yield values
        return
    first, rest = parameters[0], parameters[1:]
    if first.when is not None and not first.when.holds(values):
        yield from _branches(rest, values)
        return
    for value in first.domain.levels() or ():
        yield from _branches(rest, {**values, first.key: value})
