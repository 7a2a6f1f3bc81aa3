"""All rules against all that was measured: rows, findings, one status. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mlactions.compare.findings import united
from mlactions.compare.judge import Judged, Judging, Paired, judge, problems_of
from mlactions.compare.model import (
    Baseline,
    Candidate,
    Finding,
    Level,
    Measured,
    Row,
    Rule,
    Settings,
    Verdict,
    Waiver,
)
from mlactions.compare.presence import models_present
from mlactions.compare.slices import worse_slices
from mlactions.settings import Status

_STATUS: Mapping[Level, Status] = {
    "fail": Status.FAIL,
    "warn": Status.WARN,
    "notice": Status.PASS,
}


_STARTS = ("regression", "non-inferiority", "below-min", "above-max")
_ENDS = ("-differs",)
"""How the reason codes begin and end that a waiver covers: numbers that are there, and known."""


@dataclass(frozen=True)
class _Waivers:
    """The waivers of a baseline, found by metric."""

    by_metric: Mapping[str, tuple[tuple[int, Waiver], ...]]
    today: str

    def apply(self, finding: Finding) -> Finding:
        """Return the finding, a warning where a waiver that still holds covers it."""
        if finding.level != "fail" or not finding.metric:
            return finding
        known = [waiver for _, waiver in self.by_metric.get(finding.metric, ())]
        covering = [one for one in known if one.covers(finding.model, finding.metric)]
        # The longest one: an expired waiver does not hide the one that renewed it.
        longest = max(covering, key=lambda one: one.until, default=None)
        return finding if longest is None else self._waived(finding, longest)

    def _waived(self, finding: Finding, waiver: Waiver) -> Finding:
        if not finding.reason.startswith(_STARTS) and not finding.reason.endswith(_ENDS):
            return _noted(finding, " A waiver accepts a worse number, and there is none.")
        if self.today > waiver.until:
            return _noted(finding, f" Its waiver expired on {waiver.until}.")
        note = f" Waived until {waiver.until}: {waiver.reason.rstrip('.')}."
        return replace(_noted(finding, note), level="warn", waived=True)


def _noted(finding: Finding, note: str) -> Finding:
    shared = finding.shared and finding.shared + note
    return replace(finding, message=finding.message + note, shared=shared)


def assess(
    baseline: Baseline,
    candidate: Candidate,
    settings: Settings,
    paired: Paired,
    known: Iterable[Finding] = (),
) -> Verdict:
    """Judge every rule of the baseline and everything that should have been measured.

    `known` is what was found before: it counts as well, behind what is said of the numbers.
    """
    waivers = _Waivers(_by_metric(baseline.waivers), settings.today)
    rows: list[Row] = []
    findings: list[Finding] = []
    for model, group in baseline.models.items():
        if model not in candidate.head:
            continue
        head = candidate.head[model]
        judging = Judging(
            group=group,
            head=head,
            base=_usable_base(model, candidate),
            baseline=baseline,
            settings=settings,
            paired=paired,
            problems=problems_of(head),
        )
        for rule in group.rules.values():
            judged = judge(rule, judging)
            own = [waivers.apply(finding) for finding in judged.findings]
            rows.append(_row(rule, judged, own, judging.head.values.get(rule.metric, ())))
            findings += own
    findings += known
    findings += map(waivers.apply, models_present(baseline, candidate, settings))
    findings += _broken_without_rule(baseline, candidate)
    findings += _unused_waivers(baseline, settings.today)
    findings += worse_slices(baseline, candidate)
    return Verdict(_overall(rows, findings, candidate), tuple(rows), tuple(united(findings)))


def _usable_base(model: str, candidate: Candidate) -> Measured | None:
    """Return the base's measurements; after a failed evaluation the recorded values count."""
    failed = any(f.model == model and f.side == "base" for f in candidate.failures)
    return None if failed else candidate.base.get(model)


def _by_metric(waivers: Iterable[Waiver]) -> dict[str, tuple[tuple[int, Waiver], ...]]:
    found: dict[str, tuple[tuple[int, Waiver], ...]] = {}
    for number, waiver in enumerate(waivers):
        found[waiver.metric] = (*found.get(waiver.metric, ()), (number, waiver))
    return found


def _row(rule: Rule, judged: Judged, findings: list[Finding], values: tuple[float, ...]) -> Row:
    levels = {finding.level for finding in findings}
    level: Level = "fail" if "fail" in levels else "warn" if "warn" in levels else "notice"
    return Row(
        rule=rule,
        status=_STATUS[level],
        label=judged.label,
        values=values,
        reference=judged.reference,
        source=judged.source,
        evidence=judged.evidence,
        reasons=tuple(finding.reason for finding in findings),
        waived=any(finding.waived for finding in findings),
    )


def _broken_without_rule(baseline: Baseline, candidate: Candidate) -> Iterable[Finding]:
    """Yield a warning for each broken value that no rule is about."""
    for model, head in candidate.head.items():
        group = baseline.models.get(model)
        for metric, problems in problems_of(head).items():
            if group is None or metric not in group.rules:
                for reason, clause in problems:
                    message = f"`{metric}` of `{model}`, which has no rule, {clause}."
                    yield Finding(reason, "warn", message, model, metric)


def _unused_waivers(baseline: Baseline, today: str) -> Iterable[Finding]:
    for number, waiver in enumerate(baseline.waivers):
        keys = ("waivers", number)
        models = [waiver.model] if waiver.model else list(baseline.models)
        if not any(
            waiver.metric in baseline.models[model].rules
            for model in models
            if model in baseline.models
        ):
            where = f" of `{waiver.model}`" if waiver.model else ""
            yield Finding(
                "orphan-waiver",
                "warn",
                f"The waiver for `{waiver.metric}`{where} names no rule of this file.",
                waiver.model,
                waiver.metric,
                keys,
            )
        elif today > waiver.until:
            yield Finding(
                "waiver-expired",
                "warn",
                f"The waiver for `{waiver.metric}` expired on {waiver.until}: remove or renew it.",
                waiver.model,
                waiver.metric,
                keys,
            )


def _overall(rows: list[Row], findings: list[Finding], candidate: Candidate) -> Status:
    levels = {finding.level for finding in findings}
    if "fail" in levels:
        return Status.FAIL
    if "warn" in levels:
        return Status.WARN
    return Status.PASS if rows or candidate.head else Status.SKIPPED
