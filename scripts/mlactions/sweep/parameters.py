"""One parameter of a sweep file: W&B's constraints, Optuna's distributions, Hydra's strings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlactions.sweep.domains import Choice, Domain, Numbers
from mlactions.sweep.hydra_strings import parse_key, parse_string
from mlactions.sweep.model import Condition, Parameter, Test
from mlactions.sweep.places import Place, Source

_OPTUNA = frozenset({"type", "low", "high", "step", "log", "choices"})
_WANDB = frozenset({"value", "values", "probabilities", "distribution", "min", "max", "mu"})
_WANDB |= {"sigma", "q"}
_BOUNDS = "the first number has to be the smaller one"
_LONGEST = 100_000


@dataclass(frozen=True)
class Written:
    """A parameter as it stands in the file: the names above it and its own, and what it says."""

    name: str
    value: Any
    place: Place


def read_parameters(document: Mapping[str, Any], source: Source, seed: int) -> Iterator[Parameter]:
    """Yield the parameters in the order of the file."""
    for written in _spread(document, "", ("parameters",), source):
        yield _parameter(written, source, seed)


def _spread(
    document: Mapping[str, Any], above: str, place: Place, source: Source
) -> Iterator[Written]:
    """Yield parameters; W&B's nested ones by their dotted names."""
    for key, value in document.items():
        here = (*place, key)
        if not isinstance(key, str):
            raise source.wrong(here, "a name has to be text.", "Put it in quotes.")
        if isinstance(value, dict) and "parameters" in value:
            others = sorted(set(value) - {"parameters"})
            if others:
                message = f"`{others[0]}` cannot stand beside nested `parameters`."
                raise source.wrong((*here, others[0]), message)
            yield from _spread(value["parameters"], f"{above}{key}.", (*here, "parameters"), source)
        else:
            yield Written(f"{above}{key}", value, here)


def _parameter(written: Written, source: Source, seed: int) -> Parameter:
    place = written.place
    prefix, name, package = parse_key(written.name, place, source)
    domain = _domain(written.value, place, source, seed)
    when = None
    if isinstance(written.value, dict) and "when" in written.value:
        when = read_condition(written.value["when"], (*place, "when"), source)
    _check_values(domain, place, source)
    return Parameter(name, domain, when, prefix, package, source.line(place))


def _domain(value: Any, place: Place, source: Source, seed: int) -> Domain:
    if isinstance(value, str):
        return parse_string(value, place, source, seed)
    if not isinstance(value, dict):
        return Choice((value,))
    given = set(value) - {"when"}
    if given == {"hydra"}:
        return parse_string(value["hydra"], (*place, "hydra"), source, seed)
    for foreign, name in ((_WANDB, "W&B's"), (_OPTUNA, "Optuna's")):
        if given and given <= foreign:
            reader = _wandb if name == "W&B's" else _optuna
            return reader(value, place, source)
    if not given:
        raise source.wrong(place, "it has no values.", "Write `values: [1, 2]`.")
    odd = sorted(given & (_OPTUNA | {"hydra"}))
    message = f"`{odd[0]}` cannot stand beside `{min(given - set(odd))}`."
    if "hydra" in given:
        message = "a `hydra` string stands alone, or with `when`."
    raise source.wrong((*place, odd[0]), message, "Keep to one syntax in a parameter.")


def _wandb(given: Mapping[str, Any], place: Place, source: Source) -> Domain:
    """Read W&B's constraints. The kind is theirs where it is not written."""
    kind = given.get("distribution") or _implied(given, place, source)
    allowed = _KEYS[kind]
    odd = sorted(set(given) - allowed - {"distribution", "when"})
    if odd:
        message = f"`{odd[0]}` means nothing for `{kind}`, which takes {_listed(allowed)}."
        raise source.wrong((*place, odd[0]), message)
    needed = [key for key in _NEEDED.get(kind, ()) if key not in given]
    if needed:
        raise source.wrong(place, f"`{kind}` needs `{needed[0]}`.")
    if kind == "constant":
        return Choice((given["value"],))
    if kind.startswith("categorical"):
        return _categorical(given, place, source)
    numbers = _numbers(kind, given, place, source)
    if not numbers.problem() and numbers.levels() is not None and not numbers.levels():
        message = f"no multiple of {given.get('q')} lies between the bounds."
        raise source.wrong((*place, "q"), message)
    return numbers


