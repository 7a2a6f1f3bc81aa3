"""What is different from the previous analysis of the same experiment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from mlactions.analyze.model import Change, Configuration, Parameter, Settings
from mlactions.analyze.words import SHORT_ID, code, number
from mlactions.text import plural

SAME = ("experiment", "metric", "direction", "sweep", "filter")
"""Settings that must be equal for two analyses to be about the same thing."""

_VERDICTS = {
    "matters": "matters",
    "confounded": "cannot be told apart",
    "follows": "adds nothing of its own",
    "not-shown": "no effect shown",
    "untested": "not tested",
}


def changes(
    previous: Mapping[str, Any],
    settings: Settings,
    counts: Mapping[str, int],
    best: Sequence[Configuration],
    parameters: Sequence[Parameter],
    *,
    digest: str,
    ids: Collection[str],
) -> tuple[Change, ...]:
    """Return every difference; none where the same runs are in the same state."""
    before = previous["settings"]
    others = [name for name in SAME if before[name] != getattr(settings, name)]
    if others:
        message = f"The previous analysis is about another {' and '.join(others)}: not compared."
        return (Change("incomparable", message),)
    if previous["digest"] == digest:
        return ()
    found = [
        *_counted(previous["counts"], counts),
        *_best(previous["configurations"], best, settings, ids),
        *_verdicts(previous["parameters"], parameters),
    ]
    return tuple(found) or (Change("state", "Runs changed, and nothing that is told of them."),)


def _counted(before: Mapping[str, int], now: Mapping[str, int]) -> Iterator[Change]:
    for name, noun in (("used", "finished run"), ("failed", "failed run"), ("running", "running")):
        difference = now[name] - before[name]
        if difference:
            amount = abs(difference)
            text = f"{amount:,} {noun}" if name == "running" else plural(amount, noun)
            message = f"{text} {'more' if difference > 0 else 'fewer'}, now {now[name]:,}."
            yield Change(f"count-{name}", message)


def _best(
    before: Sequence[Mapping[str, Any]],
    now: Sequence[Configuration],
    settings: Settings,
    ids: Collection[str],
) -> Iterator[Change]:
    if not before:
        return
    old = before[0]
    gone = [run for run in old["runs"] if run not in ids]
    if gone:
        yield Change("gone", f"Run {gone[0]} of the former best is gone.")
    if now and now[0].mean != old["mean"]:
        sign = "better" if settings.sign * (now[0].mean - old["mean"]) > 0 else "worse"
        message = (
            f"Best {code(settings.metric)}: {number(old['mean'])} before, now"
            f" {number(now[0].mean)} in run {code(now[0].runs[0][:SHORT_ID])}, {sign}."
        )
        yield Change("best", message)


def _verdicts(before: Sequence[Mapping[str, Any]], now: Sequence[Parameter]) -> Iterator[Change]:
    old = {item["name"]: item["verdict"] for item in before}
    for item in now:
        if item.name not in old:
            yield Change("parameter", f"{code(item.name)} varies now.")
        elif old[item.name] != item.verdict:
            then = _VERDICTS.get(old[item.name], "unknown")
            message = f"{code(item.name)}: {then} before, now {_VERDICTS[item.verdict]}."
            yield Change("parameter", message)
