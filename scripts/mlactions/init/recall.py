"""What an earlier run was told, read from the workflows that it wrote. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from mlactions.errors import UserError
from mlactions.init.address import check_address, shows_secret
from mlactions.init.commands import check_command
from mlactions.init.model import Recalled
from mlactions.schema import parse_yaml

_EVALUATES = re.compile(
    r"codex-ml-actions/codex-ml-actions(?:/actions/evaluate|/\.github/workflows/gate\.yml)?@"
)
_OURS = "codex-ml-actions/codex-ml-actions"


def recall(texts: Iterable[tuple[str, str]]) -> Recalled:
    """Return the first value of each kind that workflows, by path, hand to this library."""
    found: dict[str, Any] = {}
    for path, text in texts:
        try:
            document = parse_yaml(text, name=path)
        except UserError:
            continue
        for uses, given in _uses(document):
            for name, value in _values(uses, given):
                found.setdefault(name, value)
    return Recalled(**found)


def _uses(document: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what jobs and steps use, and what they give it."""
    for job in _mapping(_mapping(document).get("jobs")).values():
        steps = _mapping(job).get("steps")
        for item in (job, *(steps if isinstance(steps, list) else ())):
            about = _mapping(item)
            uses = str(about.get("uses", ""))
            if uses.startswith(_OURS):
                yield uses, _mapping(about.get("with"))


def _values(uses: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    wanted = {field.name for field in fields(Recalled)}
    wanted -= set() if _EVALUATES.match(uses) else wanted - {"tracking_uri"}
    for name, value in given.items():
        field = name.replace("-", "_")
        if (
            field not in wanted
            or not isinstance(value, str)
            or "${{" in value
            or shows_secret(value)
        ):
            continue
        check = {"tracking_uri": check_address, "command": check_command}.get(field)
        if check is not None and not _passes(check, value):
            continue
        lines = tuple(line.strip() for line in value.splitlines() if line.strip())
        if lines:
            yield field, lines if field == "configs" else value.strip()


def _passes(check: Callable[[str], object], value: str) -> bool:
    """Tell a value that may be copied into the next workflow; others are refused by an error."""
    try:
        check(value)
    except UserError:
        return False
    return True


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
