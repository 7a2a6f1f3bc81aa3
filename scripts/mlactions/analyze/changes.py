"""What is different from the previous analysis of the same experiment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlactions.analyze.model import Change, Configuration, Finding, Parameter, Settings
from mlactions.analyze.words import SHORT_ID, code, number
from mlactions.settings import Status
from mlactions.text import plural

SAME = ("experiment", "metric", "direction", "sweep", "filter")
"""Settings that must be equal for two analyses to be about the same thing."""

UNCHANGED = "No change since the last analysis: "
MOST_NEW = 5

_VERDICTS = {
    "matters": "matters",
    "confounded": "cannot be told apart",
    "follows": "adds nothing of its own",
    "not-shown": "no effect shown",
    "untested": "not tested",
}


@dataclass(frozen=True)
class Now:
    """What an analysis tells, to be held against the one before. `ids` are all runs there are."""

    settings: Settings
    counts: Mapping[str, int]
    best: Sequence[Configuration]
    parameters: Sequence[Parameter]
    status: Status
    sentence: str
    findings: Sequence[Finding]
    digest: str
    ids: Collection[str]


def changes(previous: Mapping[str, Any], now: Now) -> tuple[Change, ...]:
    """Return every difference; none where the same runs are in the same state, and told alike."""
    others = _other_settings(previous, now)
    if others:
        message = f"The previous analysis is about another {' and '.join(others)}: not compared."
        return (Change("incomparable", message),)
    found = [
        *_counted(previous["counts"], now.counts),
        *_best(previous["configurations"], now.best, now.settings, now.ids),
        *_verdicts(previous["parameters"], now.parameters),
        *_told(previous, now),
    ]
    if found or previous["digest"] == now.digest:
        return tuple(found)
    return (Change("state", "Runs changed, and nothing that is told of them."),)


def _other_settings(previous: Mapping[str, Any], now: Now) -> list[str]:
    before = previous["settings"]
    given = {
        **{name: getattr(now.settings, name) for name in SAME},
        "seed parameter": list(now.settings.seeds),
        "rename": dict(now.settings.renames),
        "ignore": list(now.settings.ignore),
    }
    then = {**before, "seed parameter": before["seeds"], "rename": before["renames"]}
    found = [name for name, value in given.items() if then[name] != value]
    declared = None if now.settings.declared is None else now.settings.declared.document()
    limits = previous["range"]
    was = limits if limits and limits["known_by"] == "declared" else None
    return [*found, *(["range"] if was != declared else [])]


def _told(previous: Mapping[str, Any], now: Now) -> Iterator[Change]:
    """Yield what is judged otherwise: requirements may be others, and time alone lets runs die."""
    if previous["status"] != now.status:
        yield Change("status", f"The check was {previous['status']}, and is {now.status} now.")
    sentence = previous["verdict"].removeprefix(UNCHANGED)
    known = {item["message"] for item in previous["findings"]}
    new = [item for item in now.findings if item.message not in known and item.level != "notice"]
    for item in new[:MOST_NEW]:
        yield Change("finding", f"New: {item.message}")
    if not new and previous["status"] == now.status and sentence != now.sentence[:2000]:
        yield Change("verdict", "The verdict is worded otherwise than before.")


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
