"""A tracking server over its REST interface: no MLflow needed.

Reference: https://mlflow.org/docs/latest/rest-api.html
"""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

from mlactions.mlflow_store import reading
from mlactions.mlflow_store.address import read_address, tls_context
from mlactions.mlflow_store.connection import PIECE, Connection
from mlactions.mlflow_store.model import (
    FIRST_PAGE,
    Artifact,
    Counters,
    Experiment,
    ModelVersion,
    Point,
    Run,
    StoreError,
)
from mlactions.mlflow_store.pages import Pages
from mlactions.mlflow_store.problems import (
    MAX_EXPERIMENTS,
    MISSING,
    Refused,
    deleted,
    missing,
    quoted,
    refusal,
)

API = "/api/2.0/mlflow"
HISTORY_PAGE = 25_000
VERSIONS_PAGE = 200

Result = TypeVar("Result")


class RestStore:
    """The store behind an HTTP address. See `Store` for what each method promises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.uri = connection.address.url
        self.counters: Counters = connection.counters

    @classmethod
    def at(cls, uri: str, environ: Mapping[str, str]) -> RestStore:
        """Return the store at a URI; nothing is sent yet."""
        address = read_address(uri, environ)
        return cls(Connection(address, tls_context(environ) if address.secure else None))

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.close()

    def experiment(self, name_or_id: str) -> Experiment:
        """Return an experiment by its name, or by its id where no experiment has that name."""
        queries = [("get-by-name", {"experiment_name": name_or_id})]
        if name_or_id.isascii() and name_or_id.isdigit():
            queries.append(("get", {"experiment_id": name_or_id}))
        for path, query in queries:
            try:
                answer = self._connection.get(f"{API}/experiments/{path}", **query)
            except Refused as refused:
                if refused.code != MISSING:
                    raise refusal(refused, self.uri) from None
                continue
            found = self._read(lambda data: reading.experiment(data["experiment"]), answer)
            if found.lifecycle == "deleted":
                raise deleted("experiment", name_or_id, self.uri)
            return found
        raise missing("experiment", name_or_id, self.uri, self._experiments())

    def _experiments(self) -> tuple[str, ...]:
        """Return the names of experiments; none where they may not be listed."""
        query = {"max_results": MAX_EXPERIMENTS}
        try:
            answer = self._connection.get(f"{API}/experiments/search", **query)
        except Refused:
            return ()
        return self._read(_names, answer)

    def runs(
        self,
        experiments: Sequence[str],
        filter: str = "",  # noqa: A002  # MLflow's own word
        order: Sequence[str] = (),
        limit: int | None = None,
    ) -> Iterator[Run]:
        """Yield the runs of experiments, by id, that were not deleted; one page at a time.

        Runs that begin while we read would move others to a later page: none is yielded twice.
        """
        body: dict[str, Any] = {
            "experiment_ids": list(experiments),
            "filter": filter,
            "order_by": list(order),
            "max_results": FIRST_PAGE if limit is None else min(limit, FIRST_PAGE),
        }
        seen: set[str] = set()
        pages = Pages(self.uri)
        while limit is None or len(seen) < limit:
            try:
                answer = self._connection.post(f"{API}/runs/search", body)
            except Refused as refused:
                raise refusal(refused, self.uri) from None
            page = self._read(_runs, answer)
            token = _next(answer)
            del answer  # thousands of runs: the next page comes when this one is gone
            before = len(seen)
            body["max_results"] = pages.size_after(page, limit)
            for run in page:
                if run.id not in seen and (limit is None or len(seen) < limit):
                    seen.add(run.id)
                    yield run
            del page
            if not pages.turn(token, fresh=len(seen) > before):
                return
            body["page_token"] = pages.token

    def run(self, run_id: str) -> Run:
        """Return a run; one that was deleted is an error of its own."""
        try:
            answer = self._connection.get(f"{API}/runs/get", run_id=run_id)
        except Refused as refused:
            raise refusal(refused, self.uri, "run", run_id) from None
        found = self._read(lambda data: reading.run(data["run"]), answer)
        if found.lifecycle == "deleted":
            raise deleted("run", run_id, self.uri)
        return found

    def history(self, run_id: str, metric: str) -> tuple[Point, ...]:
        """Return a metric's values in the order of their steps; empty where there are none."""
        query: dict[str, Any] = {"run_id": run_id, "metric_key": metric}
        points: list[Point] = []
        pages = Pages(self.uri)
        while True:
            try:
                answer = self._connection.get(
                    f"{API}/metrics/get-history", **query, max_results=HISTORY_PAGE
                )
            except Refused as refused:
                raise refusal(refused, self.uri, "run", run_id) from None
            points += (page := self._read(_points, answer))
            if not pages.turn(_next(answer), fresh=bool(page)):
                break
            query["page_token"] = pages.token
        if not points:
            self.run(run_id)  # MLflow answers for runs it does not have, too
        return reading.in_order(points)

    def version_by_alias(self, model: str, alias: str) -> ModelVersion:
        """Return the version a registered model's alias points to."""
        try:
            answer = self._connection.get(f"{API}/registered-models/alias", name=model, alias=alias)
        except Refused as refused:
            if refused.code == MISSING:
                raise missing("model", model, self.uri) from None
            raise missing("alias", f"{model}@{alias}", self.uri) from None
        return self._read(lambda data: reading.model_version(data["model_version"]), answer)

    def version(self, model: str, version: str) -> ModelVersion:
        """Return one version of a registered model."""
        try:
            answer = self._connection.get(f"{API}/model-versions/get", name=model, version=version)
        except Refused as refused:
            raise refusal(refused, self.uri, "version", f"{model}/{version}") from None
        return self._read(lambda data: reading.model_version(data["model_version"]), answer)

    def versions(self, model: str, filter: str = "") -> tuple[ModelVersion, ...]:  # noqa: A002
        """Return a registered model's versions, newest first; `filter` narrows them further."""
        condition = f"name={quoted(model)}" + (f" AND {filter}" if filter else "")
        query: dict[str, Any] = {"filter": condition, "max_results": VERSIONS_PAGE}
        found: dict[str, ModelVersion] = {}
        pages = Pages(self.uri)
        while True:
            try:
                answer = self._connection.get(f"{API}/model-versions/search", **query)
            except Refused as refused:
                raise refusal(refused, self.uri) from None
            before = len(found)
            found |= {version.version: version for version in self._read(_versions, answer)}
            if not pages.turn(_next(answer), fresh=len(found) > before):
                return reading.newest_first(found.values())
            query["page_token"] = pages.token

    def artifacts(self, of: Run | ModelVersion, folder: str = "") -> tuple[Artifact, ...]:
        """Return what lies directly below a folder of the artifacts."""
        if isinstance(of, Run):
            return self._listed("artifacts/list", {"run_id": of.id}, "path", folder)
        if of.source.startswith("models:/m-"):
            path = f"logged-models/{of.source.removeprefix('models:/')}/artifacts/directories"
            return self._listed(path, {}, "artifact_directory_path", folder)
        _, separator, below = of.source.partition("/artifacts/")
        if not (separator and of.run_id):
            message = f"the artifacts of version {of.version} of {of.model!r} cannot be listed."
            raise StoreError("no listing", message, state="failed")
        place = f"{below}/{folder}" if folder else below
        return self._listed("artifacts/list", {"run_id": of.run_id}, "path", place, below)

    def _listed(
        self, path: str, query: dict[str, str], name: str, folder: str, below: str = ""
    ) -> tuple[Artifact, ...]:
        try:
            answer = self._connection.get(
                f"{API}/{path}", **query, **({name: folder} if folder else {})
            )
        except Refused as refused:
            raise refusal(refused, self.uri, "run", query.get("run_id", path)) from None
        return self._read(
            lambda data: tuple(reading.artifact(item, below) for item in data.get("files", ())),
            answer,
        )

    def artifact_text(self, of: Run | ModelVersion, path: str, limit: int) -> str | None:
        """Return a text artifact of at most `limit` bytes; None where there is no such file."""
        data = self._artifact(of, path, lambda response: response.read(limit + 1))
        if data is None:
            return None
        if len(data) > limit:
            message = f"the artifact `{path}` has more than {limit:,} bytes."
            raise StoreError("artifact too large", message, state="failed")
        return data.decode(errors="replace")

    def artifact_sha256(self, of: Run | ModelVersion, path: str) -> str | None:
        """Return the SHA-256 of an artifact, read in pieces; None where there is no such file."""
        return self._artifact(of, path, _sha256)

    def _artifact(
        self,
        of: Run | ModelVersion,
        path: str,
        read: Callable[[http.client.HTTPResponse], Result],
    ) -> Result | None:
        """Ask as MLflow's own pages do: the server then fetches it from wherever it is kept."""
        try:
            if isinstance(of, Run):
                return self._connection.download("/get-artifact", read, run_id=of.id, path=path)
            query = {"name": of.model, "version": of.version, "path": path}
            return self._connection.download("/model-versions/get-artifact", read, **query)
        except Refused as refused:
            if refused.code == MISSING:
                return None
            raise refusal(refused, self.uri) from None

    def _read(self, read: Callable[[Any], Result], answer: Any) -> Result:
        """Read an answer; one of another shape was not MLflow's."""
        try:
            return read(answer)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            hint = "Write the address MLflow answers at, with the path it is served under, if any."
            message = f"{self.uri}: its answer has not the form of MLflow's."
            raise StoreError("not an MLflow server", message, hint, state="not-mlflow") from None


def _next(answer: Any) -> str | None:
    return answer.get("next_page_token") or None


def _names(answer: Any) -> tuple[str, ...]:
    return tuple(reading.experiment(item).name for item in answer.get("experiments", ()))


def _runs(answer: Any) -> list[Run]:
    return [reading.run(item) for item in answer.get("runs", ())]


def _points(answer: Any) -> list[Point]:
    return [reading.point(item) for item in answer.get("metrics", ())]


def _versions(answer: Any) -> list[ModelVersion]:
    return [reading.model_version(item) for item in answer.get("model_versions", ())]


def _sha256(response: http.client.HTTPResponse) -> str:
    digest = hashlib.sha256()
    while piece := response.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()
