"""What doctor finds, and the workflows it reads: each place knows its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from mlactions.strict_yaml import Keys
from mlactions.yaml_lines import Marked

OWN = "codex-ml-actions/codex-ml-actions"
Severity = Literal["fail", "warn"]


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong: where, what, and what to do about it."""

    file: str
    line: int
    rule: str
    severity: Severity
    message: str
    fix: str


@dataclass(frozen=True)
class Use:
    """One `uses:`: by a step, or by a job that calls a workflow. `keys` lead to its mapping."""

    workflow: Workflow
    job: str
    keys: tuple[str | int, ...]
    data: Mapping[str, Any]

    @cached_property
    def target(self) -> str:
        """Return what is used, without its pin."""
        return str(self.data.get("uses", "")).partition("@")[0].strip()

    @cached_property
    def pin(self) -> str:
        """Return what stands behind the `@`."""
        return str(self.data.get("uses", "")).partition("@")[2].strip()

    @property
    def is_ours(self) -> bool:
        """Tell this library's actions from others."""
        return self.target == OWN or self.target.startswith(f"{OWN}/")

    @property
    def name(self) -> str:
        """Return how sentences call it: ours without our own repository's name."""
        below = self.target.removeprefix(OWN).strip("/") if self.is_ours else self.target
        return below.removeprefix(".github/workflows/") or "the action at the root"

    @property
    def own_path(self) -> str:
        """Return the file in this library that is used."""
        below = self.target.removeprefix(OWN).strip("/")
        return below if below.endswith((".yml", ".yaml")) else f"{below}/action.yml".lstrip("/")

    @property
    def calls_workflow(self) -> bool:
        """Tell a call of a reusable workflow from a step."""
        return len(self.keys) == 2  # noqa: PLR2004  # ("jobs", name)

    @property
    def given(self) -> Mapping[str, Any]:
        """Return its inputs."""
        return mapping(self.data.get("with"))

    def line(self, *keys: str | int) -> int:
        """Return the line of a place below it; its own `uses` where none is named."""
        return self.workflow.line(*self.keys, *(keys or ("uses",)))


@dataclass(frozen=True)
class Workflow:
    """One workflow file; `used` are its uses, of whomever."""

    path: str
    text: str
    marked: Marked

    @property
    def data(self) -> Mapping[str, Any]:
        """Return what the file holds."""
        return mapping(self.marked.value)

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the jobs by name."""
        return {str(name): mapping(job) for name, job in mapping(self.data.get("jobs")).items()}

    @property
    def triggers(self) -> frozenset[str]:
        """Return the events that start it."""
        events = self.data.get("on") or ()
        return frozenset([events] if isinstance(events, str) else map(str, events))

    @cached_property
    def used(self) -> tuple[Use, ...]:
        """Return everything that is used, in the file's order."""
        return tuple(use for name in self.jobs for use in self.uses_of(name))

    @property
    def is_ours(self) -> bool:
        """Tell a workflow that uses this library, or installs it for a command."""
        installs = f"git+https://github.com/{OWN}" in self.text
        return installs or any(use.is_ours for use in self.used)

    def uses_of(self, job: str) -> Iterator[Use]:
        """Yield what a job uses."""
        data = self.jobs[job]
        if "uses" in data:
            yield Use(self, job, ("jobs", job), data)
        for position, step in enumerate(steps(data)):
            if "uses" in step:
                yield Use(self, job, ("jobs", job, "steps", position), step)

    def line(self, *keys: str | int) -> int:
        """Return the line of a place, or of the nearest above it."""
        return self.marked.line(keys) or 1

    def problem(self, rule: str, severity: Severity, keys: Keys, message: str, fix: str) -> Problem:
        """Return a problem of a place in this file."""
        return Problem(self.path, self.line(*keys), rule, severity, message, fix)


def steps(job: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return a job's steps."""
    listed = job.get("steps")
    return tuple(map(mapping, listed)) if isinstance(listed, list) else ()


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}
