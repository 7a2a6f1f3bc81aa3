"""Hydra's sweeper strings, read by Hydra's own grammar.

Reference: https://hydra.cc/docs/advanced/override_grammar/extended/
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

from mlactions.sweep.domains import Choice, Domain, Glob, Numbers
from mlactions.sweep.places import Place, Source

MAX_RANGE = 10_000_000
_HINT = "Write text that Hydra cannot read as `value:` or `values:`."


@cache
def _parser() -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()


def parse_key(text: str, place: Place, source: Source) -> tuple[str, str, str]:
    """Return a parameter's prefix, name and package. Raises UserError for no name of Hydra's."""
    from hydra.errors import HydraException

    try:
        found = _parser().parse_override(f"{text}=0")
    except HydraException as error:
        message = f"Hydra cannot read this name: {_said(error)}."
        raise source.wrong(place, message, "Write for example `training.max_lr`.") from None
    prefix = "++" if found.is_force_add() else "+" if found.is_add() else ""
    package = found.package or ""
    if f"{prefix}{found.key_or_group}{'@' + package if package else ''}" != text:
        raise source.wrong(place, "this is no name of a parameter.")
    if found.is_hydra_override():
        hint = "Set it in the config, or in `command`."
        raise source.wrong(place, "Hydra's own settings are not part of a search.", hint)
    return prefix, found.key_or_group, package


def parse_string(text: str, place: Place, source: Source, seed: int) -> Domain:
    """Return what a sweeper string stands for; `shuffle` is seeded by the sweep and the name."""
    from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
    from hydra.core.override_parser.types import Glob as HydraGlob
    from hydra.errors import HydraException

    try:
        found = _parser().parse_override(f"x={text}")
        value = found.value()
    except (HydraException, ValueError, ArithmeticError) as error:
        raise source.wrong(place, f"Hydra cannot read {text!r}: {_said(error)}.", _HINT) from None
    found_value = found._value if isinstance(value, HydraGlob) else value  # noqa: SLF001  # no reader
    if isinstance(found_value, HydraGlob):
        return Choice((), glob=Glob(tuple(found_value.include), tuple(found_value.exclude)))
    random = Random(f"{seed}:{'.'.join(map(str, place))}")  # noqa: S311  # an order, not a secret
    if isinstance(value, ChoiceSweep):
        values = [found._convert_value(item) for item in value.list]  # noqa: SLF001  # the same
        return _choice(values, random, shuffled=value.shuffle)
    if isinstance(value, RangeSweep):
        return _choice(_range(value, place, source), random, shuffled=value.shuffle)
    if isinstance(value, IntervalSweep):
        return _interval(value, place, source)
    return Choice((value,))


def _choice(values: Sequence[Any], random: Random, *, shuffled: bool) -> Choice:
    if not shuffled:
        return Choice(tuple(values))
    mixed = list(values)
    random.shuffle(mixed)
    return Choice(tuple(mixed), shuffled=True)


def _range(value: Any, place: Place, source: Source) -> list[Any]:
    if not value.step:
        raise source.wrong(place, "the step of the range is 0.")
    count = (value.stop - value.start) / value.step
    if not (math.isfinite(count) and count <= MAX_RANGE):
        raise source.wrong(place, f"the range has {count:.0f} values, more than {MAX_RANGE:,}.")
    values = list(value.range())
    if not values:
        message = f"the range from {value.start} to {value.stop} in steps of {value.step} is empty."
        raise source.wrong(place, message)
    return values


def _interval(value: Any, place: Place, source: Source) -> Numbers:
    low, high = value.start, value.end
    unknown = sorted(value.tags - {"log", "int", "float"})
    if unknown:
        hint = "Use `log` and `int`."
        raise source.wrong(place, f"the tag {unknown[0]!r} says nothing about an interval.", hint)
    if not low < high:
        message = f"the interval starts at {low:g} and ends at {high:g}."
        raise source.wrong(place, message, "The first number has to be the smaller one.")
    log = "log" in value.tags
    if log and low <= 0:
        raise source.wrong(place, f"a logarithm needs numbers above 0, not {low:g}.")
    # `int(interval(1, 10))` gives integers, `tag(int, …)` keeps the bounds as they are.
    integer = (type(low) is int and type(high) is int) or "int" in value.tags
    return Numbers("log" if log else "uniform", low, high, integer=integer)


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = "; ".join(line for line in lines if not line.startswith("See https"))
    return text[:300].rstrip(".") or type(error).__name__
