"""From a study and its curves to everything the report says. No clock, no network."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from mlactions.analyze import findings as notes
from mlactions.analyze import words
from mlactions.analyze.changes import UNCHANGED, Now, changes
from mlactions.analyze.coordinates import coordinates
from mlactions.analyze.model import (
    MAX_FAILED,
    MAX_PARAMETERS,
    MAX_SHOWN_RUNS,
    Analysis,
    Change,
    Configuration,
    Cost,
    Finding,
    Requirement,
    RunCurve,
    RunRow,
)
from mlactions.analyze.observations import (
    Selection,
    configuration,
    params_of,
)
from mlactions.analyze.ranges import Range, range_of
from mlactions.analyze.study import Study
from mlactions.analyze.table import Table
from mlactions.settings import Status

MAX_CONSTANTS = 200
MAX_FINDINGS = 100
MAX_SET_ASIDE = 200


@dataclass(frozen=True)
class _Told:
    """What a report begins with; `broken` are the requirements that do not hold."""

    limits: Range | None
    best: tuple[Configuration, ...]
    counts: Mapping[str, int]
    broken: tuple[str, ...]
    findings: tuple[Finding, ...]


def conclude(
    found: Study,
    curves: Sequence[RunCurve],
    previous: Mapping[str, Any] | None,
    source: Mapping[str, Any],
    *,
    gone: Sequence[str] = (),
) -> Analysis:
    """Return the whole analysis. `previous` is the document of the one before, if there was one.

    `gone` are runs that were deleted before their curves were read.
    """
    settings, table = found.settings, found.table
    told = _told(found, gone)
    moved = None if previous is None else _moved(found, told, previous)
    return Analysis(
        settings=settings,
        status=_status(told),
        verdict=(UNCHANGED if moved == () else "") + _sentence(found, told),
        counts=told.counts,
        configurations=told.best,
        configuration_count=len(found.ranked),
        parameters=found.influence.parameters,
        constants=dict(list(found.view.constants.items())[:MAX_CONSTANTS]),
        set_aside=_set_aside(found),
        limits=told.limits,
        pairs=found.influence.pairs,
        agreement=found.influence.agreement,
        failed=_rows(found, _newest(table, found.selection.failed)),
        running=_rows(found, _newest(table, found.selection.running)),
        curves=tuple(curves),
        cost=cost(table, found.selection, settings.price_per_hour),
        findings=told.findings,
        changes=moved,
        coordinates=_coordinates(found),
        digest=_digest(table),
        source=source,
    )


def _coordinates(found: Study) -> dict[str, Any]:
    always = [(pair.first, pair.second) for pair in found.influence.pairs if pair.kind == "always"]
    parameters, bound = found.influence.parameters, words.together(always)
    return coordinates(found.ranked, found.view.varying, parameters, bound, found.settings)


def _used(found: Study) -> list[float]:
    return [found.table.values[row] for row in found.selection.used]


def _best(found: Study, limits: Range | None) -> list[Configuration]:
    """Return as many of the best as are shown, or as a result holds."""
    shown = max(found.settings.top, min(len(found.ranked), MAX_SHOWN_RUNS))
    varying = found.view.varying[:MAX_PARAMETERS]
    return [
        configuration(rank, one, found.table, varying, limits)
        for rank, one in enumerate(found.ranked[:shown], start=1)
    ]


def _told(found: Study, gone: Sequence[str]) -> _Told:
    settings = found.settings
    limits = range_of(settings.metric, _used(found), settings.declared)
    best, counts = _best(found, limits), _counts(found)
    broken = tuple(text for item in settings.requirements if (text := _unmet(item, found, counts)))
    findings = (*notes.gone(gone), *notes.findings(found, best, counts, broken))
    return _Told(limits, tuple(best), counts, broken, findings[:MAX_FINDINGS])


def _moved(found: Study, told: _Told, previous: Mapping[str, Any]) -> tuple[Change, ...]:
    now = Now(
        found.settings,
        told.counts,
        told.best,
        found.influence.parameters,
        _status(told),
        _sentence(found, told),
        told.findings,
        _digest(found.table),
        frozenset(found.table.ids),
    )
    return changes(previous, now)


def _sentence(found: Study, told: _Told) -> str:
    first = told.best[0] if told.best else None
    parameters = found.influence.parameters
    return words.verdict(found.settings, told.counts, first, parameters, told.broken)


def _set_aside(found: Study) -> dict[str, tuple[str, ...]]:
    """Return the parameters that were not looked at, by why."""
    seen = found.view
    return {
        "seeds": seen.seeds[:MAX_SET_ASIDE],
        "identifiers": seen.identifiers[:MAX_SET_ASIDE],
        "ignored": seen.ignored[:MAX_SET_ASIDE],
        "hidden": seen.hidden[:MAX_SET_ASIDE],
    }


def _status(told: _Told) -> Status:
    levels = {item.level for item in told.findings}
    return Status.FAIL if "fail" in levels else Status.WARN if "warn" in levels else Status.PASS


def _counts(found: Study) -> dict[str, int]:
    selection = found.selection
    return {
        "all": len(found.table),
        "used": len(selection.used),
        "failed": len(selection.failed),
        "running": len(selection.running),
        "stale": len(selection.stale),
        "parents": len(selection.parents),
        "parts": len(selection.parts),
        "without_metric": len(selection.without_metric),
        "not_finite": len(selection.not_finite),
        "constants": len(found.view.constants),
        "varying": len(found.view.varying),
    }


def _newest(table: Table, rows: Sequence[int]) -> list[int]:
    return sorted(rows, key=lambda row: (-table.starts[row], row))[:MAX_FAILED]


def _rows(found: Study, rows: Sequence[int]) -> tuple[RunRow, ...]:
    table, stale = found.table, set(found.selection.stale)
    return tuple(
        RunRow(
            id=table.ids[row],
            name=table.names[row][:200],
            status=table.statuses[row],
            value=table.values[row] if table.has(row) == "finite" else None,
            seconds=table.seconds(row),
            params=params_of(row, found.view.varying[:20]),
            note="died" if row in stale else "",
        )
        for row in rows
    )


def cost(table: Table, selection: Selection, price: float | None) -> Cost:
    """Add up the hours. A run of negative length, by a clock that was wrong, has none."""
    frames = {*selection.parents, *selection.parts}
    rows = [row for row in range(len(table)) if row not in frames]
    known = {row: seconds for row in rows if (seconds := table.seconds(row)) is not None}
    finished = [known[row] for row in selection.used if row in known]
    failed = [known[row] for row in selection.failed if row in known]
    return Cost(
        hours=math.fsum(known.values()) / 3600,
        finished_hours=math.fsum(finished) / 3600,
        failed_hours=math.fsum(failed) / 3600,
        median_seconds=median(finished) if finished else None,
        timed=len(known),
        untimed=len(rows) - len(known) - len(selection.running),
        price_per_hour=price,
    )


def _digest(table: Table) -> str:
    """Return a hash over what was read: the same runs in the same state give the same."""
    lines = sorted(
        f"{run} {status} {value!r} {end}"
        for run, status, value, end in zip(
            table.ids, table.statuses, table.values, table.ends, strict=True
        )
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _unmet(item: Requirement, found: Study, counts: Mapping[str, int]) -> str:
    """Return what is wrong with a requirement, or nothing; what is not known does not hold."""
    failed = counts["failed"] + counts["stale"]  # what died has failed, though nobody told MLflow
    ended = counts["used"] + failed
    known: dict[str, float | None] = {
        "best": found.ranked[0].mean if found.ranked else None,
        "finished": float(counts["used"]),
        "failed": float(failed),
        "failed-share": failed / ended if ended else None,
    }
    value = known[item.name]
    if value is not None and (
        value >= item.limit if item.operator == ">=" else value <= item.limit
    ):
        return ""
    return f"{words.code(item.text)} is required, but {words.actual(item.name, value)}"
