"""The inputs, secrets and permissions of this version's actions and workflows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlactions.doctor.model import mapping
from mlactions.schema import parse_yaml

Load = Callable[[str], str | None]
"""Returns a file of this library by its path; None where there is none."""

MEASURE = frozenset(
    {
        "action.yml",
        "actions/evaluate/action.yml",
        "actions/train/action.yml",
        "actions/audit/measure/action.yml",
        "actions/diagnose/probe/action.yml",
        "actions/export/action.yml",
        "actions/export/measure/action.yml",
        "actions/export/retry/action.yml",
    }
)
"""Actions that run the repository's code."""

ASK, COMMENT = "actions/ask/action.yml", "actions/comment/action.yml"
_LEVELS = ("none", "read", "write")


@dataclass(frozen=True)
class Interface:
    """What may be given: inputs and secrets, True where they must be; permissions to grant."""

    inputs: Mapping[str, bool]
    secrets: Mapping[str, bool]
    permissions: Mapping[str, str]


def read_interface(path: str, load: Load) -> Interface | None:
    """Return what an action or a reusable workflow takes; None where there is no such file."""
    text = load(path)
    if text is None:
        return None
    document = mapping(parse_yaml(text, name=path))
    call = mapping(mapping(document.get("on")).get("workflow_call"))
    inputs = mapping(call.get("inputs") if call else document.get("inputs"))
    return Interface(
        {name: _must(about) for name, about in inputs.items()},
        {name: _must(about) for name, about in mapping(call.get("secrets")).items()},
        _permissions(mapping(document.get("jobs"))),
    )


def _must(about: object) -> bool:
    fields = mapping(about)
    return fields.get("required") is True and "default" not in fields


def _permissions(jobs: Mapping[str, object]) -> dict[str, str]:
    """Return what a caller grants: the most that any job of the called workflow asks for."""
    most: dict[str, str] = {}
    for job in jobs.values():
        for name, level in mapping(mapping(job).get("permissions")).items():
            most[name] = max(most.get(name, "none"), str(level), key=_LEVELS.index)
    return most


def enough(granted: str, wanted: str) -> bool:
    """Say whether a grant covers what is wanted."""
    known = granted if granted in _LEVELS else "none"
    return _LEVELS.index(known) >= _LEVELS.index(wanted)
