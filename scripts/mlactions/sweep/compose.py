"""Check a sweep against the user's config tree, by really composing it through Hydra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.sweep.domains import Choice, Numbers
from mlactions.sweep.identity import fingerprint
from mlactions.sweep.model import Parameter, Space
from mlactions.sweep.places import closest
from mlactions.sweep.tree import group_options
from mlactions.sweep.trials import Base, Bases, Choices, resolve_globs, settings_of
from mlactions.user_python import ask_python

PROGRAM = Path(__file__).with_name("user") / "compose_trials.py"
SECONDS = 180.0
SECONDS_PER_CONFIG = 1.0
MAX_CHOICES = 500


@dataclass(frozen=True)
class Project:
    """The user's config tree, and the Python that knows it."""

    folder: Path
    config_dir: Path
    config_name: str
    python: str = "python"
    imports: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Composed:
    """What Hydra knows: the options of config groups, and the config for each choice of them."""

    options: Mapping[str, tuple[str, ...]]
    documents: Mapping[Choices, Mapping[str, Any]]
    errors: Mapping[Choices, str]


def compose(project: Project, space: Space) -> tuple[Space, Composed]:
    """Compose the config for every choice of config groups; return the space without globs, too.

    Folders tell the groups in most projects. Where Hydra knows others, it is asked a second time.
    """
    options = group_options(project.config_dir, space)
    known = all(key in options for key in _globs(space))
    resolved = resolve_globs(space, options) if known else space
    wanted = list(_all_choices(resolved, options)) if known else [()]
    found = _composed(project, resolved, wanted)
    if not known or found.options != options:
        resolved = resolve_globs(space, found.options)
        check_options(resolved, found.options)
        found = _composed(project, resolved, list(_all_choices(resolved, found.options)))
    check_options(resolved, found.options)
    if not found.documents:
        choice, error = next(iter(found.errors.items()))
        raise cannot_compose(project, choice, error)
    return resolved, found


def _globs(space: Space) -> list[str]:
    domains = ((item.key, item.domain) for item in space.parameters)
    return [key for key, domain in domains if isinstance(domain, Choice) and domain.glob]


def bases_of(found: Composed, space: Space) -> Bases:
    """Return what trials change: fingerprints and values of the composed configs."""
    groups = frozenset(item.key for item in space.parameters if item.key in found.options)
    by_choices = {choice: _base(space, document) for choice, document in found.documents.items()}
    return Bases(groups, by_choices)


def _base(space: Space, document: Mapping[str, Any]) -> Base:
    """Return a config as trials change it; its seed stands beside it, where it has a plain one."""
    key = space.seed_parameter
    seed = _integer(value_at(document, key))
    without = {key} if space.seeds or seed is not None else set()
    return Base(fingerprint(document, without), settings_of(document), seed)


def _composed(project: Project, space: Space, wanted: Sequence[Choices]) -> Composed:
    prefixes = {item.key: item.prefix for item in space.parameters}
    answer = ask_hydra(
        project,
        keys=[item.key for item in space.parameters],
        choices=[[override(prefixes, *pair) for pair in choice] for choice in wanted],
    )
    documents, errors = {}, {}
    for choice, config in zip(wanted, answer["configs"], strict=True):
        if "error" in config:
            errors[choice] = config["error"]
        else:
            documents[choice] = config["raw"]
    groups = {key: tuple(sorted(found)) for key, found in answer["groups"].items()}
    return Composed(groups, documents, errors)


def override(prefixes: Mapping[str, str], key: str, option: str | None) -> str:
    """Return the choice of an option as an override."""
    return f"{prefixes[key]}{key}={'null' if option is None else option}"


def ask_hydra(project: Project, **question: Any) -> Mapping[str, Any]:
    """Ask Hydra in the user's Python. Raises UserError where it cannot say."""
    asked = {"keys": [], "choices": [], "values": [], "files": [], **question}
    asked |= {
        "config_dir": str(project.config_dir.resolve()),
        "config_name": project.config_name,
        "imports": list(project.imports),
    }
    count = len(asked["choices"]) + len(asked["files"])
    answer = ask_python(
        project.python,
        PROGRAM,
        asked,
        folder=project.folder,
        environ=project.environ,
        seconds=SECONDS + SECONDS_PER_CONFIG * count,
    )
    if answer.get("missing") in {"hydra", "omegaconf"}:
        message = f"`{project.python}` has no {answer['missing']!r}."
        hint = "Name the Python of the project with `--python`, for example .venv/bin/python."
        raise UserError("Hydra is missing", message, hint)
    if "error" in answer:
        raise UserError("cannot compose", f"{answer['error'][:600]}.", "Mend the config first.")
    return dict(answer)


def cannot_compose(project: Project, choice: Choices, error: str) -> UserError:
    """Return the error of a config that Hydra cannot compose."""
    chosen = ", ".join(f"{key}={option}" for key, option in choice)
    name = f"`{project.config_name}`{f' with {chosen}' if chosen else ''}"
    return UserError("cannot compose", f"Hydra cannot compose {name}: {error[:600]}")


def check_options(space: Space, options: Mapping[str, Sequence[str]]) -> None:
    """Refuse options that a config group does not have."""
    for parameter in space.parameters:
        known = options.get(parameter.key)
        if not known:
            continue
        if isinstance(parameter.domain, Numbers):
            raise wrong(space, parameter, "it is a config group, which has no numbers.")
        for value in parameter.domain.values:
            if value is not None and value not in known:
                message = f"the config group has no option {value!r}."
                hint = closest(str(value), known) or f"There are {', '.join(known)}."
                raise wrong(space, parameter, message, hint)


def wrong(space: Space, parameter: Parameter, message: str, hint: str = "") -> UserError:
    """Return an error about a parameter, with its line."""
    text = f"`parameters.{parameter.key}`: {message}"
    return UserError("unknown parameter", text, hint, space.file, parameter.line)


def _all_choices(space: Space, options: Mapping[str, Sequence[str]]) -> Iterator[Choices]:
    """Yield every choice of options; a group that has a condition may also not be chosen."""
    groups = sorted((item for item in space.parameters if item.key in options), key=lambda i: i.key)
    levels: list[list[Any]] = []
    for item in groups:
        values = list(item.domain.values) if isinstance(item.domain, Choice) else []
        levels.append([*values, ...] if item.when else values)
    for count, combination in enumerate(product(*levels), 1):
        if count > MAX_CHOICES:
            message = f"the config groups can be chosen in more than {MAX_CHOICES} ways."
            hint = "Choose fewer options, or make one sweep per option."
            raise UserError("too many choices", message, hint, space.file)
        pairs = zip(groups, combination, strict=True)
        yield tuple((item.key, value) for item, value in pairs if value is not ...)


def value_at(document: Any, name: str) -> Any:
    """Return the value at a dotted name; None where there is none."""
    for part in name.split("."):
        if not isinstance(document, Mapping) or part not in document:
            return None
        document = document[part]
    return document


def _integer(value: Any) -> int | None:
    return value if type(value) is int else None
