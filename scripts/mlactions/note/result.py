"""`result.json` of a check and of a closing, and the facts that an agent may cite. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from mlactions.compare.model import Baseline, Row
from mlactions.note.check import Checked
from mlactions.note.judge import Judgement, expectation, is_decided
from mlactions.note.model import Finding, Note
from mlactions.publish import Fact
from mlactions.settings import Status
from mlactions.text import plural

MAX_TEXT = 1900
_NOT_IN_ID = re.compile(r"[^a-z0-9._/=-]+")
_HELD = {Status.PASS: "yes", Status.WARN: "yes, with a warning", Status.FAIL: "no"}


def check_document(
    checked: Checked,
    configs: Sequence[str],
    *,
    composed: Mapping[str, Sequence[str]],
    commit: str,
    key: str,
    baseline: Baseline | None,
) -> dict[str, Any]:
    """Return the result of a check; `composed` are the experiments that a config is a part of."""
    models = [name for config in configs for name in (config, *composed.get(config, ()))]
    levels = {finding.level for finding in checked.findings}
    status = Status.FAIL if "fail" in levels else Status.WARN if "warn" in levels else Status.PASS
    if status is Status.PASS and not (checked.notes or configs):
        status = Status.SKIPPED
    return {
        **_common(status, _check_verdict(checked, configs, status), commit, key, "check"),
        "configs": [
            {
                "config": config,
                "composed_by": list(composed.get(config, ())),
                "notes": list(checked.covered.get(config, ())),
            }
            for config in configs
        ],
        "notes": [_note(note) for note in checked.notes],
        "findings": [asdict(finding) for finding in checked.findings],
        "known_rules": _known_rules(baseline, models),
    }


def _common(status: Status, verdict: str, commit: str, key: str, mode: str) -> dict[str, Any]:
    return {
        "version": 1,
        "word": "note",
        "status": str(status),
        "verdict": " ".join(verdict.split())[:MAX_TEXT],
        "commit": commit,
        "key": key,
        "mode": mode,
        "configs": [],
        "notes": [],
        "findings": [],
        "known_rules": [],
        "closing": None,
    }


def _check_verdict(checked: Checked, configs: Sequence[str], status: Status) -> str:
    if status is Status.SKIPPED:
        return "No experiment config changed, and there is no note."
    worst = [
        f for f in checked.findings if f.level == ("fail" if status is Status.FAIL else "warn")
    ]
    if worst:
        more = f" And {plural(len(worst) - 1, 'more finding')}." if len(worst) > 1 else ""
        where = "" if worst[0].reason == "no-note" else f"{worst[0].file}: "
        return f"{where}{worst[0].message}{more}".replace("`", "")
    named = plural(len(checked.notes), "note")
    if not configs:
        return f"{named} can be read."
    verb = "has" if len(configs) == 1 else "have"
    return f"{plural(len(configs), 'changed config')} {verb} a note that can be judged."


def _note(note: Note) -> dict[str, Any]:
    return {
        "file": note.file,
        "id": note.id,
        "title": note.title,
        "state": note.state,
        "outcome": note.outcome,
        "configs": list(note.configs),
        "expected": [
            {"model": rule.model, "metric": rule.metric, "rule": expectation(rule)}
            for group in note.expected.models.values()
            for rule in group.rules.values()
        ],
    }


def _known_rules(baseline: Baseline | None, configs: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the baseline asks of the models of changed configs: where a draft begins."""
    models = {PurePosixPath(config).stem for config in configs}
    groups = baseline.models.items() if baseline else ()
    return [
        {
            "model": model,
            "metric": rule.metric,
            "direction": rule.direction,
            "mean": sum(rule.values) / len(rule.values) if rule.values else None,
        }
        for model, group in groups
        if model in models
        for rule in group.rules.values()
    ]


def close_document(note: Note, judged: Judgement, *, commit: str, key: str) -> dict[str, Any]:
    """Return the result of closing a note: one that did not hold warns, and is no failure."""
    status = Status.WARN if judged.outcome != "held" or judged.rollback_unknown else Status.PASS
    if judged.rollback:
        status = Status.FAIL
    return {
        **_common(status, said(note, judged), commit, key, "close"),
        "notes": [{**_note(note), "state": "closed", "outcome": judged.outcome}],
        "findings": [asdict(finding) for finding in _close_findings(note, judged)],
        "closing": {
            "outcome": judged.outcome,
            "rows": rows_of(judged),
            "missing": list(judged.missing),
            "rollback": [_rolled(row) for row in judged.rollback],
        },
    }


