"""Did the hypothesis hold? Judged by the rules of `compare`, on what was measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlactions.compare.gate import assess
from mlactions.compare.model import Baseline, Candidate, Row, Rule, Settings, Verdict
from mlactions.note.model import Note, Outcome
from mlactions.settings import Status

UNDECIDED = frozenset({"unmeasured", "incomparable", "inconclusive", "not-proven"})
_PRESENT = frozenset({"fail"})


@dataclass(frozen=True)
class Judgement:
    """What became of a note's rules; `rollback` are those that ask to take the change back."""

    outcome: Outcome
    rows: tuple[Row, ...]
    missing: tuple[str, ...]
    reasons: Mapping[tuple[str, str], str]
    rollback: tuple[Row, ...] = ()
    rollback_unknown: bool = False


def judge_note(note: Note, candidate: Candidate, today: str) -> Judgement:
    """Hold what was measured against what the note expects."""
    verdict = _assessed(note.expected, candidate, today)
    missing = tuple(sorted(set(note.expected.models) - set(candidate.head)))
    failed = {item.model for item in candidate.failures if item.side == "head"}
    unknown = bool(missing) or bool(failed & set(note.expected.models))
    rollback, rollback_unknown = _rollback(note, candidate, today)
    return Judgement(
        outcome=_outcome(verdict, unknown=unknown),
        rows=verdict.rows,
        missing=missing,
        reasons=_reasons(verdict),
        rollback=rollback,
        rollback_unknown=rollback_unknown,
    )


def _assessed(rules: Baseline, candidate: Candidate, today: str) -> Verdict:
    """Assess only what the rules are about: the same bundle may hold other models."""
    head = {name: side for name, side in candidate.head.items() if name in rules.models}
    base = {name: side for name, side in candidate.base.items() if name in rules.models}
    own = replace(
        candidate, head=head, base=base, expected=None, failures=(), skipped={}, removed=()
    )
    return assess(rules, own, Settings(today=today), {})


def _outcome(verdict: Verdict, *, unknown: bool) -> Outcome:
    """Return refuted where a measured number is shown to miss, whatever else is missing."""
    if any(row.status is Status.FAIL and is_decided(row) for row in verdict.rows):
        return "refuted"
    undecided = [row for row in verdict.rows if row.status is Status.FAIL]
    return "undecided" if unknown or undecided or not verdict.rows else "held"


def is_decided(row: Row) -> bool:
    """Tell a number that misses from one that nobody measured, or that noise may explain."""
    beyond = {"below-min", "above-max"} & {reason[:9] for reason in row.reasons}
    return bool(beyond) or row.label not in UNDECIDED


def _rollback(note: Note, candidate: Candidate, today: str) -> tuple[tuple[Row, ...], bool]:
    if note.rollback is None:
        return (), False
    rows = _assessed(note.rollback, candidate, today).rows
    missed = tuple(row for row in rows if row.status is Status.FAIL)
    unknown = any(not is_decided(row) for row in missed)
    return tuple(row for row in missed if is_decided(row)), unknown or not rows


def _reasons(verdict: Verdict) -> dict[tuple[str, str], str]:
    """Return the first thing that stands against each rule."""
    found: dict[tuple[str, str], str] = {}
    for finding in verdict.findings:
        if finding.level in _PRESENT:
            found.setdefault((finding.model, finding.metric), finding.message)
    return found


def expectation(rule: Rule) -> str:
    """Return a rule in words: `at least 0.99`."""
    parts = []
    if rule.minimum is not None:
        parts.append(f"at least {rule.minimum:g}")
    if rule.maximum is not None:
        parts.append(f"at most {rule.maximum:g}")
    if rule.values:
        mean = sum(rule.values) / len(rule.values)
        allowed = rule.absolute + rule.relative * abs(mean)
        words = {"higher": "no lower than", "lower": "no higher than", "equal": "equal to"}
        parts.append(f"{words[rule.direction]} {mean:.6g}, give or take {allowed:.3g}")
    return " and ".join(parts) or f"{rule.direction}, with no limit"
