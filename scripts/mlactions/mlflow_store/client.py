"""Every store that is not HTTP, through MLflow's own client: databases, Databricks, folders."""

from __future__ import annotations

import posixpath
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import methodcaller
from pathlib import Path
from typing import Any, Self, TypeVar

from mlactions.bundle import digest
from mlactions.mlflow_store import reading
from mlactions.mlflow_store.model import (
    FIRST_PAGE,
    Artifact,
    Counters,
    Dataset,
    Experiment,
    ModelVersion,
    Point,
    Run,
    StoreError,
)
from mlactions.mlflow_store.opening import connect, shown, translated
from mlactions.mlflow_store.pages import Pages
from mlactions.mlflow_store.problems import (
    MAX_EXPERIMENTS,
    Refused,
    deleted,
    missing,
    quoted,
    refusal,
)

Result = TypeVar("Result")

VERSIONS_PAGE = 200


class ClientStore:
    """The store behind any URI that MLflow's client knows. See `Store` for the promises."""

    def __init__(self, uri: str, client: Callable[[], Any]) -> None:
        self.uri = shown(uri)
        self.counters = Counters()
        self._connect = client

    @classmethod
    def at(cls, uri: str, environ: Mapping[str, str]) -> ClientStore:
        """Return the store at a URI; MLflow is imported with the first question."""
        return cls(uri, lambda: connect(uri, environ))

    @cached_property
    def _client(self) -> Any:
        return self._connect()

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the client closes what it opens."""

    def experiment(self, name_or_id: str) -> Experiment:
        """Return an experiment by its name, or by its id where no experiment has that name."""
        found = self._ask(lambda client: client.get_experiment_by_name(name_or_id))
        if found is None and name_or_id.isascii() and name_or_id.isdigit():
            found = self._ask(
                lambda client: client.get_experiment(name_or_id), "experiment", name_or_id
            )
        if found is None:
            raise missing("experiment", name_or_id, self.uri, self._experiments())
        if found.lifecycle_stage == "deleted":
            raise deleted("experiment", name_or_id, self.uri)
        return Experiment(
            str(found.experiment_id), found.name, found.lifecycle_stage, found.artifact_location
        )

    def _experiments(self) -> tuple[str, ...]:
        """Return the names of experiments; none where they may not be listed."""
        search = methodcaller("search_experiments", max_results=MAX_EXPERIMENTS)
        try:
            return tuple(item.name for item in self._ask(search))
        except StoreError:
            return ()

    def runs(
        self,
        experiments: Sequence[str],
        filter: str = "",  # noqa: A002  # MLflow's own word
        order: Sequence[str] = (),
        limit: int | None = None,
    ) -> Iterator[Run]:
        """Yield the runs of experiments, by id, that were not deleted; one page at a time."""
        seen: set[str] = set()
        pages = Pages(self.uri)
        size = FIRST_PAGE if limit is None else min(limit, FIRST_PAGE)
        while limit is None or len(seen) < limit:
            page = self._ask(
                methodcaller(
                    "search_runs",
                    list(experiments),
                    filter,
                    max_results=size,
                    order_by=list(order),
                    page_token=pages.token,
                )
            )
            before = len(seen)
            runs, token = [_run(item) for item in page], page.token
            size = pages.size_after(runs, limit)
            del page  # the client's own runs take far more than ours
            for run in runs:
                if run.id not in seen and (limit is None or len(seen) < limit):
                    seen.add(run.id)
                    yield run
            del runs
            if not pages.turn(token, fresh=len(seen) > before):
                return

    def run(self, run_id: str) -> Run:
        """Return a run; one that was deleted is an error of its own."""
        found = _run(self._ask(lambda client: client.get_run(run_id), "run", run_id))
        if found.lifecycle == "deleted":
            raise deleted("run", run_id, self.uri)
        return found

    def history(self, run_id: str, metric: str) -> tuple[Point, ...]:
        """Return a metric's values in the order of their steps; empty where there are none."""
        found = self._ask(lambda client: client.get_metric_history(run_id, metric), "run", run_id)
        if not found:
            self.run(run_id)  # MLflow answers for runs it does not have, too
        return reading.in_order(
            Point(item.step, reading.number(item.value), item.timestamp) for item in found
        )

    def version_by_alias(self, model: str, alias: str) -> ModelVersion:
        """Return the version a registered model's alias points to."""
        try:
            found = self._ask(
                lambda client: client.get_model_version_by_alias(model, alias), "model", model
            )
        except StoreError as error:
            if error.state == "bad-request":
                raise missing("alias", f"{model}@{alias}", self.uri) from None
            raise
        return _version(found)

    def version(self, model: str, version: str) -> ModelVersion:
        """Return one version of a registered model."""
        name = f"{model}/{version}"
        return _version(
            self._ask(lambda client: client.get_model_version(model, version), "version", name)
        )

    def versions(self, model: str, filter: str = "") -> tuple[ModelVersion, ...]:  # noqa: A002
        """Return a registered model's versions, newest first; `filter` narrows them further."""
        condition = f"name={quoted(model)}" + (f" AND {filter}" if filter else "")
        found: dict[str, ModelVersion] = {}
        pages = Pages(self.uri)
        while True:
            page = self._ask(
                methodcaller(
                    "search_model_versions",
                    condition,
                    max_results=VERSIONS_PAGE,
                    page_token=pages.token,
                )
            )
            before = len(found)
            found |= {str(item.version): _version(item) for item in page}
            if not pages.turn(page.token, fresh=len(found) > before):
                return reading.newest_first(found.values())

    def artifacts(self, of: Run | ModelVersion, folder: str = "") -> tuple[Artifact, ...]:
        """Return what lies directly below a folder of the artifacts."""
        entries = self._ask(lambda client: _repository(client, of).list_artifacts(folder or None))
        return tuple(Artifact(item.path, item.is_dir, item.file_size) for item in entries)

    def artifact_text(self, of: Run | ModelVersion, path: str, limit: int) -> str | None:
        """Return a text artifact of at most `limit` bytes; None where there is no such file."""

        def read(file: Path) -> str:
            if file.stat().st_size > limit:
                message = f"the artifact `{path}` has more than {limit:,} bytes."
                raise StoreError("artifact too large", message, state="failed")
            return file.read_text(encoding="utf-8", errors="replace")

        return self._artifact(of, path, read)

    def artifact_sha256(self, of: Run | ModelVersion, path: str) -> str | None:
        """Return the SHA-256 of an artifact, read in pieces; None where there is no such file."""
        return self._artifact(of, path, digest)

    def _artifact(
        self, of: Run | ModelVersion, path: str, read: Callable[[Path], Result]
    ) -> Result | None:
        # Storages disagree about how a missing file is told; they agree about listings.
        listed = self.artifacts(of, posixpath.dirname(path))
        if all(item.path != path or item.is_folder for item in listed):
            return None
        with tempfile.TemporaryDirectory(prefix="mlactions-") as folder:
            place = self._ask(
                lambda client: _repository(client, of).download_artifacts(path, folder)
            )
            return read(Path(place))

    def _ask(self, question: Callable[[Any], Any], kind: str = "", name: str = "") -> Any:
        """Ask the client one thing; whatever it raises becomes a StoreError."""
        client = self._client
        self.counters.requests += 1
        began = time.perf_counter()
        try:
            with translated(self.uri):
                return question(client)
        except Refused as refused:
            raise refusal(refused, self.uri, kind, name) from None
        finally:
            self.counters.seconds += time.perf_counter() - began


