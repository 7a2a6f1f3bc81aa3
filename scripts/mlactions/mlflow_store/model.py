"""What the store hands out: plain frozen data, and errors that name the state they found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

from mlactions.errors import UserError

PAGE = 1000
"""Runs per request: a larger page costs memory, a smaller one requests."""

FIRST_PAGE = 10
"""Runs of the first request, which tells how much each of them holds."""

PAGE_VALUES = 100_000
"""Parameters, metrics and tags per request: some runs have thousands, which fill gigabytes."""

PARAM_CHARACTERS = 6000
"""MLflow refuses longer parameter values, or cuts them where it is told to."""

TAG_CHARACTERS = 8000

State = Literal[
    "unreachable",
    "unauthorized",
    "host-refused",
    "not-mlflow",
    "no-experiment",
    "no-run",
    "no-model",
    "no-version",
    "no-alias",
    "deleted",
    "bad-request",
    "no-client",
    "failed",
]
"""Why something could not be read; a reader tells these apart, it never takes one for "nothing"."""


@dataclass(eq=False)
class StoreError(UserError):
    """The store could not be read; `state` says why in one word."""

    state: State = "failed"


@dataclass(frozen=True)
class Experiment:
    """An experiment; `lifecycle` is `active` or `deleted`."""

    id: str
    name: str
    lifecycle: str = "active"
    artifact_uri: str = ""


@dataclass(frozen=True)
class Dataset:
    """A data set that a run logged as its input; `context` is for example `training`."""

    name: str
    digest: str
    source: str = ""
    context: str = ""


@dataclass(frozen=True)
class Run:
    """A run as it was when it was read; times are milliseconds since 1970, None where unknown.

    `metrics` holds each metric's last value, which may be NaN or infinite.
    """

    id: str
    experiment_id: str
    name: str = ""
    status: str = ""
    start_ms: int | None = None
    end_ms: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Dataset, ...] = ()
    artifact_uri: str = ""
    lifecycle: str = "active"

    @property
    def parent_id(self) -> str:
        """The run this one is nested in; empty where there is none."""
        return self.tags.get("mlflow.parentRunId", "")


@dataclass(frozen=True)
class Point:
    """One value of a metric's history."""

    step: int
    value: float
    time_ms: int


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model; `run_id` is empty where no run made it."""

    model: str
    version: str
    run_id: str = ""
    source: str = ""
    status: str = ""
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """A file or folder below a run's or a model version's artifacts; `path` is relative to them."""

    path: str
    is_folder: bool
    bytes: int | None = None


@dataclass
class Counters:
    """What reading has cost so far."""

    requests: int = 0
    seconds: float = 0.0


class Store(Protocol):
    """A tracking server or database, read only. Everything raises StoreError.

    `uri` is safe to show: credentials are left out.
    """

    uri: str
    counters: Counters

    def __enter__(self) -> Self:
        """Return the store."""
        ...

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        ...

    def experiment(self, name_or_id: str) -> Experiment:
        """Return an experiment by its name, or by its id where no experiment has that name."""
        ...

    def runs(
        self,
        experiments: Sequence[str],
        filter: str = "",  # noqa: A002  # MLflow's own word
        order: Sequence[str] = (),
        limit: int | None = None,
    ) -> Iterator[Run]:
        """Yield the runs of experiments, by id, that were not deleted; one page at a time."""
        ...

    def run(self, run_id: str) -> Run:
        """Return a run; one that was deleted is an error of its own."""
        ...

    def history(self, run_id: str, metric: str) -> tuple[Point, ...]:
        """Return a metric's values in the order of their steps; empty where there are none."""
        ...

    def version_by_alias(self, model: str, alias: str) -> ModelVersion:
        """Return the version a registered model's alias points to."""
        ...

    def version(self, model: str, version: str) -> ModelVersion:
        """Return one version of a registered model."""
        ...

    def versions(self, model: str, filter: str = "") -> tuple[ModelVersion, ...]:  # noqa: A002
        """Return a registered model's versions, newest first; `filter` narrows them further."""
        ...

    def artifacts(self, of: Run | ModelVersion, folder: str = "") -> tuple[Artifact, ...]:
        """Return what lies directly below a folder of the artifacts."""
        ...

    def artifact_text(self, of: Run | ModelVersion, path: str, limit: int) -> str | None:
        """Return a text artifact of at most `limit` bytes; None where there is no such file."""
        ...

    def artifact_sha256(self, of: Run | ModelVersion, path: str) -> str | None:
        """Return the SHA-256 of an artifact, read in pieces; None where there is no such file."""
        ...
