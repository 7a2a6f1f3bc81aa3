"""What differs from the last good run: settings, code, data, packages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlactions.compare.rules import Git
from mlactions.confidential import shown
from mlactions.diagnose.model import Against, Change, Training
from mlactions.diagnose.roles import direction_of, roles_of
from mlactions.diagnose.sources import read_mlflow
from mlactions.drift.packages import same_version
from mlactions.errors import UserError
from mlactions.mlflow_store import Run, Store
from mlactions.text import plural
from mlactions.values import match, parse, show

LAST_GOOD = "last-good"
MAX_SEARCHED = 200
MANY = 2.0
MAX_FILES = 40
MAX_VALUE = 200
MAX_DIFF_BYTES = 20_000
MAX_DIFF_LINES = 300
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def against(store: Store, training: Training, wanted: str, metric: str, git: Git) -> Against:
    """Return the differences to a run: `last-good`, or `run:ID`."""
    if wanted.startswith("run:"):
        other = read_mlflow(store, wanted.removeprefix("run:"))
    elif wanted == LAST_GOOD:
        found, why = _last_good(store, training, metric)
        if found is None:
            return Against(why=why)
        other = read_mlflow(store, found.id)
    else:
        hint = "Write `last-good` or `run:ID`."
        raise UserError("bad input", f"`against` is {wanted!r}.", hint)
    differences = compare(training, other, git)
    return replace(differences, name=_told(store.run(other.name), metric))


def _told(run: Run, metric: str) -> str:
    """Return what a person knows a run by: its name, its day, its score."""
    roles = roles_of(run.metrics)
    score = metric or roles.held_out_score or roles.held_out_loss
    day = (
        datetime.fromtimestamp(run.start_ms / 1000, UTC).date().isoformat() if run.start_ms else ""
    )
    value = f"{score} {run.metrics[score]:.6g}" if score in run.metrics else ""
    return ", ".join(part for part in (run.name, day, value) if part)


def _last_good(store: Store, training: Training, metric: str) -> tuple[Run | None, str]:
    """Return the newest run before this one that finished with finite metrics, and did better."""
    own = store.run(training.name)
    score = metric or roles_of(own.metrics).held_out_score or roles_of(own.metrics).held_out_loss
    earlier = store.runs([own.experiment_id], "attributes.status = 'FINISHED'", ["start_time DESC"])
    searched = 0
    for run in earlier:
        if run.id == own.id or (run.start_ms or 0) > (own.start_ms or 0):
            continue
        searched += 1
        if searched > MAX_SEARCHED:
            break
        if _is_good(run, own, score):
            return run, ""
    if not searched:
        return None, "no earlier run of its experiment finished"
    count = plural(min(searched, MAX_SEARCHED), "earlier run")
    return None, f"of {count} that finished, none was better in `{score or 'any metric'}`"


def _is_good(run: Run, own: Run, score: str) -> bool:
    if not run.metrics or not all(map(math.isfinite, run.metrics.values())):
        return False
    if not score:
        return True
    theirs, ours = run.metrics.get(score), own.metrics.get(score)
    if theirs is None:
        return False
    if ours is None or not math.isfinite(ours):
        return True
    return theirs > ours if direction_of(score) == "higher" else theirs < ours


def compare(training: Training, other: Training, git: Git) -> Against:
    """Return what differs between two runs."""
    settings = tuple(_settings(training.params, other.params))
    shared = [key for key in training.params if key in other.params]
    changes = (
        *settings,
        *_data(training.data, other.data),
        *_code(training.commit, other.commit, git),
        *_packages(training.environment, other.environment),
    )
    same = len(shared) - sum(key in {change.name for change in settings} for key in shared)
    return Against(other.name, "", changes, same)


def _settings(here: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[Change]:
    for key in sorted({*here, *there}):
        if key in here and key in there:
            found = match(here[key], there[key])
            if found == "same":
                continue
            known = {"beyond": "cut by MLflow", "order": "another order"}
            note = known.get(found, "") or _times(here[key], there[key])
        else:
            note = "only here" if key in here else "only there"
        ours = _shown(key, here[key]) if key in here else ""
        theirs = _shown(key, there[key]) if key in there else ""
        yield Change("setting", key, ours, theirs, note)


def _times(here: Any, there: Any) -> str:
    """Say how many times as large a number is, where that is worth a word."""
    ours, theirs = (parse(value) if isinstance(value, str) else value for value in (here, there))
    for value in (ours, theirs):
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            return ""
    larger = max(ours, theirs) / min(ours, theirs)
    if not math.isfinite(larger) or larger < MANY:
        return ""
    return f"{larger:,.3g} times {'as large' if ours > theirs else 'smaller'}"


def shown_settings(params: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as text, by name; what a name calls secret stays hidden."""
    return {key: _shown(key, params[key]) for key in sorted(params)}


def _shown(name: str, value: Any) -> str:
    text = shown(name, value if isinstance(value, str) else show(value))
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def _data(here: Mapping[str, str], there: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*here} & {*there}):
        if here[name] != there[name]:
            yield Change("data", name, here[name], there[name])


def _code(here: str, there: str, git: Git) -> Iterator[Change]:
    """Say which files changed between the two commits, where this clone has both."""
    if here == there:
        return
    if not (_COMMIT.fullmatch(here) and _COMMIT.fullmatch(there)):
        yield Change("code", "commit", here, there, "one of them logged no commit")
        return
    listed = git("diff", "--name-only", "--no-renames", "-z", there, here, "--")
    if listed.returncode:
        yield Change("code", "commit", here, there, "this clone lacks one of the commits")
        return
    names = tuple(sorted(n for n in listed.stdout.decode(errors="replace").split("\0") if n))
    note = f"{plural(len(names), 'file')} changed"
    diff = git(
        "diff", "--no-color", "--no-ext-diff", "--no-renames", "--unified=1", there, here, "--"
    )
    yield Change("code", "commit", here, there, note, names[:MAX_FILES], _cut(diff.stdout))


def _cut(diff: bytes) -> str:
    """Return the first lines of a diff as text."""
    lines = diff[:MAX_DIFF_BYTES].decode("utf-8", "replace").splitlines()
    more = len(lines) > MAX_DIFF_LINES or len(diff) > MAX_DIFF_BYTES
    return "\n".join([*lines[:MAX_DIFF_LINES], *(["… and more"] if more else [])])


def _packages(here: Mapping[str, str], there: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*here} & {*there}):
        if not same_version(here[name], there[name]):
            yield Change("package", name, here[name], there[name])
