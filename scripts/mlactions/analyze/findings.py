"""What to know before the numbers are believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from mlactions.analyze import words
from mlactions.analyze.identifiers import is_own_text
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
            f"{plural(counts['not_finite'], 'run')} finished with NaN, infinity or a number beyond"
            f" all use as {metric}."
        )
        yield Finding("not-finite", "warn", f"{message} They are left out.")
    if counts["without_metric"] and counts["used"]:
        message = f"{plural(counts['without_metric'], 'run')} finished without {metric}."
        yield Finding("without-metric", "notice", f"{message} They are left out.")
    if counts["parents"]:
        message = f"{plural(counts['parents'], 'run')} only hold nested runs and are left out."
        yield Finding("parents", "notice", message)
    if counts["parts"]:
        message = f"{plural(counts['parts'], 'run')} only evaluate the run that they are nested in."
        yield Finding("parts", "notice", f"{message} They are left out.")


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
    yield from _repeats(found)
    yield from _own_texts(found)
    if seen.hidden:
        verb = "hold" if len(seen.hidden) > 1 else "holds"
        message = (
            f"{words.joined(seen.hidden, words.MOST_TOGETHER)} {verb} what looks like a secret:"
            " hidden here and not analysed, but whoever reads MLflow sees it."
        )
        yield Finding("hidden", "warn", message)
    if found.table.twice:
        names = words.joined(sorted(found.table.twice), words.MOST_TOGETHER)
        message = f"A run logged {names} twice, spelt otherwise (`a.b`, `a/b`): the first counts."
        yield Finding("twice", "warn", message)
    yield from _no_such_names(found)
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


def _no_such_names(found: Study) -> Iterator[Finding]:
    """Warn of options that name a parameter which no run has: most likely they are misspelt."""
    settings, table = found.settings, found.table
    given = {
        "--seed-params": [name for name in settings.seeds if name not in table.columns],
        "--rename": [name for name in settings.renames if name not in table.logged_names],
        "--ignore": [
            name
            for name in settings.ignore
            if not any(fnmatchcase(column, name) for column in table.columns)
        ],
    }
    for option, names in given.items():
        if names and len(table):
            message = f"No run has a parameter {words.joined(names)}, which {option} names."
            yield Finding("no-such-parameter", "warn", message)


def _repeats(found: Study) -> Iterator[Finding]:
    """Warn where runs count as repeats, though nothing says what they were repeated with."""
    together = [one for one in found.ranked if one.seeds is None and len(one.rows) > 1]
    if not together:
        return
    count = plural(sum(len(one.rows) for one in together), "run")
    aside = found.view.identifiers
    but = f" but {words.joined(aside, words.MOST_TOGETHER)}" if aside else ""
    yield Finding(
        "unknown-seeds",
        "warn" if aside else "notice",
        f"{count} differ in no parameter{but} and log no seed: they are taken for repeats of"
        f" {plural(len(together), 'configuration')}. Log a parameter `seed`, and whatever differs.",
    )


def _own_texts(found: Study) -> Iterator[Finding]:
    """Name the parameters because of which no two runs are repeats of each other."""
    rows = found.selection.used
    names = [item.name for item in found.view.varying if is_own_text(item.column, rows)]
    if names:
        verb = "have" if len(names) > 1 else "has"
        yield Finding(
            "own-texts",
            "notice",
            f"{words.joined(names, words.MOST_TOGETHER)} {verb} a text of its own in nearly every"
            " run, so that no two runs are repeats of one configuration. Where it does not say how"
            f" a run was configured, analyse with --ignore {words.code(names[0])}.",
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
