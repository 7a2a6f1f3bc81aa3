"""From what was measured to findings and a verdict. Pure, and fails closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mlactions.export import coverage
from mlactions.export.doubts import doubts, not_numbers, own_noise, state_kept
from mlactions.export.exported import Case, Exported
from mlactions.export.gates import Gate, Own, hold
from mlactions.export.matrix import Compared, Ran
from mlactions.export.parity import Measures
from mlactions.export.patterns import mixed, pattern
from mlactions.export.result import (
    REASONS,
    CaseResult,
    Check,
    Finding,
    Parity,
    Task,
)
from mlactions.export.words import off, place
from mlactions.settings import Status
from mlactions.text import plural

_PROVIDER_REASONS = {
    "crashed": "runtime-crashed",
    "refused": "runtime-refused",
    "timed-out": "runtime-timed-out",
    "absent": "provider-absent",
}
_LEVELS = {"fail": 0, "warn": 1, "notice": 2}


@dataclass(frozen=True)
class Evidence:
    """All that is weighed. `asked` names the providers the user asked for by name."""

    exported: Exported
    checks: tuple[Check, ...]
    compared: tuple[Compared, ...]
    cases: tuple[CaseResult, ...]
    task: Task | None
    asked: tuple[str, ...] = ()


def case_results(
    exported: Exported, compared: Iterable[Compared], gates: Mapping[str, Gate]
) -> tuple[CaseResult, ...]:
    """Hold every case of every provider against the gates."""
    types = {"float32": "float16"} if exported.precision == "fp16" else {}
    known = [case.noise for case in exported.cases if case.kind == "gated"]
    held = Held(
        gates,
        types,
        _largest(errors for noise in known for errors in (noise.float64, noise.threads)),
        _largest(noise.relative for noise in known),
    )
    return tuple(
        _case(ran, provider.provider.name, held)
        for provider in compared
        if provider.provider.state == "used"
        for ran in provider.ran
    )


@dataclass(frozen=True)
class Held:
    """What outputs are held against: gates, types beside torch's, torch's noise in all cases.

    `noise` is scaled, `relative` by the element.
    """

    gates: Mapping[str, Gate]
    types: Mapping[str, str]
    noise: Mapping[str, float]
    relative: Mapping[str, float]


def _case(ran: Ran, provider: str, held: Held) -> CaseResult:
    case = ran.case
    rows = tuple(
        hold(m, held.gates[m.output], _own(case, m, held), held.types) for m in ran.measures
    )
    missing = [name for name in held.gates if ran.outcome == "compared" and name not in _names(ran)]
    failed = ran.outcome != "compared" or missing or any(row.reason for row in rows)
    wrong = Status.FAIL if case.kind == "gated" else Status.WARN
    return CaseResult(
        id=case.id,
        kind=case.kind,
        batch=case.batch,
        axes=case.axes,
        seed=case.seed,
        values=case.values,
        provider=provider,
        status=wrong if failed else Status.PASS,
        outcome=ran.outcome,
        error=ran.error,
        rows=rows,
    )


def _names(ran: Ran) -> set[str]:
    return {measured.output for measured in ran.measures}


def _own(case: Case, measured: Measures, held: Held) -> Own:
    name, noise = measured.output, case.noise
    float64, threads = ((errors or {}).get(name) for errors in (noise.float64, noise.threads))
    relative = (noise.relative or held.relative).get(name)
    return Own(float64, threads, held.noise.get(name, 0.0), relative)


def _largest(noise: Iterable[Mapping[str, float | None] | None]) -> dict[str, float]:
    """Return the largest error of every output in all cases."""
    found: dict[str, float] = {}
    for errors in noise:
        for output, error in (errors or {}).items():
            if error is not None:
                found[output] = max(error, found.get(output, 0.0))
    return found


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """Return all findings, the most telling first."""
    found = [
        *_checks(evidence),
        *state_kept(evidence.exported),
        *_providers(evidence),
        *_cases(evidence),
        *coverage.uncompared(evidence.exported, evidence.cases),
        *coverage.alike(evidence.exported, evidence.compared),
        *doubts(evidence.cases),
        *own_noise(evidence.cases),
        *not_numbers(evidence.cases),
        *_task(evidence),
    ]
    found += coverage.nothing(evidence.cases, found)
    found += coverage.untried(evidence.exported)
    if any(one.reason == "constant-output" and one.level == "fail" for one in found):
        found = [one for one in found if one.reason != "specialised-constant"]
    return sort(found)


def sort(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings, the most telling first."""
    return tuple(sorted(findings, key=lambda f: (_LEVELS[f.level], REASONS.index(f.reason))))


def status_of(findings: Iterable[Finding]) -> Status:
    """Return the status that the worst finding asks for."""
    levels = {finding.level for finding in findings}
    if "fail" in levels:
        return Status.FAIL
    return Status.WARN if "warn" in levels else Status.PASS


def _checks(evidence: Evidence) -> Iterator[Finding]:
    """Take the checks of the file; what depends on no input is judged by the numbers."""
    off_outputs = {
        row.output
        for case in evidence.cases
        if case.kind == "gated"
        for row in case.rows
        if row.reason
    }
    for check in evidence.checks:
        if check.status is Status.PASS:
            continue
        said = check.message[:1].upper() + check.message[1:]
        found = Finding(check.reason, "fail", f"{said}.")
        if check.status is not Status.FAIL:
            found = replace(found, level="warn")
        if check.reason == "constant-output" and any(
            f"`{o}`" in check.message for o in off_outputs
        ):
            found = replace(found, level="fail")
        if check.reason == "input-unused" and off_outputs:
            message = f"{said}: it was fixed to the example's when the model was exported."
            found = Finding("specialised-constant", "fail", message)
        yield found


