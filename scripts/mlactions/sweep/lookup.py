"""What MLflow knows of a sweep's trials, in pages of a thousand runs, not a request per trial."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from mlactions import mlflow_tags
from mlactions.errors import UserError
from mlactions.mlflow_store import Run, Store
from mlactions.sweep.cost import Spent
from mlactions.sweep.model import Trial
from mlactions.sweep.user.sweep_trials import Attempt, State, shown_version, state_of
from mlactions.text import plural

HASH_PREFIX = "sha256:"
_MS_PER_HOUR = 3_600_000


@dataclass(frozen=True)
class Reuse:
    """What makes a result the result of a trial, beside configuration and seed."""

    commit: str
    data: str = ""
    across_commits: bool = False

    def takes(self, run: Run) -> bool:
        """Tell whether a run is of this code and this data."""
        same_code = self.across_commits or run.tags.get(mlflow_tags.COMMIT, "") == self.commit
        return same_code and run.tags.get(mlflow_tags.DATA, "") == self.data

    def is_of_other_code(self, run: Run) -> bool:
        """Tell whether a run that finished would count, were it of this code."""
        attempt = _attempt(run, "")
        return attempt.finished and run.tags.get(mlflow_tags.DATA, "") == self.data


@dataclass
class Known:
    """The attempts at each configuration and seed, the values, and how long finished ones took."""

    attempts: dict[tuple[str, str], list[Attempt]] = field(default_factory=dict)
    finished: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    """Hours of each run that finished."""

    spent: dict[tuple[str, str], float] = field(default_factory=dict)
    """Hours of all runs that the sweep itself started."""

    elsewhere: dict[tuple[str, str], str] = field(default_factory=dict)
    """The commit of a run of other code that finished."""

    def state(self, trial: Trial, retry: int, now_ms: float) -> State:
        """Return what MLflow says of a trial."""
        return state_of(self.attempts.get(key_of(trial), ()), retry, now_ms)

    def taken(self, done: Iterable[Trial], left: Iterable[Trial]) -> Spent:
        """Return what a sweep has taken, of whose trials some need no run any more."""
        finished, others = list(map(key_of, done)), list(map(key_of, left))
        hours = [one for key in (*finished, *others) for one in self.finished.get(key, ())]
        return Spent(
            trials=sum(key in self.spent for key in finished),
            running=sum(self._runs(key) for key in finished),
            hours=math.fsum(self.spent.get(key, 0.0) for key in (*finished, *others)),
            runs=len(hours),
            median=median(hours) if hours else None,
        )

    def has(self, key: tuple[str, str]) -> bool:
        """Tell whether there are runs of a trial, of whatever code."""
        return key in self.attempts or key in self.spent

    def _runs(self, key: tuple[str, str]) -> bool:
        attempts = self.attempts.get(key, ())
        return not any(item.finished for item in attempts) and any(
            item.status in {"RUNNING", "SCHEDULED"} for item in attempts
        )


def key_of(trial: Trial) -> tuple[str, str]:
    """Return a trial's configuration and seed as the tags of its runs have them."""
    return f"{HASH_PREFIX}{trial.hash}", "" if trial.seed is None else str(trial.seed)


def of_trials() -> str:
    """Return what MLflow is asked for to get the runs of trials alone."""
    return f"tags.`{mlflow_tags.CONFIG_HASH}` LIKE '{HASH_PREFIX}%'"


def look_up(
    store: Store, experiment: str, reuse: Reuse, metric: str = "", sweep: str = ""
) -> Known:
    """Read all runs that may be reused. No such experiment yet means that nothing has run."""
    from mlactions.mlflow_store import StoreError

    try:
        identity = store.experiment(experiment).id
    except StoreError as error:
        if error.state == "no-experiment":
            return Known()
        raise
    known = Known()
    for run in store.runs([identity], filter=of_trials()):
        key = (run.tags[mlflow_tags.CONFIG_HASH], run.tags.get(mlflow_tags.SEED, ""))
        if run.tags.get(mlflow_tags.SWEEP) == sweep:  # whatever code it ran with
            known.spent[key] = known.spent.get(key, 0.0) + (_hours(run) or 0.0)
        if reuse.takes(run):
            _note(known, key, run, metric)
        elif reuse.is_of_other_code(run):
            known.elsewhere[key] = run.tags.get(mlflow_tags.COMMIT, "")
    return known


def finished_elsewhere(known: Known, trials: Iterable[Trial]) -> str:
    """Return a sentence about trials that are left here and finished at another commit, if any."""
    found = [known.elsewhere[key] for trial in trials if (key := key_of(trial)) in known.elsewhere]
    if not found:
        return ""
    commits = sorted({f"`{shown_version(commit)}`" for commit in found})
    where = "another commit" if len(commits) == 1 else "other commits"
    text = f"{plural(len(found), 'trial')} finished at {where} ({', '.join(commits[:3])})"
    return f"{text}; `--reuse-across-commits` takes them."


def of_any_code(reuse: Reuse, finished: int) -> list[str]:
    """Return a sentence where results count and nobody can tell which code they are of."""
    if reuse.commit or reuse.across_commits or not finished:
        return []
    text = f"{plural(finished, 'finished trial')} may be of other code: there is no git repository"
    return [f"{text} to tell by."]


def _attempt(run: Run, metric: str) -> Attempt:
    ended = run.tags.get(mlflow_tags.ENDED, "")
    return Attempt(run.status, run.start_ms or 0, ended, run.id, run.metrics.get(metric))


def _note(known: Known, key: tuple[str, str], run: Run, metric: str) -> None:
    attempt = _attempt(run, metric)
    known.attempts.setdefault(key, []).append(attempt)
    hours = _hours(run)
    if attempt.finished and hours is not None:
        known.finished.setdefault(key, []).append(hours)


def _hours(run: Run) -> float | None:
    """Return how long a run took; None where MLflow does not say, as of one that runs."""
    if not (run.start_ms and run.end_ms and run.end_ms > run.start_ms):
        return None
    return (run.end_ms - run.start_ms) / _MS_PER_HOUR


def counted(state: State) -> Attempt | None:
    """Return a finished trial's last run that has the metric."""
    known = [item for item in state.attempts if item.finished and item.value is not None]
    return known[-1] if known else None


def value_of(state: State) -> float | None:
    """Return the metric of that run."""
    found = counted(state)
    return found.value if found else None


def check_data(text: str) -> str:
    """Return a data version that a tag can hold and a filter can ask for."""
    limit = 200
    if len(text) > limit or "'" in text or not text.isprintable():
        hint = f"Write a version or a hash of at most {limit} characters, without quotes."
        raise UserError("bad input", f"`data-version` is {text[:50]!r}.", hint)
    return text
