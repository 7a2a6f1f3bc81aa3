"""What verify decides of a measured export: the dataclasses behind its result.json.

Errors are those of the model's outputs against torch's, in the output's own unit. A number that
is not finite or could not be had is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from mlactions.settings import Status

Level = Literal["fail", "warn", "notice"]
Mode = Literal["scaled", "absolute"]

REASONS = (
    "export-failed",
    "external-data-missing",
    "external-data-changed",
    "output-missing",
    "output-order",
    "output-type",
    "input-changed",
    "axis-frozen",
    "training-mode",
    "random-operator",
    "opset",
    "runtime-crashed",
    "runtime-timed-out",
    "batch-specialised",
    "axis-specialised",
    "constant-output",
    "specialised-constant",
    "reference-not-finite",
    "not-finite",
    "output-shape",
    "checker",
    "runtime-refused",
    "provider-absent",
    "nothing-compared",
    "matrix-incomplete",
    "inputs-alike",
    "parity",
    "top1-changed",
    "task-metric",
    "tolerance-below-noise",
    "not-servable",
    "small-values-off",
    "small-output-off",
    "tolerance-large",
    "batch-fixed",
    "edge-case",
    "state-kept",
    "input-unused",
    "metadata",
    "source-paths",
)
"""Reason codes of findings, the most telling first."""


@dataclass(frozen=True)
class Finding:
    """Something to say; `reason` is one of REASONS. `index` is the worst element's place."""

    reason: str
    level: Level
    message: str
    case: str = ""
    provider: str = ""
    output: str = ""
    index: tuple[int, ...] | None = None
    file: str | None = None
    line: int | None = None
    module: str | None = None


@dataclass(frozen=True)
class Check:
    """One look at the file itself, before it is run. `reason` is empty where it passed."""

    name: str
    status: Status
    message: str
    reason: str = ""


@dataclass(frozen=True)
class Operator:
    """An operator of the graph, its functions and subgraphs, and how often it is there."""

    name: str
    domain: str
    count: int


@dataclass(frozen=True)
class Value:
    """An input or output as the file declares it; None is an axis without a name or a length."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Graph:
    """What is in the model file."""

    opset: int
    ir: int
    producer: str
    nodes: int
    initializers: int
    initializer_bytes: int
    operators: tuple[Operator, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parity:
    """One output of one case against torch's. `allowed` bounds the error of the mode.

    `reference` and `value` are the two numbers at `index`, the worst element, as text: they may be
    `nan` or `inf`. `top1` is the share of rows whose largest logit is the same; None where the
    output is no list of scores. `noise` is torch against itself: in double precision, and on
    another number of threads. `doubt` is a reason to look at a row that passed.
    """

    output: str
    status: Status
    reason: str
    elements: int
    mode: Mode
    allowed: float
    allowed_relative_l2: float | None
    max_absolute: float | None
    scaled: float | None
    relative_l2: float | None
    cosine: float | None
    top1: float | None
    not_finite: int
    index: tuple[int, ...] | None
    reference: str
    value: str
    noise_float64: float | None = None
    noise_threads: float | None = None
    hint: str = ""
    nan: int = 0
    doubt: str = ""


@dataclass(frozen=True)
class CaseResult:
    """One case on one execution provider; `error` is what the runtime said, if it refused."""

    id: str
    kind: Literal["gated", "edge"]
    batch: int
    axes: Mapping[str, int]
    seed: int
    values: str
    provider: str
    status: Status
    outcome: Literal["compared", "refused", "crashed", "timed-out", "not-run"]
    error: str
    rows: tuple[Parity, ...]


@dataclass(frozen=True)
class Provider:
    """An execution provider of the runtime: `used`, or why not."""

    name: str
    state: Literal["used", "absent", "crashed", "refused", "timed-out"]
    detail: str = ""
    peak_memory_bytes: int | None = None


@dataclass(frozen=True)
class Latency:
    """Milliseconds of the fastest pass of a batch, torch eager and the runtime; their ratio."""

    provider: str
    batch: int
    eager_ms: float
    runtime_ms: float
    ratio: float


@dataclass(frozen=True)
class Task:
    """The task metric of the model against torch's, item by item, as `compare` weighs it."""

    metric: str
    samples: int
    status: Status
    label: str
    baseline: float | None
    candidate: float | None
    change: float | None
    allowed: float
    low: float | None
    high: float | None
    flips: int
    message: str = ""


@dataclass(frozen=True)
class File:
    """A file of the model or of a serving target, relative to the out folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Failure:
    """Why there is no model, where in the user's code, and what the exporter said."""

    kind: str
    message: str
    file: str | None
    line: int | None
    module: str | None
    source: tuple[tuple[int, str], ...]
    log_tail: tuple[str, ...]


@dataclass(frozen=True)
class Serving:
    """The files written for one serving target, relative to the out folder."""

    target: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """All that the report shows. `graph` is None where the file could not be read.

    `files` is empty unless the status is pass or warn: a failed model is not handed out.
    """

    status: Status
    verdict: str
    commit: str
    key: str
    model: Mapping[str, Any]
    precision: str
    quantize: str
    optimize: str
    opset: int
    mode: Mode
    tolerances: Mapping[str, float]
    runtime: str
    files: tuple[File, ...] = ()
    graph: Graph | None = None
    failure: Failure | None = None
    checks: tuple[Check, ...] = ()
    providers: tuple[Provider, ...] = ()
    cases: tuple[CaseResult, ...] = ()
    latency: tuple[Latency, ...] = ()
    latency_note: str = ""
    task: Task | None = None
    serving: tuple[Serving, ...] = ()
    smoke: tuple[Mapping[str, Any], ...] = ()
    findings: tuple[Finding, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return `result.json`."""
        return {"version": 1, "word": "export", **_listed(asdict(self))}


def _listed(value: Any) -> Any:
    """Return tuples as the lists JSON makes of them, so that a render sees one shape only."""
    if isinstance(value, dict):
        return {name: _listed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(item) for item in value]
    return str(value) if isinstance(value, Status) else value
