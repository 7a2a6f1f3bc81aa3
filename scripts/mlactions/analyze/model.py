"""What an analysis is made of: the settings, and every part of its result. Plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlactions.analyze.ranges import Range
from mlactions.curves import Curve, Direction
from mlactions.settings import Status

Kind = Literal["number", "category", "mixed"]
Verdict = Literal["matters", "confounded", "follows", "not-shown", "untested"]
Level = Literal["fail", "warn", "notice"]
Unit = Literal["seed", "fold", "repeat"]

SEED_NAMES = ("seed", "random_state")
"""The last part of a parameter's name; `random_seed` and all that end so are seeds, too."""

FOLD_NAMES = ("fold", "fold_id", "fold_index", "fold_idx", "cv_fold")
"""The last part of the name of a part of a run: a fold of a cross-validation is repeated alike."""

PART_NAMES = (*FOLD_NAMES, "split", "subset", "stage", "repeat")
"""What a run that is a part of another one may log of itself."""

FEWEST_CONFIGURATIONS = 10
"""Fewer distinct configurations say nothing about a parameter."""

WEAK_CONFIGURATIONS = 30
WEAK_PER_PARAMETER = 5
"""Below these, importances are a hint."""

MAX_PARAMETERS = 200
MAX_SHOWN_RUNS = 100
MAX_FAILED = 50
MAX_LINES = 150


@dataclass(frozen=True)
class Requirement:
    """A condition that fails the check: `best >= 0.9`."""

    text: str
    name: str
    operator: str
    limit: float


@dataclass(frozen=True)
class Settings:
    """What the user chose. `day_ms` is the end of the day that running runs are judged by."""

    experiment: str
    metric: str
    direction: Direction
    sweep: str = ""
    filter: str = ""
    top: int = 5
    seeds: tuple[str, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    price_per_hour: float | None = None
    requirements: tuple[Requirement, ...] = ()
    declared: Range | None = None
    key: str = "analyze"
    day_ms: int = 0

    @property
    def sign(self) -> float:
        """1 where more is better, else -1."""
        return 1.0 if self.direction == "higher" else -1.0

    @property
    def selects_by_metric(self) -> bool:
        """True where only runs with certain results were read: causes cannot be told from them."""
        return "metric" in self.filter.lower()


@dataclass(frozen=True)
class RunRow:
    """One run as it is shown: what differs between runs, not what all share."""

    id: str
    name: str
    status: str
    value: float | None
    seconds: float | None
    params: Mapping[str, float | str]
    note: str = ""


@dataclass(frozen=True)
class Configuration:
    """Runs that differ in nothing but their seeds; `low` and `high` are 95 % bounds of the mean.

    `values` holds one per seed, or per run where a run does not say its seed: `seeds` is None then.
    `unit` is what was repeated: a seed or a fold.
    """

    rank: int
    mean: float
    low: float | None
    high: float | None
    deviation: float | None
    runs: tuple[str, ...]
    values: tuple[float, ...]
    seeds: int | None
    unit: Unit
    params: Mapping[str, float | str]
    seconds: float | None


@dataclass(frozen=True)
class Parameter:
    """What is known of one parameter that varies. `share` is of the variance of the ranks.

    `beside` is the corrected p-value of an effect beside those of the strongest parameters.
    """

    name: str
    kind: Kind
    distinct: int
    present: int
    low: str
    high: str
    best: str
    log: bool = False
    share: float | None = None
    p_value: float | None = None
    adjusted: float | None = None
    pedanova: float | None = None
    beside: float | None = None
    rho: float | None = None
    rho_low: float | None = None
    rho_high: float | None = None
    n: int = 0
    verdict: Verdict = "untested"
    partners: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """Two parameters that change together; `strength` is 1 where they always do.

    `beyond_first` is the p-value of the second one explaining anything beyond the first; None
    where the first leaves nothing of it. Only pairs of parameters that matter are `tested`.
    """

    first: str
    second: str
    kind: Literal["always", "nearly", "linked"]
    strength: float
    beyond_first: float | None = None
    beyond_second: float | None = None
    tested: bool = False


@dataclass(frozen=True)
class Agreement:
    """Whether the two importances tell the same."""

    tau: float | None
    same_first: bool
    parameters: int


@dataclass(frozen=True)
class RunCurve:
    """The curve of one run's metric, thinned for drawing."""

    run: str
    name: str
    metric: str
    why: Literal["best", "failed"]
    curve: Curve
    steps: tuple[int, ...] = ()
    values: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Cost:
    """Hours of the runs that say when they began and ended."""

    hours: float
    finished_hours: float
    failed_hours: float
    median_seconds: float | None
    timed: int
    untimed: int
    price_per_hour: float | None

    @property
    def total(self) -> float | None:
        """The price of all, None where no price is given."""
        return None if self.price_per_hour is None else self.price_per_hour * self.hours


@dataclass(frozen=True)
class Finding:
    """Something to know before the numbers are believed; names stand in backticks."""

    reason: str
    level: Level
    message: str


@dataclass(frozen=True)
class Change:
    """One difference to the previous analysis."""

    what: str
    message: str


@dataclass(frozen=True)
class Analysis:
    """The whole result of an analysis."""

    settings: Settings
    status: Status
    verdict: str
    counts: Mapping[str, int]
    configurations: tuple[Configuration, ...]
    configuration_count: int
    parameters: tuple[Parameter, ...]
    constants: Mapping[str, str]
    set_aside: Mapping[str, tuple[str, ...]]
    limits: Range | None
    pairs: tuple[Pair, ...]
    agreement: Agreement | None
    failed: tuple[RunRow, ...]
    running: tuple[RunRow, ...]
    curves: tuple[RunCurve, ...]
    cost: Cost
    findings: tuple[Finding, ...]
    changes: tuple[Change, ...] | None
    coordinates: Mapping[str, Any]
    digest: str
    source: Mapping[str, Any]
