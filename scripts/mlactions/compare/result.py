"""The result as JSON: everything the report shows, so that it can be shown again elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlactions.compare.model import Baseline, Candidate, Evidence, Finding, Row, Rule, Verdict
from mlactions.compare.sentences import moved_sentence
from mlactions.compare.words import decimals_for, decimals_of_means, plain
from mlactions.settings import Status
from mlactions.text import plural

MAX_SENTENCE = 600
MAX_MESSAGE = 1500

_LEADING = {"removed-model", "renamed-model"}

SHOWN_LABELS: Mapping[str, str] = {
    "proven": "proven",
    "observed": "observed",
    "inconclusive": "inconclusive",
    "not-proven": "not proven",
    "non-inferior": "non-inferior",
    "point": "point rule",
    "bound": "in bounds",
    "incomparable": "incomparable",
    "unmeasured": "not compared",
}


@dataclass(frozen=True)
class Place:
    """A line of a file, as annotations and the report name it."""

    file: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class HeadRules:
    """The rules as the head of a pull request has them: shown, never obeyed."""

    diff: str
    verdict: Verdict | None
    error: str = ""


@dataclass(frozen=True)
class Context:
    """Where rules and numbers came from."""

    key: str
    rules_from: str
    ref: str = ""
    paste: str = ""
    head_rules: HeadRules | None = None
    places: Sequence[Place] = ()


def document(
    verdict: Verdict, baseline: Baseline, candidate: Candidate, context: Context
) -> dict[str, Any]:
    """Return `result.json`."""
    places = context.places or [Place()] * len(verdict.findings)
    return {
        "version": 1,
        "word": "compare",
        "mode": "compare",
        "status": str(verdict.status),
        "verdict": sentence(verdict),
        "commit": candidate.commit,
        "key": context.key,
        "baseline": {"file": baseline.name, "from": context.rules_from, "ref": context.ref},
        "counts": dict(sorted(Counter(str(row.status) for row in verdict.rows).items())),
        "rows": [row_document(row) for row in verdict.rows],
        "findings": [
            finding_document(finding, place)
            for finding, place in zip(verdict.findings, places, strict=True)
        ],
        "paste": context.paste,
        "skipped": [{"model": m, "reason": r} for m, r in sorted(candidate.skipped.items())],
        "provenance": list(_provenance(baseline, candidate)),
        "head_rules": _head_rules(context.head_rules, verdict),
    }


def sentence(verdict: Verdict) -> str:
    """Return the verdict in one sentence: how it ended, and the worst of it."""
    failed = [finding for finding in verdict.findings if finding.level == "fail"]
    warned = [finding for finding in verdict.findings if finding.level == "warn"]
    if failed:
        first = _worded(_first(failed[0], verdict.rows))
        return f"{first}{_more(len(failed) - 1, 'failure')}{_without_rules(verdict)}"
    if verdict.status is Status.SKIPPED:
        return "Nothing to compare: no model was affected."
    if warned:
        renamed = [finding for finding in warned if finding.reason in _LEADING]
        first = _worded((renamed or warned)[0].message)
        held = "No rule fails. " if verdict.rows and not renamed else ""
        return f"{held}{first}{_more(len(warned) - 1, 'warning')}{_without_rules(verdict)}"
    passed = f"{plural(len(verdict.rows), 'rule')} of {plural(_models(verdict), 'model')}"
    return f"{passed} {'holds' if len(verdict.rows) == 1 else 'hold'}.{_without_rules(verdict)}"


def _without_rules(verdict: Verdict) -> str:
    """Name the measured models that nothing was held against, unless that is all there is."""
    reasons = Counter(finding.reason for finding in verdict.findings)
    count = reasons["no-rules"]
    if not count or reasons["nothing-compared"]:
        return ""
    return f" {plural(count, 'model')} {'has' if count == 1 else 'have'} no rules."


def _first(finding: Finding, rows: Iterable[Row]) -> str:
    for row in rows:
        rule = row.rule
        mine = rule.model == finding.model and rule.metric == finding.metric
        if mine and row.evidence and finding.reason.startswith("regression"):
            label = SHOWN_LABELS[row.evidence.label]
            return f"{moved_sentence(rule, row.evidence).removesuffix('.')} ({label})."
    return finding.message


def _more(count: int, noun: str) -> str:
    return f" And {plural(count, f'more {noun}')}." if count else ""


def _worded(message: str) -> str:
    return _cut(message.replace("`", ""), MAX_SENTENCE)


def _cut(text: str, limit: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _models(verdict: Verdict) -> int:
    return len({row.rule.model for row in verdict.rows})


def row_document(row: Row) -> dict[str, Any]:
    """Return one rule's line, numbers unrounded."""
    rule, evidence = row.rule, row.evidence
    shown = {
        "model": rule.model,
        "metric": rule.metric,
        "unit": rule.unit,
        "direction": rule.direction,
        "status": str(row.status),
        "label": row.label,
        "reasons": list(row.reasons),
        "source": row.source,
        "waived": row.waived,
        "n": _counts(row),
        "pairs": evidence is not None and evidence.items is not None,
        "min": rule.minimum,
        "max": rule.maximum,
        "owner": rule.owner,
        "note": rule.reason,
    }
    return shown | (_numbers(evidence) if evidence else _means(rule, row))