def _implied(given: Mapping[str, Any], place: Place, source: Source) -> str:
    if "value" in given:
        return "constant"
    if "values" in given:
        return "categorical_w_probabilities" if "probabilities" in given else "categorical"
    bounds = [given[key] for key in ("min", "max") if key in given]
    if len(bounds) == len(("min", "max")):
        if all(type(bound) is int for bound in bounds) and "q" not in given:
            return "int_uniform"
        return "q_uniform" if "q" in given else "uniform"
    if bounds:
        missing = "max" if "min" in given else "min"
        raise source.wrong(place, f"`{missing}` is missing.")
    raise source.wrong(place, "it says no values.", "Write `values`, `value`, or `min` and `max`.")


_RANGE = frozenset({"min", "max"})
_NORMAL = frozenset({"mu", "sigma"})
_STEPPED = frozenset({"q"})
_KEYS: Mapping[str, frozenset[str]] = {
    "constant": frozenset({"value"}),
    "categorical": frozenset({"values"}),
    "categorical_w_probabilities": frozenset({"values", "probabilities"}),
    "int_uniform": _RANGE,
    "uniform": _RANGE,
    "q_uniform": _RANGE | _STEPPED,
    "log_uniform": _RANGE,
    "log_uniform_values": _RANGE,
    "q_log_uniform": _RANGE | _STEPPED,
    "q_log_uniform_values": _RANGE | _STEPPED,
    "inv_log_uniform": _RANGE,
    "inv_log_uniform_values": _RANGE,
    "normal": _NORMAL,
    "q_normal": _NORMAL | _STEPPED,
    "log_normal": _NORMAL,
    "q_log_normal": _NORMAL | _STEPPED,
}
# mu, sigma and q have defaults: 0, 1 and 1.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    kind: tuple(sorted(keys - _NORMAL - _STEPPED)) for kind, keys in _KEYS.items()
}


def _numbers(kind: str, given: Mapping[str, Any], place: Place, source: Source) -> Numbers:
    step = given.get("q", 1) if kind.startswith("q_") else None
    plain = kind.removeprefix("q_")
    if plain in {"normal", "log_normal"}:
        family = "log-normal" if plain == "log_normal" else "normal"
        mu, sigma = float(given.get("mu", 0)), float(given.get("sigma", 1))
        low = 0.0 if plain == "log_normal" else -math.inf
        return Numbers(family, low, mu=mu, sigma=sigma, step=step)  # type: ignore[arg-type]  # a literal
    low, high = given["min"], given["max"]
    if plain == "int_uniform":
        whole = all(float(bound).is_integer() for bound in (low, high))
        if not whole:
            raise source.wrong(place, "`int_uniform` needs whole numbers.")
        low, high = int(low), int(high)
    low, high = _bounds(plain, low, high, place, source)
    family = {"log": "log", "inv": "inverse-log"}.get(plain.split("_")[0], "uniform")
    integer = plain == "int_uniform"
    return Numbers(family, low, high, step=step, integer=integer)  # type: ignore[arg-type]  # a literal


def _bounds(
    plain: str, low: float, high: float, place: Place, source: Source
) -> tuple[float, float]:
    if low > high:
        raise source.wrong((*place, "min"), f"`min` is {low:g} and `max` is {high:g}: {_BOUNDS}.")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise source.wrong(place, "the bounds have to be finite.")
    if plain.endswith("_values") and low <= 0:
        message = f"a logarithm needs numbers above 0, not {low:g}."
        raise source.wrong((*place, "min"), message)
    if plain not in {"log_uniform", "inv_log_uniform"}:
        return low, high
    try:
        ends = (math.exp(low), math.exp(high))
    except OverflowError:
        ends = (0.0, math.inf)
    if ends[0] == 0 or not math.isfinite(ends[1]):
        message = "`min` and `max` are exponents of e here, as W&B has it, and far too large."
        raise source.wrong(place, message, "Use `log_uniform_values` for the values themselves.")
    return ends if plain == "log_uniform" else (1 / ends[1], 1 / ends[0])


