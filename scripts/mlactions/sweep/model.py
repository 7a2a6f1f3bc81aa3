"""The data of a sweep: what the user wrote, and what is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlactions.sweep.domains import Domain

Method = Literal["grid", "random", "sobol", "tpe"]

ABSENT = object()
"""Stands for a parameter that does not exist in a trial, because its `when` does not hold."""


@dataclass(frozen=True)
class Test:
    """What a condition asks of one parameter: one of `values`, or a number within bounds."""

    parameter: str
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None

    def holds(self, value: Any) -> bool:
        """Tell whether a value passes; a parameter that does not exist passes nothing."""
        if value is ABSENT:
            return False
        if self.low is None and self.high is None:
            return any(type_of(value) == type_of(one) and value == one for one in self.values)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


def type_of(value: Any) -> type:
    """Return a value's type, where 1 and 1.0 are the same and 1 and true are not."""
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


@dataclass(frozen=True)
class Condition:
    """Tests that all have to hold."""

    tests: tuple[Test, ...]
    line: int | None = None

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Tell whether all tests hold for a trial's values."""
        return all(test.holds(values.get(test.parameter, ABSENT)) for test in self.tests)


@dataclass(frozen=True)
class Parameter:
    """One dimension of the space. `prefix` is Hydra's `+` or `++`; `package` that of a group."""

    name: str
    domain: Domain
    when: Condition | None = None
    prefix: str = ""
    package: str = ""
    line: int | None = None

    @property
    def key(self) -> str:
        """The name as Hydra's command line has it, without `+`."""
        return f"{self.name}@{self.package}" if self.package else self.name


@dataclass(frozen=True)
class Metric:
    """What trials are ranked by."""

    name: str
    goal: Literal["minimize", "maximize"] = "minimize"
    target: float | None = None

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return self.goal == "maximize"

    def reached(self, value: float) -> bool:
        """Tell whether a value is as good as the target."""
        if self.target is None:
            return False
        return value >= self.target if self.higher else value <= self.target


@dataclass(frozen=True)
class Budget:
    """Limits, and the assumptions that hours and money are computed from."""

    trials: int | None = None
    gpu_hours: float | None = None
    money: float | None = None
    hours_per_trial: float | None = None
    price_per_gpu_hour: float | None = None
    currency: str = "USD"


@dataclass(frozen=True)
class Resources:
    """What one trial gets."""

    gpus: float = 1
    cpus: int | None = None
    memory_gb: float | None = None
    hours: float | None = None
    partition: str = ""
    account: str = ""


@dataclass(frozen=True)
class Space:
    """A checked search space. Parameters stand after those that their `when` asks for.

    `notes` are sentences about what was read differently from how it was written.
    """

    file: str
    parameters: tuple[Parameter, ...]
    name: str = ""
    description: str = ""
    method: Method = "grid"
    metric: Metric | None = None
    exclude: tuple[Condition, ...] = ()
    seeds: tuple[int, ...] = ()
    seed_parameter: str = "seed"
    sampler_seed: int = 0
    run_cap: int | None = None
    command: tuple[str, ...] = ()
    program: str = ""
    budget: Budget = field(default_factory=Budget)
    resources: Resources = field(default_factory=Resources)
    max_parallel: int | None = None
    retry: int = 0
    reuse_across_commits: bool = False
    notes: tuple[str, ...] = ()

    def parameter(self, key: str) -> Parameter:
        """Return a parameter by its key."""
        return next(item for item in self.parameters if item.key == key)

    @property
    def wanted(self) -> int | None:
        """How many configurations were asked for, None where the space itself says."""
        return None if self.run_cap is None else self.run_cap // max(len(self.seeds), 1)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run to make: its number from 1, its values by parameter, its hash, its seed."""

    number: int
    values: Mapping[str, Any]
    hash: str
    seed: int | None = None

    def name(self, width: int = 4) -> str:
        """Return the file name without its ending: `0017-1a2b3c4d`."""
        return f"{self.number:0{width}d}-{self.hash[:8]}"