def _providers(evidence: Evidence) -> Iterator[Finding]:
    for compared in evidence.compared:
        one = compared.provider
        if one.state == "used":
            continue
        reason = _PROVIDER_REASONS[one.state]
        needed = one.state != "absent" or one.name in evidence.asked
        what = {
            "crashed": "onnxruntime crashed when it opened the model",
            "refused": "onnxruntime refused the model",
            "timed-out": "onnxruntime did not open the model in time",
            "absent": "the provider cannot be used here",
        }[one.state]
        message = f"{what} ({one.name}): {one.detail}."
        yield Finding(reason, "fail" if needed else "notice", message, provider=one.name)


def _cases(evidence: Evidence) -> Iterator[Finding]:
    """Say once what several cases show: by provider, the pattern, then output by output."""
    frozen = any(check.reason == "axis-frozen" for check in evidence.checks)
    for provider in dict.fromkeys(case.provider for case in evidence.cases):
        mine = [case for case in evidence.cases if case.provider == provider]
        seen = pattern(mine)
        explained = seen is not None
        if seen and not (frozen and seen.axis):
            worst = _worst(mine)
            message = f"{seen.message[:1].upper()}{seen.message[1:]}."
            yield _finding(seen.reason, worst, None, message)
        yield from _stopped(mine, explained=explained)
        yield from _off(mine)
    yield from _edges(evidence.cases)


def _worst(cases: Sequence[CaseResult]) -> CaseResult:
    return next(case for case in cases if case.status is Status.FAIL)


def _finding(reason: str, case: CaseResult, row: Parity | None, message: str) -> Finding:
    return Finding(
        reason,
        "fail",
        message,
        case=case.id,
        provider=case.provider,
        output=row.output if row else "",
        index=row.index if row else None,
    )


def _stopped(cases: Sequence[CaseResult], *, explained: bool) -> Iterator[Finding]:
    """Report gated cases that gave no output, unless a pattern explains the refusals."""
    for outcome in ("crashed", "timed-out", "refused"):
        stopped = [c for c in cases if c.kind == "gated" and c.outcome == outcome]
        if not stopped or (outcome == "refused" and explained):
            continue
        first = stopped[0]
        what = {
            "crashed": "onnxruntime crashed",
            "timed-out": "onnxruntime did not end",
            "refused": "onnxruntime refused to run",
        }[outcome]
        rest = f" So it did for {plural(len(stopped) - 1, 'more case')}." if stopped[1:] else ""
        message = f"{what} at {place(first)}: {first.error.rstrip('.')}.{rest}"
        yield _finding(_PROVIDER_REASONS[outcome], first, None, message)


def _off(cases: Sequence[CaseResult]) -> Iterator[Finding]:
    """Report each output that is off once for each reason, at its worst case."""
    groups: dict[tuple[str, str], list[tuple[CaseResult, Parity]]] = {}
    for case in cases:
        for row in case.rows:
            if case.kind == "gated" and row.reason and not _by_torch(row):
                groups.setdefault((row.reason, row.output), []).append((case, row))
    gated = sum(case.kind == "gated" for case in cases)
    more = " It holds at batch 1 only: samples of a batch are mixed." if mixed(cases) else ""
    for (reason, _), rows in groups.items():
        case, row = max(rows, key=lambda pair: (pair[1].scaled or 0.0, pair[1].relative_l2 or 0.0))
        yield _finding(reason, case, row, off(case, row, len(rows), gated) + more)


def _by_torch(row: Parity) -> bool:
    """Say whether there is nothing to compare because torch itself gave NaN, which is told."""
    return row.reason == "nothing-compared" and row.nan > 0


def _edges(cases: Sequence[CaseResult]) -> Iterator[Finding]:
    wrong = [case for case in cases if case.kind == "edge" and case.status is not Status.PASS]
    for case in wrong:
        ended = case.outcome in {"crashed", "timed-out"}
        row = next((row for row in case.rows if row.reason), None)
        message = off(case, row, 1, 1) if row else f"{place(case)}: {case.error.rstrip('.')}."
        found = _finding("edge-case", case, row, f"Edge input, not gated: {message}")
        yield replace(found, level="warn" if ended else "notice")


def _task(evidence: Evidence) -> Iterator[Finding]:
    task, exported = evidence.task, evidence.exported
    reduced = exported.precision != "fp32" or exported.quantize != "none"
    if task is None and reduced and not any(c.provider.state != "used" for c in evidence.compared):
        what = "fp16" if exported.quantize == "none" else "int8"
        message = f"{what} is gated by the task metric too, and there are no task data."
        yield Finding("task-metric", "fail", f"{message} Name some with `task-data`.")
    elif task is not None and task.status is not Status.PASS:
        level = "fail" if task.status is Status.FAIL else "warn"
        yield Finding("task-metric", level, f"Task metric: {task.message.rstrip('.')}.")  # type: ignore[arg-type]  # a literal