def _categorical(given: Mapping[str, Any], place: Place, source: Source) -> Choice:
    values, weights = given["values"], given.get("probabilities")
    if weights is None:
        return Choice(tuple(values))
    if len(weights) != len(values):
        message = f"{len(weights)} probabilities for {len(values)} values."
        raise source.wrong((*place, "probabilities"), message)
    total = math.fsum(weights)
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        message = f"they add up to {total:g}, not to 1."
        raise source.wrong((*place, "probabilities"), message)
    return Choice(tuple(values), tuple(weight / total for weight in weights))


def _optuna(given: Mapping[str, Any], place: Place, source: Source) -> Domain:
    """Read a distribution as Optuna names it: type, low, high, step, log, choices."""
    kind = given.get("type") or ("categorical" if "choices" in given else "")
    if not kind:
        raise source.wrong(place, "`type` is missing.", "Write float, int or categorical.")
    allowed = {"choices"} if kind == "categorical" else {"low", "high", "step", "log"}
    odd = sorted(set(given) - allowed - {"type", "when"})
    if odd:
        raise source.wrong((*place, odd[0]), f"`{odd[0]}` means nothing for the type {kind}.")
    needed = "choices" if kind == "categorical" else "low" if "low" not in given else "high"
    if needed not in given:
        raise source.wrong(place, f"the type {kind} needs `{needed}`.")
    if kind == "categorical":
        return Choice(tuple(given["choices"]))
    return _optuna_numbers(kind, given, place, source)


def _optuna_numbers(kind: str, given: Mapping[str, Any], place: Place, source: Source) -> Numbers:
    low, high, step, log = given["low"], given["high"], given.get("step"), given.get("log", False)
    if low > high:
        raise source.wrong((*place, "low"), f"`low` is {low:g} and `high` is {high:g}: {_BOUNDS}.")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise source.wrong(place, "the bounds have to be finite.")
    if log and low <= 0:
        raise source.wrong((*place, "low"), f"a logarithm needs numbers above 0, not {low:g}.")
    if log and step not in {None, 1}:
        raise source.wrong((*place, "step"), "Optuna has no steps on a logarithmic scale.")
    integer = kind == "int"
    numbers = (low, high, step) if step is not None else (low, high)
    if integer and not all(float(number).is_integer() for number in numbers):
        raise source.wrong(place, "the type int needs whole numbers.")
    family = "log" if log else "uniform"
    return Numbers(family, low, high, step=step, integer=integer, aligned=True)  # type: ignore[arg-type]  # a literal


def read_condition(document: Mapping[str, Any], place: Place, source: Source) -> Condition:
    """Read a mapping of parameters to a value, a list of values, or bounds."""
    tests = []
    for name, wanted in document.items():
        if isinstance(wanted, dict):
            low, high = wanted.get("min"), wanted.get("max")
            if low is not None and high is not None and low > high:
                message = f"`min` is {low:g} and `max` is {high:g}: {_BOUNDS}."
                raise source.wrong((*place, name), message)
            tests.append(Test(str(name), low=low, high=high))
        else:
            values = tuple(wanted) if isinstance(wanted, list) else (wanted,)
            tests.append(Test(str(name), values))
    return Condition(tuple(tests), source.line(place))


def _check_values(domain: Domain, place: Place, source: Source) -> None:
    """Refuse values that no config can hold, and numbers that nobody can compute with."""
    if not isinstance(domain, Choice):
        if problem := domain.problem():
            raise source.wrong(place, problem)
        return
    for value in domain.values:
        for text in _texts(value):
            if text == "???":
                message = "`???` is Hydra's mark for a value that is missing."
                raise source.wrong(place, message)
            if "\x00" in text or len(text) > _LONGEST:
                message = "a value holds a zero byte, or more than 100,000 characters."
                raise source.wrong(place, message)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (*_texts(key), *_texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _listed(names: frozenset[str]) -> str:
    return " and ".join(f"`{name}`" for name in sorted(names))