def _counts(row: Row) -> list[int]:
    if row.evidence is not None and row.evidence.items is not None:
        return [row.evidence.items] * 2
    return [len(row.reference), len(row.values)]


def _numbers(evidence: Evidence) -> dict[str, Any]:
    return {
        "baseline": evidence.baseline,
        "candidate": evidence.candidate,
        "change": evidence.change,
        "degradation": evidence.degradation,
        "allowed": evidence.allowed,
        "low": evidence.low,
        "high": evidence.high,
        "margin": evidence.margin,
        "detectable": evidence.detectable,
        "seeds_to_settle": evidence.seeds_to_settle,
        "p_value": evidence.p_value,
        "decimals": decimals_for(evidence),
    }


def _means(rule: Rule, row: Row) -> dict[str, Any]:
    reference = row.reference or rule.values
    names = "change degradation allowed low high margin detectable seeds_to_settle p_value"
    return {
        "baseline": sum(reference) / len(reference) if reference else None,
        "candidate": sum(row.values) / len(row.values) if row.values else None,
        **dict.fromkeys(names.split()),
        "decimals": decimals_of_means(reference, row.values),
    }


def finding_document(finding: Finding, place: Place) -> dict[str, Any]:
    """Return one finding with its place."""
    return {
        "reason": finding.reason,
        "level": finding.level,
        "model": finding.model,
        "metric": finding.metric,
        "message": _cut(finding.message, MAX_MESSAGE),
        "waived": finding.waived,
        "file": place.file,
        "line": place.line,
    }


def _provenance(baseline: Baseline, candidate: Candidate) -> Iterable[dict[str, Any]]:
    for model in sorted(candidate.head):
        group = baseline.models.get(model)
        sides = (
            ("baseline", group.provenance if group else {}),
            ("base", candidate.base[model].provenance if model in candidate.base else {}),
            ("candidate", candidate.head[model].provenance),
        )
        for side, fields in sides:
            if fields:
                shown = {
                    str(name): _text(value)
                    for name, value in sorted(fields.items())
                    if value is not None and value is not False
                }
                yield {"model": model, "side": side, "fields": shown}


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))[:200]
    shown = plain(value) if isinstance(value, float) else str(value)[:200]
    return shown.encode(errors="replace").decode()


def _head_rules(head: HeadRules | None, verdict: Verdict) -> dict[str, Any] | None:
    if head is None:
        return None
    if head.verdict is None:
        return {"diff": head.diff, "status": None, "verdict": head.error, "rows": []}
    before = {(row.rule.model, row.rule.metric): row for row in verdict.rows}
    changed = [
        row_document(row)
        for row in head.verdict.rows
        if _differs(before.get((row.rule.model, row.rule.metric)), row)
    ]
    return {
        "diff": head.diff,
        "status": str(head.verdict.status),
        "verdict": sentence(head.verdict),
        "rows": changed,
    }


def _differs(before: Row | None, after: Row) -> bool:
    return before is None or (before.status, before.label) != (after.status, after.label)
