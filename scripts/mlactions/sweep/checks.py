"""What a search space must not hold: clashes, unknown names, an endless grid."""

from __future__ import annotations

from typing import Any

from mlactions.sweep.domains import Choice
from mlactions.sweep.model import Condition, Parameter, Space
from mlactions.sweep.places import Place, Source, closest

_LARGEST = 1e300
_VALUES = frozenset({"value", "values", "choices"})
"""Below these anything may stand that a config can hold, also infinity."""

_NUMBERS = frozenset(
    (
        *("min", "max", "mu", "sigma", "q", "low", "high", "step", "probabilities", "target"),
        *("gpu_hours", "money", "hours_per_trial", "price_per_gpu_hour"),
        *("gpus", "memory_gb", "hours"),
    )
)


def check_finite(value: Any, source: Source, place: Place = ()) -> None:
    """Refuse numbers that are no numbers where something is computed with them.

    A limit that is not a number is never exceeded.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in _VALUES or place[-1:] == ("parameters",):
                check_finite(item, source, (*place, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            check_finite(item, source, (*place, at))
    elif isinstance(value, int | float) and _computed_with(place) and not _is_finite(value):
        raise source.wrong(place, "it has to be a finite number.")


def _is_finite(value: float) -> bool:
    return -_LARGEST <= value <= _LARGEST


def _computed_with(place: Place) -> bool:
    """Tell whether a number stands for itself, and is not a parameter of that name."""
    named = [at for at, key in enumerate(place) if key in _NUMBERS]
    return bool(named) and place[named[-1] - 1 : named[-1]] != ("parameters",)


def check_names(space: Space, source: Source) -> None:
    """Refuse names that are there twice, or inside of one another."""
    keys = [item.key for item in space.parameters]
    if space.seeds and space.seed_parameter in keys:
        message = f"`{space.seed_parameter}` takes the seeds already."
        raise source.wrong(("parameters", space.seed_parameter), message, title="name clash")
    known = set(keys)
    for key in keys:
        parts = key.split(".")
        above = next(
            (".".join(parts[:at]) for at in range(1, len(parts)) if ".".join(parts[:at]) in known),
            "",
        )
        if above and not _may_be_group(space.parameter(above)):
            message = f"`{key}` lies inside `{above}`, which is a parameter itself."
            raise source.wrong(("parameters", key), message, title="name clash")


def _may_be_group(parameter: Parameter) -> bool:
    """Tell whether all values are names, as the options of a config group are."""
    domain = parameter.domain
    if not isinstance(domain, Choice):
        return False
    return domain.glob is not None or all(isinstance(value, str) for value in domain.values)


def check_conditions(space: Space, source: Source) -> None:
    """Refuse conditions on parameters, or on values, that there are not."""
    for parameter in space.parameters:
        if parameter.when:
            place = ("parameters", parameter.key, "when")
            _check_condition(parameter.when, place, space, source)
    for number, condition in enumerate(space.exclude):
        _check_condition(condition, ("exclude", number), space, source)


def _check_condition(condition: Condition, place: Place, space: Space, source: Source) -> None:
    keys = [item.key for item in space.parameters]
    for test in condition.tests:
        here = (*place, test.parameter)
        if test.parameter not in keys:
            hint = closest(test.parameter, keys)
            raise source.wrong(here, "there is no such parameter.", hint)
        domain = space.parameter(test.parameter).domain
        levels = domain.levels() if isinstance(domain, Choice) and domain.glob is None else ()
        if levels and test.values and not any(map(test.holds, levels)):
            message = f"`{test.parameter}` never has the value {test.values[0]!r}."
            raise source.wrong(here, message, closest(str(test.values[0]), map(str, levels)))


def check_method(space: Space, source: Source) -> None:
    """Refuse an endless grid, and a method that is not told how many trials to make."""
    if space.method == "grid":
        for parameter in space.parameters:
            if parameter.domain.levels() is None:
                message = "a grid over continuous values has no end."
                hint = "Write `values`, add `q`, or choose `method: random`."
                place = ("parameters", parameter.key)
                raise source.wrong(place, message, hint, "infinite grid")
    elif space.run_cap is None and space.method != "tpe":  # which is asked for more by `sweep next`
        hint = "Write for example `run_cap: 20`."
        raise source.wrong(("method",), f"`{space.method}` needs `run_cap`.", hint)
    if space.wanted == 0:
        message = f"`run_cap` is {space.run_cap}, and there are {len(space.seeds)} seeds."
        raise source.wrong(("run_cap",), message)
    if space.method == "tpe" and space.metric is None:
        raise source.wrong(("method",), "TPE needs `metric`.", "Write its name and its goal.")
