"""The verdict, and the result as JSON: everything the report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from mlactions.audit.baseline import Baseline, Split, fingerprint
from mlactions.audit.engine import nothing
from mlactions.audit.model import Audit, Finding, Program, Rule
from mlactions.audit.programs import others, seeded_by
from mlactions.audit.rules import FAMILIES, RULES
from mlactions.audit.score import Point, counts, score
from mlactions.audit.texts import clean, shortened
from mlactions.settings import Status
from mlactions.text import plural

MAX_FINDINGS = 2_000
MAX_LISTED = 500
MAX_SENTENCE = 600
MAX_MESSAGE = 400


@dataclass(frozen=True)
class Context:
    """What an audit was about, and what stands beside it."""

    paths: tuple[str, ...]
    key: str
    commit: str
    prefix: str
    baseline: Baseline
    trend: tuple[Point, ...] = ()
    measured: Mapping[str, Any] | None = None


def document(found: Audit, split: Split, context: Context) -> dict[str, Any]:
    """Return `result.json`."""
    status = judge(found, split, context.measured)
    shown = split.new[:MAX_FINDINGS]
    made: dict[str, Any] = clean(
        {
            "version": 1,
            "word": "audit",
            "status": str(status),
            "verdict": _cut(sentence(found, split, context)),
            "commit": context.commit,
            "key": context.key,
            "paths": list(context.paths),
            "prefix": context.prefix,
            "score": score([*split.new, *split.old]),
            "trend": [asdict(point) for point in context.trend],
            "counts": counts(split.new),
            "families": _families(split),
            "findings": [_finding(item) for item in shown],
            "more": len(split.new) - len(shown),
            "old": [_finding(item) for item in split.old[:MAX_LISTED]],
            "suppressed": [
                {**_finding(item), "reason": reason[:300]}
                for item, reason in found.suppressed[:MAX_LISTED]
            ],
            "baseline": {
                "file": context.baseline.name,
                "from": context.baseline.origin,
                "ref": context.baseline.ref,
                "known": len(split.old),
                "gone": [{"rule": rule, "file": file} for rule, file in split.gone[:MAX_LISTED]],
            },
            "programs": [_program(item) for item in found.programs[:MAX_LISTED]],
            "skipped": [
                {
                    "file": item.file,
                    "why": item.why,
                    "line": item.place.line,
                    "cell": item.place.cell,
                }
                for item in found.skipped[:MAX_LISTED]
            ],
            "files": found.files,
            "lines": found.lines,
            "tests": found.tests,
            "suppressions": len(found.suppressed),
            "measured": context.measured,
            "rules": [_rule(rule) for rule in _used(found, split)],
        }
    )
    return made


def judge(found: Audit, split: Split, measured: Mapping[str, Any] | None) -> Status:
    """Return the status: nothing audited is a failure, and so is a double run that differs."""
    levels = {item.level for item in split.new}
    states = {measured["status"]} if measured else set()
    if nothing(found) or "error" in levels or "fail" in states:
        return Status.FAIL
    return Status.WARN if "warning" in levels or "warn" in states else Status.PASS


def sentence(found: Audit, split: Split, context: Context) -> str:
    """Return the verdict in one sentence."""
    if nothing(found):
        return _nothing(found, context)
    ran = context.measured
    twice = f" {ran['verdict']}" if ran else ""
    where = f"in {plural(found.files, 'file')}"
    worst = next(iter(split.new), None)
    old = f", {plural(len(split.old), 'old one')} aside" if split.old else ""
    if worst is None:
        return f"No finding {where}{old}.{_programs(found)}{twice}"
    counted = counts(split.new)
    parts = [plural(number, level) for level, number in counted.items() if number]
    numbers = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    first = RULES[worst.rule].title
    first = first[0].lower() + first[1:] if not first[1:2].isupper() and first[0] != "`" else first
    place = f"{PurePosixPath(worst.file)}:{worst.place.line}"
    lead = "; first, at" if len(split.new) > 1 else ", at"
    return f"{numbers} {where}{old}{lead} {place}: {first.replace('`', '')}.{twice}"


def _nothing(found: Audit, context: Context) -> str:
    below = ", ".join(context.paths)
    why = f"{plural(len(found.skipped), 'file')} could not be read" if found.skipped else ""
    tests = f"{plural(found.tests, 'test file')} left out" if found.tests else ""
    more = "; ".join(part for part in (why, tests) if part)
    return (
        f"Nothing was audited: there is no Python to read below {below}{f' ({more})' * bool(more)}."
    )


def _programs(found: Audit) -> str:
    count = sum("train" in item.effects for item in found.programs)
    start = "its start" if count == 1 else "their starts"
    return f" {plural(count, 'training program')} followed from {start}." if count else ""


def _families(split: Split) -> list[dict[str, Any]]:
    rows = []
    for family in FAMILIES:
        new = [item for item in split.new if RULES[item.rule].family == family]
        old = sum(RULES[item.rule].family == family for item in split.old)
        if new or old:
            rows.append({"family": family, **counts(new), "old": old})
    return rows


def _finding(item: Finding) -> dict[str, Any]:
    return {
        "rule": item.rule,
        "level": item.level,
        "file": item.file,
        "line": item.place.line,
        "cell": item.place.cell,
        "message": shortened(item.message, MAX_MESSAGE),
        "quote": item.quote,
        "fingerprint": fingerprint(item),
    }


def _program(item: Program) -> dict[str, Any]:
    effects = item.effects
    return {
        "file": item.path,
        "line": item.place.line,
        "trains": "train" in effects,
        "libraries": others(item),
        "seeds": seeded_by(item),
        "deterministic": "deterministic" in effects,
        "gpu": "cuda" in effects,
        "files": len(item.files),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return asdict(rule)


def _used(found: Audit, split: Split) -> Sequence[Rule]:
    seen = {item.rule for item in (*split.new, *split.old)}
    seen |= {item.rule for item, _ in found.suppressed}
    return [rule for rule in RULES.values() if rule.id in seen]


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_SENTENCE else f"{text[: MAX_SENTENCE - 1]}…"
