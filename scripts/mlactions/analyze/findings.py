"""What to know before the numbers are believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from mlactions.analyze import words
from mlactions.analyze.model import MAX_PARAMETERS, Configuration, Finding, Level
from mlactions.analyze.study import Study
from mlactions.text import plural

_COVERED = 0.95
_RENAMED_AMONG = 30


def findings(
    found: Study,
    best: Sequence[Configuration],
    counts: Mapping[str, int],
    broken: Sequence[str],
) -> Iterator[Finding]:
    """Yield what is wrong or thin; `broken` are the requirements that do not hold."""
    settings = found.settings
    for text in broken:
        yield Finding("required", "fail", f"{text}.")
    if not best:
        # Runs that go on may still bring a value; otherwise a wrong name must not pass as a check.
        waiting = counts["all"] and counts["running"] == counts["all"]
        level: Level = "warn" if waiting else "fail"
        yield Finding("nothing", level, words.verdict(settings, counts, None, (), ()))
        yield from _other_metrics(found, counts, level)
    yield from _run_findings(found, counts)
    yield from _range_finding(found)
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


def _other_metrics(found: Study, counts: Mapping[str, int], level: Level) -> Iterator[Finding]:
    if counts["all"] and found.settings.metric not in found.table.metric_names:
        known = [name for name, _ in found.table.metric_names.most_common()]
        close = get_close_matches(found.settings.metric, known, 3, 0.5)
        known = [*close, *(name for name in known if name not in close)]
        verb = "is" if len(known) == 1 else "are"
        there = f" There {verb} {words.joined(known, 8)}." if known else " They logged no metric."
        message = f"No run has the metric {words.code(found.settings.metric)}.{there}"
        yield Finding("no-such-metric", level, message)


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


def _range_finding(found: Study) -> Iterator[Finding]:
    """Warn of values that the declared range rules out: one of the two is wrong."""
    declared, settings = found.settings.declared, found.settings
    values = [found.table.values[row] for row in found.selection.used]
    outside = 0 if declared is None else sum(not declared.holds(value) for value in values)
    if outside:
        message = (
            f"{plural(outside, 'run')} of {len(values):,} lie outside of the range that was"
            f" declared for {words.code(settings.metric)}."
        )
        yield Finding("outside-range", "warn", message)


def _parameter_findings(found: Study) -> Iterator[Finding]:
    seen = found.view
    if seen.identifiers:
        verb = "name their runs" if len(seen.identifiers) > 1 else "names its run"
        message = (
            f"{words.joined(seen.identifiers, words.MOST_TOGETHER)} {verb} (values of their own, or"
            " with the seed in them): set aside, so that they part no configuration."
        )
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


def gone(runs: Sequence[str]) -> Iterator[Finding]:
    """Name the runs that were deleted before their curves were read."""
    if runs:
        names = words.joined([run[: words.SHORT_ID] for run in runs])
        message = f"Deleted before the learning curves were read: {names}."
        yield Finding("gone", "warn", message)
