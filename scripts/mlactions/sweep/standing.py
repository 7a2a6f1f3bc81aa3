"""A sweep as it stands: what was generated, and what MLflow says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from mlactions.analyze.words import number
from mlactions.errors import UserError
from mlactions.mlflow_store import Run, Store
from mlactions.schema import validate
from mlactions.settings import Status
from mlactions.sweep.best import best, named, whole
from mlactions.sweep.cli import NOTHING, absolute_uri, ask_mlflow
from mlactions.sweep.cost import Spent, estimate
from mlactions.sweep.folder import locked
from mlactions.sweep.identity import search_hash
from mlactions.sweep.jobs import listed, matrix
from mlactions.sweep.lookup import Known, Reuse, finished_elsewhere, of_any_code, of_trials
from mlactions.sweep.manifest import NAME, Manifest, read_manifest, row_text
from mlactions.sweep.model import Metric, Space
from mlactions.sweep.result import head, space_document
from mlactions.sweep.settings import Settings, read_space, sweep_name
from mlactions.sweep.user.sweep_trials import State, code_version, head_commit
from mlactions.text import plural
from mlactions.values import show

MAX_FAILED = 50
PATIENCE = 120.0
"""Seconds that a command waits for another one on the same sweep."""

_DONE = frozenset({"finished", "running", "failed"})


@dataclass(frozen=True)
class Seen:
    """A sweep as it stands: what was generated, and what MLflow says of it."""

    settings: Settings
    space: Space
    folder: Path
    manifest: Manifest
    known: Known
    lookup: Mapping[str, Any]
    states: Mapping[int, State]
    edited: bool = False
    """Whether the space now says another search than the one that was generated."""

    @property
    def left(self) -> list[int]:
        """The trials that are left to run."""
        return [number for number, state in self.states.items() if state.name not in _DONE]


@contextmanager
def held(settings: Settings, caller: Mapping[str, str]) -> Iterator[Seen]:
    """Look at a sweep and keep other writers away until what comes of it is written."""
    settings = _found(settings)
    space = read_space(settings)
    folder = settings.configs / "sweeps" / sweep_name(settings.name, space)
    if not (folder / NAME).exists():
        read_manifest(folder / NAME)  # says what is missing
    with locked(folder, PATIENCE):
        yield look(settings, caller, space, folder)


def _found(settings: Settings) -> Settings:
    """Return settings with the space that a sweep's manifest names, where the one asked for is not.

    That is the sweep of the name that was given, or the only one there is.
    """
    found = sorted((settings.configs / "sweeps").glob(f"{settings.name or '*'}/{NAME}"))
    if settings.space.exists() or len(found) != 1:
        return settings
    header = read_manifest(found[0]).header
    return replace(settings, space=settings.folder / header["space"]["file"], name=header["sweep"])


def look(settings: Settings, caller: Mapping[str, str], space: Space, folder: Path) -> Seen:
    """Read the sweep's manifest, and ask MLflow about its trials."""
    manifest = read_manifest(folder / NAME)
    header = manifest.header
    edited = search_hash(space) != header["space"]["search"]
    if edited:
        space = replace(space, metric=_metric(header))
    settings = _with(settings, header)
    if not settings.experiment:
        hint = "Name the experiment that the trials are recorded in: `--experiment`."
        raise UserError("bad input", "nothing says where to ask.", hint)
    code = code_version(str(settings.folder), settings.own)
    known, lookup = ask_mlflow(settings, caller, code, space)
    known = known or Known()
    states = {
        trial.number: known.state(trial, space.retry, settings.now_ms)
        for trial in manifest.trials()
    }
    return Seen(settings, space, folder, manifest, known, lookup or NOTHING, states, edited=edited)


def _metric(header: Mapping[str, Any]) -> Metric | None:
    return None if header["metric"] is None else Metric(**header["metric"])


def _with(settings: Settings, header: Mapping[str, Any]) -> Settings:
    """Return settings where the sweep says what the user did not."""
    return replace(
        settings,
        config_name=header["config_name"],
        imports=tuple(header["imports"]),
        experiment=settings.experiment or header["experiment"],
        tracking_uri=settings.tracking_uri or header["tracking_uri"],
        data=settings.data or header["data"],
        across_commits=settings.across_commits or header["reuse_across_commits"],
        files=header["files"],
    )


def rows(seen: Seen) -> Iterator[str]:
    """Yield the manifest's rows with the states as they are now."""
    width = seen.manifest.header["width"]
    for trial in seen.manifest.trials():
        yield row_text(trial, width, seen.states[trial.number].name)


