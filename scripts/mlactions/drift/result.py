"""The verdict, and the result as JSON: everything the report shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from mlactions.drift.model import (
    Candidate,
    Deployed,
    Finding,
    Kind,
    Level,
    Row,
    Settings,
    Verdict,
)
from mlactions.drift.places import is_place
from mlactions.settings import Status
from mlactions.text import plural

MAX_SENTENCE = 600
NAMED = 3
COMPARED = frozenset({"drift", "order", "location", "same", "beyond"})
KINDS: Mapping[Kind, str] = {
    "parameter": "setting",
    "code": "commit",
    "package": "package",
    "data": "data set",
    "model-file": "model file",
}
_RANK: Mapping[Level, int] = {"fail": 0, "warn": 1, "notice": 2, "none": 3}
_STATES = {"drift": 0, "order": 1, "location": 2, "beyond": 3, "unknown": 4, "only-logged": 5}


@dataclass(frozen=True)
class Context:
    """Where the configuration, the rules and the deployed run came from."""

    config: Mapping[str, Any]
    rules: Mapping[str, Any]
    tracking: str
    commit: str = ""
    deployed: Deployed | None = None
    candidates: tuple[Candidate, ...] = ()


def judge(rows: Sequence[Row], deployed: Deployed) -> Verdict:
    """Return what the rows come to. Nothing compared is a failure, never "no drift"."""
    findings = list(_about_run(deployed))
    ordered = tuple(sorted(rows, key=_severity))
    parameters = [row for row in rows if row.kind == "parameter"]
    state = "compared"
    if not any(row.state in COMPARED for row in parameters):
        state = "nothing-compared"
        count = sum(row.state == "unknown" for row in parameters)
        why = f"the run logged none of the {plural(count, 'setting')}."
        if not deployed.params:
            why = "the deployed run logged no parameters."
        elif not count:
            why = "the rules ignore every setting."
        findings.insert(0, Finding("nothing-compared", "fail", f"Nothing was compared: {why}"))
    levels = {row.level for row in ordered} | {finding.level for finding in findings}
    status = Status.FAIL if "fail" in levels else Status.WARN if "warn" in levels else Status.PASS
    return Verdict(status, state, ordered, tuple(findings))


def _about_run(deployed: Deployed) -> list[Finding]:
    run = deployed.run
    if run.status in {"FINISHED", ""}:
        return []
    message = f"The deployed run `{run.id}` did not finish: its status is `{run.status}`."
    return [Finding("run-not-finished", "warn", message)]


def undetermined(state: str, message: str) -> Verdict:
    """Return the verdict where there was nothing to compare with."""
    return Verdict(Status.FAIL, state, (), (Finding(state, "fail", message),))


def _severity(row: Row) -> tuple[int, int, int, bool]:
    """Put what makes another model before what only runs it elsewhere."""
    return (
        _RANK[row.level],
        list(KINDS).index(row.kind),
        _STATES.get(row.state, 9),
        is_place(row.name, row.current, row.logged),
    )


def document(verdict: Verdict, settings: Settings, context: Context) -> dict[str, Any]:
    """Return `result.json`."""
    return {
        "version": 1,
        "word": "drift",
        "status": str(verdict.status),
        "verdict": sentence(verdict, context),
        "commit": context.commit,
        "key": settings.key,
        "state": verdict.state,
        "config": dict(context.config),
        "rules": dict(context.rules),
        "tracking": context.tracking,
        "selector": str(settings.selector),
        "deployed": _deployed(context.deployed, context.tracking) if context.deployed else None,
        "candidates": [_candidate(item) for item in context.candidates],
        "counts": dict(sorted(Counter(row.state for row in verdict.rows).items())),
        "rows": [{**asdict(row), "details": list(row.details)} for row in verdict.rows],
        "findings": [asdict(finding) for finding in verdict.findings],
    }


def sentence(verdict: Verdict, context: Context) -> str:
    """Return the verdict in one sentence: the worst of it, or what was compared."""
    if context.deployed is None:
        return _cut(f"Drift is unknown: {verdict.findings[0].message}".replace("`", ""))
    run = f"the deployed run {context.deployed.run.id[:8]}"
    findings = [item for item in verdict.findings if item.level == "fail"]
    if findings:
        return _cut(findings[0].message.replace("`", ""))
    for level, word in (("fail", "drifted from"), ("warn", "may have drifted from")):
        rows = [row for row in verdict.rows if row.level == level]
        if rows:
            return _cut(f"{_counted(rows)} {word} {run}: {_named(rows)}.{_warned(verdict, level)}")
    if verdict.status is Status.WARN:
        return _cut(verdict.findings[0].message.replace("`", ""))
    return _no_drift(verdict, run)


def _no_drift(verdict: Verdict, run: str) -> str:
    """Say what is as in the run, and what the rules only take notice of."""
    same = [row for row in verdict.rows if row.state in {"same", "beyond"}]
    other = [row for row in verdict.rows if row.state in {"drift", "order", "location"}]
    unknown = [row for row in verdict.rows if row.state == "unknown" and row.kind == "parameter"]
    more = f" {plural(len(unknown), 'setting')} could not be compared." if unknown else ""
    if other:
        differ = "differs" if len(other) == 1 else "differ"
        more = f" {_capital(_counted(other))} {differ}, by the rules no drift.{more}"
    if not same:
        return f"No drift that counts from {run}:{more}"
    return f"No drift: {_counted(same)} {_agree(same)} {run}.{more}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _warned(verdict: Verdict, level: str) -> str:
    """Say how many warnings stand beside the failures."""
    count = sum(row.level == "warn" for row in verdict.rows)
    return f" And {plural(count, 'warning')}." if level == "fail" and count else ""


def called(kind: str, name: str) -> str:
    """Return how a sentence calls what was compared: `setting optimizer.lr`, `commit`."""
    noun = KINDS[kind]  # type: ignore[index]  # a result's kinds are checked by its schema
    return noun if name.startswith(noun) else f"{noun} {name}"


def _counted(rows: Sequence[Row]) -> str:
    return counted(row.kind for row in rows)


def counted(kinds: Iterable[str]) -> str:
    """Say how many of what: `2 settings and 1 package`."""
    counts = Counter(kinds)
    parts = [plural(counts[kind], noun) for kind, noun in KINDS.items() if counts[kind]]
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _agree(rows: Sequence[Row]) -> str:
    return "is as in" if len(rows) == 1 else "are as in"


def _named(rows: Sequence[Row]) -> str:
    shown = [_brief(row) for row in rows[:NAMED]]
    more = len(rows) - NAMED
    return "; ".join(shown) + (f"; and {more:,} more" if more > 0 else "")


def _brief(row: Row) -> str:
    if row.kind == "code":
        return f"{row.note} {row.logged[:8]}"
    if row.state == "unknown":
        return f"{row.name}: {row.note}"
    if row.state == "only-logged":
        return f"{row.name} is {_short(row.logged)} in the run only"
    return f"{row.name} is {_short(row.current)}, not {_short(row.logged)}"


def _short(text: str, limit: int = 40) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_SENTENCE else f"{text[: MAX_SENTENCE - 1]}…"


def _deployed(deployed: Deployed, tracking: str) -> dict[str, Any]:
    run, version = deployed.run, deployed.version
    return {
        "run_id": run.id,
        "name": run.name,
        "experiment_id": run.experiment_id,
        "status": run.status,
        "started": _day(run.start_ms),
        "parent_id": run.parent_id,
        "model": version.model if version else "",
        "version": version.version if version else "",
        "parameters": len(deployed.params),
        "metrics": {name: str(value) for name, value in sorted(run.metrics.items())[:200]},
        "url": run_url(tracking, run.experiment_id, run.id),
    }


def _candidate(item: Candidate) -> dict[str, Any]:
    return {
        "run_id": item.run_id,
        "name": item.name,
        "status": item.status,
        "started": _day(item.started_ms),
        "version": item.version,
    }


def run_url(tracking: str, experiment_id: str, run_id: str) -> str:
    """Return where MLflow shows a run; empty where the store has no pages."""
    if not tracking.startswith("https://"):
        return ""
    return f"{tracking}/#/experiments/{experiment_id}/runs/{run_id}"


def _day(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        return ""  # a clock far off: not worth a failure
