"""What init sees in a repository, and what it would write there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["train", "evaluate", "export"]
Read = Callable[[str], str | None]
"""Returns a file's text by its path in the repository; None where it cannot be read."""


@dataclass(frozen=True)
class Evidence:
    """Where something stands: `what` is the call or the key, as the code names it."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        """Return the form that editors jump to."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Hydra:
    """What `@hydra.main` says: a folder in the repository, and the primary config's name."""

    folder: str
    name: str


@dataclass(frozen=True)
class Script:
    """A program of the repository; `options` are its flags and positional arguments."""

    path: str
    role: Role
    arguments: str
    line: int
    options: tuple[str, ...] = ()
    hydra: Hydra | None = None


@dataclass(frozen=True)
class Packages:
    """How the environment is made: `run` starts a Python in it, `source` says who decided.

    `tools` installs what checks the code, where that is apart, with the file that lists it.
    """

    manager: Literal["uv", "poetry", "pip", "conda", "none"]
    install: str
    run: str
    source: str
    python: str
    python_source: str
    tools: tuple[str, str] | None = None


@dataclass(frozen=True)
class Recalled:
    """What the workflows that are there hand to this library; empty where they do not."""

    command: str = ""
    configs: tuple[str, ...] = ()
    install: str = ""
    python_version: str = ""
    tracking_uri: str = ""


@dataclass(frozen=True)
class Findings:
    """All that init reads from a repository. Nothing of it was run.

    `idle` are files called like a program that start nothing, by their role.
    """

    packages: Packages
    scripts: tuple[Script, ...]
    configs: tuple[str, ...]
    config_files: tuple[str, ...]
    frameworks: Mapping[str, Evidence]
    conventions: Mapping[str, tuple[Evidence, ...]]
    names: Mapping[str, Evidence]
    checks: tuple[tuple[str, str], ...]
    workflows: Mapping[str, frozenset[str]]
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    recalled: Recalled = Recalled()
    idle: Mapping[Role, str] = field(default_factory=dict)

    def script(self, role: Role) -> Script | None:
        """Return the best script of a role."""
        return next((script for script in self.scripts if script.role == role), None)


@dataclass(frozen=True)
class Asked:
    """What the caller says, which beats what was found; empty means: as found."""

    pin: str = ""
    version: str = ""
    branch: str = "main"
    command: str = ""
    configs: tuple[str, ...] = ()
    install: str = ""
    python: str = ""
    tracking_uri: str = ""


@dataclass(frozen=True)
class File:
    """A file to write, and why."""

    path: str
    text: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What to write, what stays as it is, and what does not fit, each with its reason.

    `blocked` are words that fit, and whose file names other workflows have.
    """

    files: tuple[File, ...]
    kept: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]
    command: str
    configs: tuple[str, ...]
    steps: tuple[str, ...]
    blocked: tuple[str, ...] = ()
