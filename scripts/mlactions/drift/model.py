"""What `drift` knows: the rules, the configuration, the deployed run, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from mlactions.mlflow_store import ModelVersion, Run
from mlactions.settings import Status
from mlactions.values import Place, canonical_key
from mlactions.yaml_lines import Marked

Level = Literal["fail", "warn", "notice", "none"]
Kind = Literal["parameter", "code", "package", "data", "model-file"]
RowState = Literal[
    "drift", "order", "location", "same", "beyond", "unknown", "only-logged", "ignored"
]
State = Literal["compared", "nothing-compared", "no-deployed-run", "several-deployed-runs"]

LEVELS: tuple[Level, ...] = ("fail", "warn", "notice", "none")
CODE = ("**/*.py", "**/*.cu", "**/*.cpp", "!tests/**", "!docs/**")
"""What counts as code where the rules do not say."""


@dataclass(frozen=True)
class Selector:
    """How the deployed run is found: by a tag, by a registered model's alias, or by its id."""

    kind: Literal["tag", "alias", "run"]
    name: str
    value: str = ""

    def __str__(self) -> str:
        """Return it as the user writes it."""
        joint = {"tag": "=", "alias": "@", "run": ""}[self.kind]
        return f"{self.kind}:{self.name}{joint}{self.value}"


@dataclass(frozen=True)
class DataRule:
    """Where the expected hash of a data set stands, and where the run logged its own.

    The run's: `dataset`, the name of an input, or `logged`, a parameter or tag. Ours: `key`, a
    setting of the configuration, or `file`, whose hash is taken (of a `.dvc` file the one in it).
    """

    name: str
    dataset: str = ""
    logged: str = ""
    key: str = ""
    file: str = ""
    level: Level = "fail"


@dataclass(frozen=True)
class Rules:
    """How serious each difference is. Without a rules file every drift fails.

    Globs over dotted keys; the first that matches counts, and a name means all below it.
    """

    name: str = ""
    ignore: tuple[str, ...] = ()
    severity: tuple[tuple[str, Level], ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    unordered: tuple[str, ...] = ()
    unknown: Level = "notice"
    only_logged: Level = "notice"
    code: Level = "warn"
    code_paths: tuple[str, ...] = CODE
    packages: tuple[tuple[str, Level], ...] = (("*", "warn"),)
    data: tuple[DataRule, ...] = ()
    model_file: Level = "fail"
    marked: Marked | None = field(default=None, repr=False, compare=False)

    def level(self, key: str) -> Level:
        """Return how serious drift of a key is."""
        return first_level(self.severity, key, "fail")

    def ignores(self, key: str) -> bool:
        """Return whether a key is nobody's business."""
        return any(covers(glob, key) for glob in self.ignore)

    def is_unordered(self, key: str) -> bool:
        """Return whether the order of a list's items means nothing."""
        return any(covers(glob, key) for glob in self.unordered)


def first_level(levels: tuple[tuple[str, Level], ...], name: str, default: Level) -> Level:
    """Return the level of the first glob that covers a name."""
    return next((level for glob, level in levels if covers(glob, name)), default)


def covers(glob: str, name: str) -> bool:
    """Return whether a glob means a name, or something above it."""
    return fnmatchcase(name, glob) or fnmatchcase(name, f"{glob}.*")


@dataclass(frozen=True)
class Unresolved:
    """A value that is only known where the program runs: the text as it stands, and why."""

    text: str
    why: str


@dataclass(frozen=True)
class Setting:
    """One value of the configuration, and the line that gives it, or what else does: `origin`."""

    place: Place
    value: Any
    raw: Any = None
    file: str | None = None
    line: int | None = None
    origin: str = ""

    @property
    def key(self) -> str:
        """The dotted name."""
        return canonical_key(".".join(map(str, self.place)))


@dataclass(frozen=True)
class Config:
    """A configuration as the program would get it. `files` are those it was composed of."""

    name: str
    settings: tuple[Setting, ...]
    composed: bool = False
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deployed:
    """The run behind the deployed model. `params` are its own and those of the run above it."""

    run: Run
    params: Mapping[str, str]
    version: ModelVersion | None = None


@dataclass(frozen=True)
class Row:
    """One thing that was compared; `current` is ours, `logged` the run's, as they are shown."""

    kind: Kind
    name: str
    state: RowState
    level: Level = "none"
    current: str = ""
    logged: str = ""
    logged_as: str = ""
    note: str = ""
    file: str | None = None
    line: int | None = None
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something to say that no single row says; `reason` is a stable code."""

    reason: str
    level: Level
    message: str
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A run that could be the deployed one."""

    run_id: str
    name: str
    status: str
    started_ms: int | None
    version: str = ""


class UndeterminedError(Exception):
    """Which run is deployed cannot be said: none is, or several are."""

    def __init__(self, state: State, message: str, candidates: tuple[Candidate, ...] = ()) -> None:
        super().__init__(message)
        self.state, self.message, self.candidates = state, message, candidates


@dataclass(frozen=True)
class Settings:
    """What the caller decides; the rules decide the rest. Paths are as the user wrote them."""

    config: str
    folder: Path
    selector: Selector
    tracking_uri: str
    experiment: str = ""
    model: str = ""
    config_root: str = ""
    overrides: tuple[str, ...] = ()
    python: str = "python"
    rules: str = ""
    base_ref: str = ""
    requirements: str = ""
    model_file: str = ""
    model_artifact: str = ""
    key: str = "drift"
    fail_on_warn: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the rules make of the differences."""

    status: Status
    state: str
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