def said(note: Note, judged: Judgement) -> str:
    """Return whether the hypothesis held, in one sentence."""
    count = len(judged.rows)
    misses = [row for row in judged.rows if row.status is Status.FAIL]
    told = {
        "held": f"The hypothesis held: {plural(count, 'expected outcome')} came about.",
        "refuted": f"The hypothesis did not hold: {_missed(misses)}",
        "undecided": f"Whether the hypothesis held is undecided: {_open(judged, misses)}",
    }[judged.outcome]
    back = f" Roll back: {_missed(judged.rollback)}" if judged.rollback else ""
    return f"{note.title.rstrip('.')}: {told}{back}"


def _missed(rows: Sequence[Row]) -> str:
    if not rows:
        return "no rule was met."
    first = rows[0]
    more = f", and {plural(len(rows) - 1, 'more rule')}" if len(rows) > 1 else ""
    return f"{first.rule.metric} of {first.rule.model} is {measured(first)}{more}."


def _open(judged: Judgement, misses: Sequence[Row]) -> str:
    if judged.missing:
        return f"{', '.join(judged.missing)} was not measured."
    if misses:
        reason = judged.reasons.get((misses[0].rule.model, misses[0].rule.metric), "")
        return reason.replace("`", "") or f"{misses[0].rule.metric} could not be judged."
    return "nothing was measured that its rules are about."


def measured(row: Row) -> str:
    """Return the mean of a row's values and how many seeds it is of."""
    if not row.values:
        return "not measured"
    mean = sum(row.values) / len(row.values)
    return f"{mean:.6g}" + (f" ({len(row.values)} seeds)" if len(row.values) > 1 else "")


def rows_of(judged: Judgement) -> list[dict[str, str]]:
    """Return each rule, what it expected and what came."""
    return [
        {
            "rule": f"{row.rule.metric} of {row.rule.model}",
            "model": row.rule.model,
            "metric": row.rule.metric,
            "expected": expectation(row.rule),
            "measured": measured(row),
            "held": "undecided" if _is_open(row) else _HELD[row.status],
            "why": judged.reasons.get((row.rule.model, row.rule.metric), ""),
        }
        for row in judged.rows
    ]


def _is_open(row: Row) -> bool:
    return row.status is Status.FAIL and not is_decided(row)


def _rolled(row: Row) -> dict[str, str]:
    return {
        "rule": f"{row.rule.metric} of {row.rule.model}",
        "expected": expectation(row.rule),
        "measured": measured(row),
    }


def _close_findings(note: Note, judged: Judgement) -> Iterator[Finding]:
    for row in judged.rollback:
        message = f"Roll back: {_missed([row])}"
        yield Finding("roll-back", "fail", message, note.file)
    if note.rollback is None:
        message = "The rollback criteria are words: nothing judged them, so read them."
        hint = "A block of rules there is judged too."
        yield Finding("rollback-in-words", "notice", message, note.file, hint=hint)
    if judged.rollback_unknown:
        message = "Whether to roll back cannot be said: its rules were not measured."
        yield Finding("rollback-unknown", "warn", message, note.file)


def facts(result: Mapping[str, Any]) -> list[Fact]:
    """Return what Codex gets to know: configs without a note, the rules known, what is wrong."""
    made = [Fact("note.verdict", f"{result['status']}: {result['verdict']}", result["status"])]
    made += list(_config_facts(result["configs"]))
    made += list(_rule_facts(result["known_rules"]))
    for finding in result["findings"]:
        slug = _slug(f"note.finding.{finding['reason']}.{finding['file'] or ''}")
        made.append(
            Fact(
                slug,
                finding["message"].replace("`", ""),
                file=finding["file"],
                line=finding["line"],
            )
        )
    found: dict[str, Fact] = {}
    for fact in made:
        found.setdefault(fact.id, fact)
    return list(found.values())


def _config_facts(configs: Iterable[Mapping[str, Any]]) -> Iterator[Fact]:
    for item in configs:
        notes = ", ".join(item["notes"]) or "no note"
        part = f" of {', '.join(item['composed_by'][:5])}" if item["composed_by"] else ""
        text = f"{item['config']}{f', a part{part},' if part else ''} was changed and has {notes}"
        yield Fact(_slug(f"note.config.{item['config']}"), text, file=item["config"])


def _rule_facts(rules: Iterable[Mapping[str, Any]]) -> Iterator[Fact]:
    for rule in rules:
        mean = (
            "no recorded value"
            if rule["mean"] is None
            else f"a recorded mean of {rule['mean']:.6g}"
        )
        yield Fact(
            id=_slug(f"note.rule.{rule['model']}.{rule['metric']}"),
            text=f"{rule['metric']} of {rule['model']}: {rule['direction']} is better, {mean}",
            value=rule["mean"],
            model=rule["model"],
            metric=rule["metric"],
        )


def _slug(name: str) -> str:
    return _NOT_IN_ID.sub("-", name.lower())[:180]