def analysed(seen: Seen, caller: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what `analyze` says of the trials' runs; None where there is no metric to rank by.

    What varies is what the sweep has set: a training need not log it, nor under the same names.
    """
    metric = seen.space.metric
    if metric is None or not any(state.attempts for state in seen.states.values()):
        return None
    from mlactions.analyze.command import analyse
    from mlactions.analyze.model import Settings as AnalyzeSettings
    from mlactions.mlflow_store import open_store

    settings = AnalyzeSettings(
        experiment=seen.settings.experiment,
        metric=metric.name,
        direction="higher" if metric.higher else "lower",
        sweep=seen.manifest.header["sweep"],
        seeds=(seen.space.seed_parameter,),
        day_ms=int(seen.settings.now_ms),
    )
    with open_store(absolute_uri(seen.settings), caller) as store:
        identity = store.experiment(seen.settings.experiment).id
        return analyse(store, settings, None, given=_runs(seen, store, identity))


def _runs(seen: Seen, store: Store, experiment: str) -> Iterator[Run]:
    """Yield the runs that count for the trials, with the parameters of those."""
    trials = {
        attempt.id: row
        for row in seen.manifest.rows
        for attempt in seen.states[row["number"]].attempts
    }
    for run in store.runs([experiment], filter=of_trials()):
        if run.id in trials:
            row = trials[run.id]
            seed = {} if row["seed"] is None else {seen.space.seed_parameter: row["seed"]}
            values = {**row["overrides"], **seed}
            yield replace(run, params={name: show(value) for name, value in values.items()})


def document(
    seen: Seen, kind: str, *, analysis: Mapping[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """Return the result, checked against its schema."""
    space, counts = seen.space, counts_of(seen)
    found = best(seen.manifest, seen.states, space.metric) if space.metric else []
    here = (item for item in seen.manifest.trials() if seen.states[item.number].name != "finished")
    elsewhere = finished_elsewhere(seen.known, here)
    across = seen.settings.across_commits or space.reuse_across_commits
    reuse = Reuse(seen.lookup["code"], seen.settings.data, across)
    warnings = [elsewhere] if elsewhere else []
    if seen.edited:
        text = f"`{space.file}` was edited since: this is about the search as it was generated"
        warnings.append(f"{text}, ranked by its metric.")
    warnings += of_any_code(reuse, counts["states"].get("finished", 0))
    status = Status.WARN if warnings else Status.PASS
    status = Status.FAIL if counts["states"].get("failed") else status
    result = {
        **head(kind, status, _verdict(seen, found), _commit(seen), seen.settings),
        "sweep": seen.manifest.header["sweep"],
        "folder": seen.settings.place(seen.manifest.header["sweep"]),
        "space": space_document(space, seen.settings.space_name),
        "counts": counts,
        "left": listed(seen.left),
        "estimate": asdict(estimate(space, len(seen.left), spent_of(seen))),
        "refused": [],
        "coverage": [],
        "notes": list(space.notes),
        "warnings": warnings,
        "composed": {
            "how": "none",
            "config": seen.settings.config_name,
            "choices": 0,
            "files": 0,
        },
        "backends": ["matrix"],
        "scripts": [],
        "jobs": len(matrix(seen.left, max_jobs=seen.settings.max_jobs)["include"]),
        "lookup": dict(seen.lookup),
        "best": found,
        "failed": list(islice(_failed(seen), MAX_FAILED)),
        "analysis": analysis,
        "proposed": [],
        **changes,
    }
    validate(result, "sweep-result", file="result.json")
    return result


def _failed(seen: Seen) -> Iterator[dict[str, Any]]:
    """Yield the trials that have failed for good, with how the last run of each ended."""
    for row in seen.manifest.rows:
        state = seen.states[row["number"]]
        if state.name == "failed":
            last = max(state.attempts, key=lambda item: item.start_ms)
            yield {
                "trial": row["name"],
                "attempts": len(state.attempts),
                "ended": last.ended,
                "run": last.id,
            }


def spent_of(seen: Seen) -> Spent:
    """Return what the sweep has taken so far."""
    done = {number for number, state in seen.states.items() if state.name in _DONE}
    trials = list(seen.manifest.trials())
    return seen.known.taken(
        (item for item in trials if item.number in done),
        (item for item in trials if item.number not in done),
    )


def _commit(seen: Seen) -> str:
    return head_commit(str(seen.settings.folder))


def counts_of(seen: Seen) -> dict[str, Any]:
    """Return how many trials there are, and in which state."""
    states: dict[str, int] = {}
    for state in seen.states.values():
        states[state.name] = states.get(state.name, 0) + 1
    return {
        "trials": len(seen.manifest.rows),
        "configurations": len({row["hash"] for row in seen.manifest.rows}),
        "left": len(seen.left),
        "states": dict(sorted(states.items())),
    }


def _verdict(seen: Seen, found: list[dict[str, Any]]) -> str:
    name, total = seen.manifest.header["sweep"], len(seen.manifest.rows)
    states = counts_of(seen)["states"]
    text = f"`{name}`: {states.get('finished', 0):,} of {plural(total, 'trial')} finished"
    if states.get("failed"):
        text += f", {states['failed']:,} failed"
    if found and seen.space.metric:
        first, seeds = found[0], len(found[0]["trials"])
        so_far = " so far" if seen.left or states.get("running") else ""
        text += f"; best `{seen.space.metric.name}`{so_far} {number(first['mean'])}"
        if whole(first):
            text += f" over {seeds} seeds ({named(first)})" if seeds > 1 else f" in {named(first)}"
        else:
            text += f" over {seeds} of {first['planned']} seeds ({named(first)})"
    return f"{text}."
