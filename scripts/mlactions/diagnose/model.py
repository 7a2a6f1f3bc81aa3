"""What `diagnose` knows: a training run, the signs that were measured in it, and their causes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlactions.curves import Value

Level = Literal["fail", "warn", "notice"]
Strength = Literal["shown", "likely", "possible"]
Kind = Literal["mlflow", "log", "train"]

LEVELS: tuple[Level, ...] = ("fail", "warn", "notice")
STRENGTHS: tuple[Strength, ...] = ("shown", "likely", "possible")

Number = float | int | str | bool | None


@dataclass(frozen=True)
class Failed:
    """Why `train` says that it did not finish: a class, its evidence, where, and what to do.

    `line` is that of train.log; `place` is `file:line` in the repository, empty where unknown.
    """

    kind: str
    evidence: str
    line: int | None = None
    place: str = ""
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """A training run as far as it is known; `series` are its metrics by step.

    `params` have dotted names; `stepped` are the metrics by step, None where that is not known:
    MLflow's steps are often epochs. `error` is the exception that it ended with, empty without one.
    """

    kind: Kind
    name: str
    series: Mapping[str, tuple[Value, ...]]
    params: Mapping[str, Any] = field(default_factory=dict)
    status: str = ""
    error: str = ""
    failed: Failed | None = None
    commit: str = ""
    started_ms: int | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    stepped: frozenset[str] | None = None


@dataclass(frozen=True)
class Sign:
    """Something that was measured. `code` is stable, `values` are the numbers behind it."""

    code: str
    level: Level
    message: str
    metric: str = ""
    values: Mapping[str, Number] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The id of its fact."""
        return f"diagnose.sign.{self.code}"


@dataclass(frozen=True)
class Cause:
    """What a rule makes of signs: `evidence` are the codes of those that it rests on."""

    code: str
    level: Level
    strength: Strength
    title: str
    evidence: tuple[str, ...]
    remedy: str
    check: str = ""


@dataclass(frozen=True)
class Roles:
    """Which metric plays which part; empty where none does."""

    loss: str = ""
    held_out_loss: str = ""
    score: str = ""
    held_out_score: str = ""
    rate: str = ""
    gradient: str = ""


@dataclass(frozen=True)
class Constant:
    """What a predictor that always says the same would get; `source` is how that is known."""

    loss: float
    score: float | None
    source: str


@dataclass(frozen=True)
class Change:
    """One difference to the run that it is held against; `diff` is that of changed code, cut."""

    kind: Literal["setting", "code", "data", "package"]
    name: str
    here: str
    there: str
    note: str = ""
    details: tuple[str, ...] = ()
    diff: str = ""


@dataclass(frozen=True)
class Against:
    """The run that it is held against, and what differs. `why` says why there is none."""

    run: str = ""
    name: str = ""
    changes: tuple[Change, ...] = ()
    same: int = 0
    why: str = ""


@dataclass(frozen=True)
class Settings:
    """What the caller decides."""

    folder: Path
    metrics: tuple[str, ...] = ()
    classes: int | None = None
    constant_loss: float | None = None
    key: str = "diagnose"
    fail_on_warn: bool = False
