"""The inputs, secrets and permissions of this version's actions and workflows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from mlactions.doctor.model import mapping
from mlactions.schema import parse_yaml

Load = Callable[[str], str | None]
"""Returns a file of this library by its path; None where there is none."""

Role = Literal["measure", "decide", "ask", "write"]

_NAMES: Mapping[Role, str] = {
    "measure": """evaluate train export/measure export/retry audit/measure diagnose/probe
        propose/check""",
    "decide": """compare sweep export/verify export/smoke analyze drift discover audit diagnose
        note""",
    "ask": "ask propose",
    "write": "comment propose/publish",
}
ROLES: Mapping[str, Role] = {name: role for role, names in _NAMES.items() for name in names.split()}
"""Who runs the repository's code, who decides, who has the key, who writes: as the threat model."""

WHOLE = frozenset({"action.yml", "actions/export/action.yml"})
"""Actions that do in one job what others spread over several: they measure too."""

CODE_WORKFLOWS = frozenset({"audit.yml", "diagnose.yml", "export.yml", "gate.yml", "propose.yml"})
"""Reusable workflows that run the repository's code in one of their jobs."""

_LEVELS = ("none", "read", "write")


def role_of(path: str) -> Role | None:
    """Return the role of an action's file: its own, else that of the action it is a part of."""
    if path in WHOLE:
        return "measure"
    name = path.removeprefix("actions/").removesuffix("/action.yml")
    while name and name not in ROLES:
        name = name.rpartition("/")[0]
    return ROLES.get(name)


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
