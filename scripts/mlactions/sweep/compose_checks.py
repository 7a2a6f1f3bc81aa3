"""Check trials against the composed configs: names, types, and what arrives at the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlactions.errors import UserError
from mlactions.sweep.compose import (
    Composed,
    Project,
    ask_hydra,
    cannot_compose,
    override,
    value_at,
    wrong,
)
from mlactions.sweep.domains import Choice
from mlactions.sweep.identity import canonical_value
from mlactions.sweep.model import Parameter, Space, Trial
from mlactions.sweep.places import closest
from mlactions.sweep.trials import Choices, choices, settings_of

MAX_SAMPLES = 50


@dataclass
class Samples:
    """What trials really do, noted while they are made: choices, values, and a file for each."""

    groups: frozenset[str]
    values: dict[Choices, dict[str, dict[str, Any]]] = field(default_factory=dict)
    files: dict[Choices, Trial] = field(default_factory=dict)

    def note(self, trial: Trial) -> None:
        """Note a trial; the first with a choice is the one whose file is composed."""
        choice = choices(trial.values, self.groups)
        by_key = self.values.get(choice)
        if by_key is None:
            by_key = self.values[choice] = {}
            self.files[choice] = trial
        for key, value in trial.values.items():
            if key in self.groups:
                continue
            seen = by_key.setdefault(key, {})
            if len(seen) < MAX_SAMPLES:
                seen.setdefault(canonical_value(value), value)


@dataclass(frozen=True)
class Files:
    """Override files to compose, by their names, and the config group that they lie in."""

    group: str
    trials: Sequence[tuple[str, Trial]] = ()


def check(
    project: Project, space: Space, found: Composed, samples: Samples, files: Files
) -> list[str]:
    """Set what trials set, and compose files as training will; return what is odd and yet allowed.

    Raises UserError for a parameter that does not exist, for a value of a type that the config
    refuses, and for one that does not arrive.
    """
    order = list(samples.values)
    for choice in order:
        if choice in found.errors:
            raise cannot_compose(project, choice, found.errors[choice])
        _check_seed(space, found.documents[choice])
    questions = [
        item
        for place, choice in enumerate(order)
        for item in _values(space, samples, place, choice)
    ]
    odd = _check_names(space, found, samples)
    prefixes = {item.key: item.prefix for item in space.parameters}
    names = {item.key: item.name for item in space.parameters if item.key not in samples.groups}
    answer = ask_hydra(
        project,
        choices=[[override(prefixes, *pair) for pair in choice] for choice in order],
        values=[question for _, question in questions],
        files=[_asked(space, names, files.group, *item) for item in files.trials],
    )
    for (parameter, question), error in zip(questions, answer["values"], strict=True):
        if error:
            message = f"the config refuses {canonical_value(question['value'])[:80]}: {error[:400]}"
            raise wrong(space, parameter, message)
    for (file, trial), composed in zip(files.trials, answer["files"], strict=True):
        _check_file(space, names, file, trial, composed)
    return odd


def _values(
    space: Space, samples: Samples, place: int, choice: Choices
) -> Iterator[tuple[Parameter, dict[str, Any]]]:
    for key, values in samples.values[choice].items():
        parameter = space.parameter(key)
        for value in values.values():
            add = bool(parameter.prefix)
            yield (
                parameter,
                {"choice": place, "name": parameter.name, "value": value, "add": add},
            )


def _check_names(space: Space, found: Composed, samples: Samples) -> list[str]:
    """Refuse names that the config does not have; return values of another kind than its own."""
    odd: dict[str, str] = {}
    for choice, by_key in samples.values.items():
        document = found.documents[choice]
        for key, values in by_key.items():
            parameter = space.parameter(key)
            _check_exists(space, parameter, document, choice)
            present = value_at(document, parameter.name)
            for value in values.values():
                if odd_kind(present, value):
                    shown = (canonical_value(present)[:60], canonical_value(value)[:60])
                    odd.setdefault(key, f"`{key}` is {shown[0]} in the config, {shown[1]} here")
            if floats := floats_for_integer(parameter, present):
                odd.setdefault(key, floats)
    return list(odd.values())


def _asked(
    space: Space, names: Mapping[str, str], group: str, file: str, trial: Trial
) -> dict[str, Any]:
    wanted = [names[key] for key in trial.values if key in names]
    seeded = [space.seed_parameter] if trial.seed is not None else []
    return {"group": group, "file": file, "names": [*wanted, *seeded]}


def _check_file(
    space: Space, names: Mapping[str, str], file: str, trial: Trial, composed: Mapping[str, Any]
) -> None:
    if "error" in composed:
        message = f"Hydra cannot compose trial {file}: {composed['error'][:600]}"
        raise UserError("cannot compose", message, file=space.file)
    meant = {names[key]: value for key, value in trial.values.items() if key in names}
    if trial.seed is not None:
        meant[space.seed_parameter] = trial.seed
    _check_arrived(space, file, meant, composed["values"])


def _check_seed(space: Space, document: Mapping[str, Any]) -> None:
    if space.seeds and not _exists(document, space.seed_parameter):
        message = f"the config has no `{space.seed_parameter}`, which `seeds` need."
        near = closest(space.seed_parameter, settings_of(document))
        raise UserError("unknown parameter", message, near or "Set `seed_parameter`.", space.file)


def _check_exists(
    space: Space, parameter: Parameter, document: Mapping[str, Any], choice: Choices
) -> None:
    if parameter.prefix or _exists(document, parameter.name):
        return
    chosen = ", ".join(f"{key}={option}" for key, option in choice)
    where = f" with {chosen}" if chosen else ""
    hint = closest(parameter.name, settings_of(document))
    hint = hint or f"Write `+{parameter.name}` to add it to the config."
    raise wrong(space, parameter, f"the config{where} has no such key.", hint)


def odd_kind(present: Any, value: Any) -> bool:
    """Tell whether a value is of another kind than the config's; null and `${…}` say nothing."""
    if present is None or value is None or any(_refers(item) for item in (present, value)):
        return False
    return _kind(present) != _kind(value)


def floats_for_integer(parameter: Parameter, present: Any) -> str:
    """Say that a parameter has floats where the config has an integer; nothing where it has none.

    The whole domain counts, also what is drawn later: one float is enough to end a `range()`.
    """
    domain = parameter.domain
    values = domain.values if isinstance(domain, Choice) else (domain.at(0.5),)
    first = next((value for value in values if isinstance(value, float)), None)
    if type(present) is not int or first is None:
        return ""
    return (
        f"`{parameter.key}` is {present} in the config, the float {first!r} here;"
        f" write `{float(present)!r}` in the config if floats are meant"
    )


def _refers(value: Any) -> bool:
    return isinstance(value, str) and ("${" in value or value == "???")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def _check_arrived(
    space: Space, file: str, meant: Mapping[str, Any], found: Mapping[str, Any]
) -> None:
    for name, value in meant.items():
        if isinstance(value, dict):
            continue  # it is merged into what the config has
        if canonical_value(found[name]) != canonical_value(value):
            message = (
                f"trial {file} sets `{name}` to {canonical_value(value)[:80]}, and the composed"
                f" config has {canonical_value(found[name])[:80]}."
            )
            hint = "Another part of the config sets it later, or a parameter names it twice."
            raise UserError("cannot compose", message, hint, space.file)


def _exists(document: Any, name: str) -> bool:
    for part in name.split("."):
        if isinstance(document, Mapping) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return False
    return True
