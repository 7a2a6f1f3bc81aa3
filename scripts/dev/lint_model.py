"""Workflows and actions as the lint rules see them: jobs, steps, and the line each stands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml


class Mapping(dict[str, Any]):
    """A YAML mapping that knows the 1-based line of each key."""

    lines: dict[str, int]


class _Loader(yaml.BaseLoader):
    """Every scalar stays the text that was written: `on` is no boolean, `1.10` no number."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Mapping:
    found = Mapping(
        (str(key), value) for key, value in loader.construct_mapping(node, deep=True).items()
    )
    found.lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


@dataclass(frozen=True)
class Problem:
    """One broken rule, where it is broken, and what to do."""

    file: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        """Return the form editors can jump to."""
        return f"{self.file}:{self.line}: {self.rule}: {self.message}"


@dataclass(frozen=True)
class Step:
    """One step; `line` is that of its first key."""

    data: Mapping
    line: int

    @property
    def uses(self) -> str:
        """Return the action without its pin, or nothing for a script."""
        return str(self.data.get("uses", "")).partition("@")[0]

    @property
    def script(self) -> str:
        """Return what a shell or github-script would run."""
        return str(self.data.get("run", "") or self.given.get("script", ""))

    @property
    def given(self) -> Mapping:
        """Return the step's inputs."""
        return as_mapping(self.data.get("with"))

    def runs_action(self, *names: str) -> bool:
        """Tell whether the step uses one of these actions, wherever it is referred to from."""
        return any(self.uses == name or self.uses.endswith(f"/{name}") for name in names)


@dataclass(frozen=True)
class Job:
    """One job of a workflow, or the whole of a composite action."""

    name: str
    data: Mapping
    line: int

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Return the steps in order."""
        steps = [as_mapping(step) for step in self.data.get("steps") or ()]
        return tuple(Step(step, min(step.lines.values(), default=self.line)) for step in steps)

    @property
    def permissions(self) -> Mapping:
        """Return the job's own grants."""
        return as_mapping(self.data.get("permissions"))


@dataclass(frozen=True)
class Document:
    """A workflow or an action, parsed and as text."""

    name: str
    text: str
    data: Mapping

    @property
    def is_action(self) -> bool:
        """Tell an action from a workflow."""
        return "runs" in self.data

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """Return the jobs; a composite action is seen as one job of its steps."""
        if self.is_action:
            runs = as_mapping(self.data["runs"])
            return (Job("runs", runs, self.data.lines["runs"]),)
        jobs = as_mapping(self.data.get("jobs"))
        return tuple(Job(name, as_mapping(job), jobs.lines[name]) for name, job in jobs.items())

    @property
    def triggers(self) -> frozenset[str]:
        """Return the names of the events that start a workflow."""
        events = self.data.get("on", ())
        return frozenset([events] if isinstance(events, str) else events)

    def line_text(self, line: int) -> str:
        """Return one line of the file as written, comments included."""
        return self.text.splitlines()[line - 1]

    def steps(self) -> Iterator[tuple[Job, Step]]:
        """Yield every step with its job."""
        for job in self.jobs:
            for step in job.steps:
                yield job, step


def parse(name: str, text: str) -> Document:
    """Parse one file; raises yaml.YAMLError when it is no YAML."""
    return Document(name, text, as_mapping(yaml.load(text, Loader=_Loader)))  # noqa: S506  # our loader only builds text


def documents(root: Path) -> list[Document]:
    """Read every workflow, template and action of the repository, in a fixed order."""
    patterns = (".github/workflows/*.yml", "workflows/*.yml", "action.yml", "actions/**/action.yml")
    paths = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return [
        parse(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in paths
    ]


def texts(value: Any, line: int) -> Iterator[tuple[int, str]]:
    """Yield every scalar below a value with the line of the key that holds it."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from texts(below, value.lines[key])
    elif isinstance(value, list):
        for below in value:
            yield from texts(below, line)
    else:
        yield line, str(value)


def as_mapping(value: Any) -> Mapping:
    """Return a mapping as it is, and an empty one for anything else."""
    if isinstance(value, Mapping):
        return value
    empty = Mapping()
    empty.lines = {}
    return empty