def _repository(client: Any, of: Run | ModelVersion) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    if isinstance(of, Run):
        return get_artifact_repository(of.artifact_uri)
    return get_artifact_repository(client.get_model_version_download_uri(of.model, of.version))


def _run(found: Any) -> Run:
    info, data = found.info, found.data
    return Run(
        id=info.run_id,
        experiment_id=str(info.experiment_id),
        name=info.run_name or "",
        status=info.status,
        start_ms=info.start_time,
        end_ms=info.end_time,
        params=dict(data.params),
        metrics={name: reading.number(value) for name, value in data.metrics.items()},
        tags=dict(data.tags),
        inputs=tuple(map(_dataset, found.inputs.dataset_inputs if found.inputs else ())),
        artifact_uri=info.artifact_uri or "",
        lifecycle=info.lifecycle_stage,
    )


def _dataset(found: Any) -> Dataset:
    context = {tag.key: tag.value for tag in found.tags}.get("mlflow.data.context", "")
    dataset = found.dataset
    return Dataset(dataset.name, dataset.digest, dataset.source or "", context)


def _version(found: Any) -> ModelVersion:
    return ModelVersion(
        model=found.name,
        version=str(found.version),
        run_id=found.run_id or "",
        source=found.source or "",
        status=found.status or "",
        aliases=tuple(found.aliases or ()),
        tags=dict(found.tags or {}),
    )
