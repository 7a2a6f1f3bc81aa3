"""Check trials against the composed configs: names, types, and what arrives at the program."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


def check_values(project: Project, space: Space, found: Composed, samples: Samples) -> list[str]:
    """Set what trials set in the composed configs; return what is odd and yet allowed.

    Raises UserError for a parameter that does not exist, or that refuses a value's type.
    """
    for choice in samples.values:
        if choice in found.errors:
            raise cannot_compose(project, choice, found.errors[choice])
    order = list(samples.values)
    prefixes = {item.key: item.prefix for item in space.parameters}
    odd: dict[str, str] = {}
    questions, asked = [], []
    for place, choice in enumerate(order):
        document = found.documents[choice]
        _check_seed(space, document)
        for key, values in samples.values[choice].items():
            parameter = space.parameter(key)
            _check_exists(space, parameter, document, choice)
            present = value_at(document, parameter.name)
            for value in values.values():
                if odd_kind(present, value):
                    shown = (canonical_value(present)[:60], canonical_value(value)[:60])
                    odd.setdefault(key, f"`{key}` is {shown[0]} in the config, {shown[1]} here")
                add = bool(prefixes[key])
                questions.append(
                    {"choice": place, "name": parameter.name, "value": value, "add": add}
                )
                asked.append(parameter)
    overrides = [[override(prefixes, *pair) for pair in choice] for choice in order]
    answer = ask_hydra(project, choices=overrides, values=questions)
    for parameter, question, error in zip(asked, questions, answer["values"], strict=True):
        if error:
            message = f"the config refuses {canonical_value(question['value'])[:80]}: {error[:400]}"
            raise wrong(space, parameter, message)
    return list(odd.values())


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


def _refers(value: Any) -> bool:
    return isinstance(value, str) and ("${" in value or value == "???")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def check_files(
    project: Project,
    space: Space,
    group: str,
    trials: Sequence[tuple[str, Trial]],
    groups: Collection[str],
) -> None:
    """Compose override files as a training run will; every value has to arrive as it was meant."""
    names = {item.key: item.name for item in space.parameters if item.key not in groups}
    asked = []
    for file, trial in trials:
        wanted = [names[key] for key in trial.values if key in names]
        seeded = [space.seed_parameter] if trial.seed is not None else []
        asked.append({"group": group, "file": file, "names": [*wanted, *seeded]})
    answer = ask_hydra(project, files=asked)
    for (file, trial), found in zip(trials, answer["files"], strict=True):
        if "error" in found:
            message = f"Hydra cannot compose trial {file}: {found['error'][:600]}"
            raise UserError("cannot compose", message, file=space.file)
        meant = {names[key]: value for key, value in trial.values.items() if key in names}
        if trial.seed is not None:
            meant[space.seed_parameter] = trial.seed
        _check_arrived(space, file, meant, found["values"])


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
