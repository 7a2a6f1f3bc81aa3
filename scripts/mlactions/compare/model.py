"""What `compare` knows: the rules of a baseline, what was measured, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlactions.metrics import Problem
from mlactions.settings import Status
from mlactions.yaml_lines import Marked

Direction = Literal["higher", "lower", "equal"]
Level = Literal["fail", "warn", "notice"]
Severity = Literal["fail", "warn"]
Outcome = Literal["pass", "warn", "fail"]
Label = Literal[
    "proven",
    "observed",
    "inconclusive",
    "not-proven",
    "non-inferior",
    "point",
    "bound",
    "incomparable",
    "unmeasured",
]
Side = Literal["head", "base"]
Source = Literal["recorded", "base"]

DIRECTIONS: tuple[Direction, ...] = ("higher", "lower", "equal")


@dataclass(frozen=True, slots=True)
class Rule:
    """One metric's rule. `values` are the recorded ones, one per seed; empty if none yet.

    The allowed degradation is `absolute + relative * |mean of the values|`, in the metric's unit.
    """

    model: str
    metric: str
    direction: Direction
    values: tuple[float, ...] = ()
    absolute: float = 0.0
    relative: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "fail"
    comparable_on: tuple[str, ...] | None = None
    paired: bool = False
    score: str = ""
    non_inferior: bool = False
    on_inconclusive: Severity | None = None
    unit: str = ""
    owner: str = ""
    reason: str = ""
    has_tolerance: bool = False

    @property
    def bounds_only(self) -> bool:
        """True for a rule that holds values against `min` or `max` and against no baseline."""
        bounded = self.minimum is not None or self.maximum is not None
        return bounded and not (self.values or self.has_tolerance or self.paired)


@dataclass(frozen=True, slots=True)
class Waiver:
    """A reviewed exception: failures of `metric` (of one `model`, if named) only warn."""

    metric: str
    reason: str
    until: str
    model: str = ""

    def covers(self, model: str, metric: str) -> bool:
        """Return whether the waiver speaks of this model's metric."""
        return self.metric == metric and self.model in {"", model}


@dataclass(frozen=True)
class ModelRules:
    """One model's rules, where their values came from, and how old those may get."""

    rules: Mapping[str, Rule]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    max_age_days: int | None = None
    owner: str = ""


@dataclass(frozen=True)
class Baseline:
    """A baseline file. `name` is its path as the user wrote it, `text` what messages quote.

    `marked` knows its lines; it is None where there is no file.
    """

    name: str
    text: str = field(repr=False)
    models: Mapping[str, ModelRules] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()
    max_age_days: int | None = None
    on_inconclusive: Severity | None = None
    non_inferior: bool = False
    marked: Marked | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Measured:
    """One model's metrics on one side. `seeds` is empty where the file does not name them.

    `lines` are those of the broken values, in the order of `problems`.
    """

    values: Mapping[str, tuple[float, ...]]
    problems: tuple[Problem, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    file: str = ""
    lines: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Failure:
    """An evaluation that did not end ok."""

    model: str
    side: Side
    seed: int | None
    outcome: str
    detail: str
    log: str | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class PredictionFile:
    """One seed's predictions; `seed` is None for an evaluation without seeds."""

    seed: int | None
    path: Path


@dataclass(frozen=True, slots=True)
class Removed:
    """A model config that the base has and the head lacks; `renamed_to` is the model it is now."""

    model: str
    config: str
    kind: Literal["deleted", "renamed", "changed"]
    renamed_to: str | None


@dataclass(frozen=True)
class Candidate:
    """Everything that was measured: the head, and the base if it was evaluated too.

    `expected` is None where nobody said which models had to be measured. Those `elsewhere` had to
    be too, by other jobs.
    """

    head: Mapping[str, Measured]
    base: Mapping[str, Measured] = field(default_factory=dict)
    expected: frozenset[str] | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    commit: str = ""
    predictions: Mapping[tuple[Side, str], tuple[PredictionFile, ...]] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    removed: tuple[Removed, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the numbers say of one rule, in the metric's unit.

    `change` is candidate minus baseline, `degradation` the same signed so that worse is positive;
    `low` and `high` bound the change. `margin` is half the interval's width, `detectable` the
    smallest true degradation that the interval tells from no change in 80 % of runs.
    `limit_to_settle` is set where more seeds would help: the margin that brings a clear answer;
    `seeds_to_settle` is then how many, None for "not even a thousand". `items` counts the pairs
    of predictions behind `paired` evidence.
    """

    label: Label
    outcome: Outcome
    baseline: float
    candidate: float
    change: float
    degradation: float
    allowed: float
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    detectable: float | None = None
    limit_to_settle: float | None = None
    seeds_to_settle: int | None = None
    p_value: float | None = None
    items: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to say; `reason` is a stable code.

    `keys` is its place in the baseline file; `file` and `line` where it stands elsewhere.
    `shared` is the message behind the metric's name, where several metrics may share it.
    """

    reason: str
    level: Level
    message: str
    model: str = ""
    metric: str = ""
    keys: tuple[str | int, ...] = ()
    waived: bool = False
    file: str | None = None
    line: int | None = None
    shared: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One rule's line in the report; `evidence` is None where nothing could be compared."""

    rule: Rule
    status: Status
    label: Label
    values: tuple[float, ...] = ()
    reference: tuple[float, ...] = ()
    source: Source = "recorded"
    evidence: Evidence | None = None
    reasons: tuple[str, ...] = ()
    waived: bool = False


@dataclass(frozen=True)
class Settings:
    """What the caller decides; the baseline decides the rest. `today` is an ISO date.

    `still_ruled` are the models that the head's own baseline has rules for, None where the rules
    that count are the head's.
    """

    today: str
    on_inconclusive: Severity | None = None
    non_inferior: bool = False
    max_age_days: int | None = None
    expected: frozenset[str] | None = None
    still_ruled: frozenset[str] | None = None


@dataclass(frozen=True)
class Verdict:
    """What one set of rules makes of what was measured."""

    status: Status
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
