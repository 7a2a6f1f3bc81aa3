"""The analysis itself: from the table of runs to everything the report says. No I/O."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from mlactions.analyze import words
from mlactions.analyze.changes import changes
from mlactions.analyze.coordinates import coordinates
from mlactions.analyze.influence import Influence, influence
from mlactions.analyze.model import (
    MAX_FAILED,
    MAX_PARAMETERS,
    MAX_SHOWN_RUNS,
    Analysis,
    Configuration,
    Cost,
    Finding,
    Requirement,
    RunCurve,
    RunRow,
    Settings,
)
from mlactions.analyze.observations import (
    Observation,
    Selection,
    View,
    configuration,
    observations,
    params_of,
    ranked,
    select,
    view,
)
from mlactions.analyze.table import Table
from mlactions.compare.words import plural
from mlactions.settings import Status

MAX_CONSTANTS = 200
MAX_FINDINGS = 100
_COVERED = 0.95
_RENAMED_AMONG = 30


@dataclass(frozen=True)
class Study:
    """Everything that is known before histories are read."""

    settings: Settings
    table: Table
    selection: Selection
    view: View
    ranked: tuple[Observation, ...]
    influence: Influence
    left_out: int


def study(table: Table, settings: Settings) -> Study:
    """Sort the runs, see what varies, put seeds together, and tell what matters."""
    selection = select(table, settings.day_ms)
    seen = view(table, selection.used, settings)
    found = observations(table, selection.used, seen.varying)
    studied = seen.varying[:MAX_PARAMETERS]
    return Study(
        settings,
        table,
        selection,
        seen,
        tuple(ranked(found, settings)),
        influence(found, studied, settings),
        len(seen.varying) - len(studied),
    )


def best_rows(found: Study) -> list[int]:
    """Return the best runs, whose histories are worth reading."""
    rows = [row for one in found.ranked[: found.settings.top] for row in one.rows]
    sign, values = found.settings.sign, found.table.values
    return sorted(rows, key=lambda row: (-sign * values[row], row))[: found.settings.top]


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
    shown = max(settings.top, min(len(found.ranked), MAX_SHOWN_RUNS))
    best = [
        configuration(rank, one, table, found.view.varying[:MAX_PARAMETERS])
        for rank, one in enumerate(found.ranked[:shown], start=1)
    ]
    counts = _counts(found)
    unmet = [_unmet(item, found, counts) for item in settings.requirements]
    broken = [text for text in unmet if text]
    findings = (*_gone(gone), *_findings(found, best, counts, broken))[:MAX_FINDINGS]
    digest = _digest(table)
    parameters = found.influence.parameters
    sentence = words.verdict(settings, counts, best[0] if best else None, parameters, broken)
    moved = None
    if previous is not None:
        moved = changes(
            previous, settings, counts, best, parameters, digest=digest, ids=set(table.ids)
        )
    if moved == ():
        sentence = f"No change since the last analysis: {sentence}"
    return Analysis(
        settings=settings,
        status=_status(broken, findings),
        verdict=sentence,
        counts=counts,
        configurations=tuple(best),
        configuration_count=len(found.ranked),
        parameters=parameters,
        constants=dict(list(found.view.constants.items())[:MAX_CONSTANTS]),
        pairs=found.influence.pairs,
        agreement=found.influence.agreement,
        failed=_rows(found, _newest(table, found.selection.failed)),
        running=_rows(found, _newest(table, found.selection.running)),
        curves=tuple(curves),
        cost=cost(table, found.selection, settings.price_per_hour),
        findings=findings,
        changes=moved,
        coordinates=coordinates(found.ranked, found.view.varying, parameters, settings),
        digest=digest,
        source=source,
    )


def _gone(runs: Sequence[str]) -> Iterator[Finding]:
    if runs:
        names = words.joined([run[: words.SHORT_ID] for run in runs])
        message = f"Deleted before the learning curves were read: {names}."
        yield Finding("gone", "warn", message)


def _status(broken: Sequence[str], findings: Sequence[Finding]) -> Status:
    if broken:
        return Status.FAIL
    return Status.WARN if any(item.level == "warn" for item in findings) else Status.PASS


def _counts(found: Study) -> dict[str, int]:
    selection = found.selection
    return {
        "all": len(found.table),
        "used": len(selection.used),
        "failed": len(selection.failed),
        "running": len(selection.running),
        "stale": len(selection.stale),
        "parents": len(selection.parents),
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
    frames = set(selection.parents)
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
    ended = counts["used"] + counts["failed"]
    known: dict[str, float | None] = {
        "best": found.ranked[0].mean if found.ranked else None,
        "finished": float(counts["used"]),
        "failed": float(counts["failed"]),
        "failed-share": counts["failed"] / ended if ended else None,
    }
    value = known[item.name]
    if value is None:
        return f"{words.code(item.text)}: there is no value"
    holds = value >= item.limit if item.operator == ">=" else value <= item.limit
    return "" if holds else f"{words.code(item.text)}: it is {words.number(value)}"


def _findings(
    found: Study,
    best: Sequence[Configuration],
    counts: Mapping[str, int],
    broken: Sequence[str],
) -> Iterator[Finding]:
    settings = found.settings
    for text in broken:
        yield Finding("required", "fail", f"Required, but not so: {text}.")
    if not best:
        yield Finding("nothing", "warn", words.verdict(settings, counts, None, (), ()))
        yield from _other_metrics(found, counts)
    yield from _run_findings(found, counts)
    if best:
        parameters = found.influence.parameters
        if parameters:
            yield from words.sample_findings(settings, len(found.ranked), parameters)
        elif counts["used"] > 1:
            yield Finding("constant", "warn", "No parameter varies: there is nothing to compare.")
        else:
            yield Finding("one-run", "warn", "One run alone: there is nothing to compare.")
        yield from words.best_finding(best, settings)
    yield from words.pair_findings(found.influence.pairs)
    yield from words.agreement_finding(found.influence.agreement)
    yield from _parameter_findings(found)


def _other_metrics(found: Study, counts: Mapping[str, int]) -> Iterator[Finding]:
    if counts["all"] and found.settings.metric not in found.table.metric_names:
        known = [name for name, _ in found.table.metric_names.most_common(8)]
        there = f" There are {words.joined(known, 8)}." if known else " They logged no metric."
        message = f"No run has the metric {words.code(found.settings.metric)}.{there}"
        yield Finding("no-such-metric", "warn", message)


def _run_findings(found: Study, counts: Mapping[str, int]) -> Iterator[Finding]:
    metric = words.code(found.settings.metric)
    ended = counts["used"] + counts["failed"]
    if counts["failed"] and counts["failed"] > words.FAILED_SHARE * ended and counts["used"]:
        yield Finding(
            "many-failed",
            "warn",
            f"{counts['failed']:,} of {plural(ended, 'run')} that ended failed.",
        )
    if counts["stale"]:
        message = (
            f"{plural(counts['stale'], 'run')} should have ended long ago and probably died:"
            " nobody told MLflow."
        )
        yield Finding("died", "warn", message)
    if counts["not_finite"]:
        message = (
            f"{plural(counts['not_finite'], 'run')} finished with NaN or infinity as {metric}."
        )
        yield Finding("not-finite", "warn", f"{message} They are left out.")
    if counts["without_metric"] and counts["used"]:
        message = f"{plural(counts['without_metric'], 'run')} finished without {metric}."
        yield Finding("without-metric", "notice", f"{message} They are left out.")
    if counts["parents"]:
        message = f"{plural(counts['parents'], 'run')} only hold nested runs and are left out."
        yield Finding("parents", "notice", message)


def _parameter_findings(found: Study) -> Iterator[Finding]:
    seen = found.view
    if seen.identifiers:
        message = f"{words.joined(seen.identifiers)}: texts of their own in each run, left out."
        yield Finding("identifiers", "notice", message)
    if found.left_out:
        message = (
            f"{found.left_out:,} more parameters vary; the {MAX_PARAMETERS} that most runs have"
            " were analysed."
        )
        yield Finding("many-parameters", "warn", message)
    for old, new in _renamed(found):
        yield Finding(
            "renamed",
            "notice",
            f"{words.code(old)} and {words.code(new)} are never in one run, and one of them nearly"
            f" always. If it is a new name, analyse with --rename {words.code(f'{old}={new}')}.",
        )


def _renamed(found: Study) -> Iterator[tuple[str, str]]:
    """Yield parameters that take over from one another, the older one first."""
    rows = found.selection.used
    partial = [item for item in found.view.varying if 1 < item.present < len(rows)]
    for position, first in enumerate(partial[:_RENAMED_AMONG]):
        for second in partial[position + 1 : _RENAMED_AMONG]:
            if first.present + second.present < _COVERED * len(rows) or first.kind != second.kind:
                continue
            mine = [row for row in rows if first.column.at(row) is not None]
            if all(second.column.at(row) is None for row in mine):
                others = [row for row in rows if second.column.at(row) is not None]
                starts = found.table.starts
                older = min(starts[row] for row in mine) <= min(starts[row] for row in others)
                yield (first.name, second.name) if older else (second.name, first.name)
