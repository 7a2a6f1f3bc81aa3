"""How parity is worded, in findings, verdict, facts and report alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlactions.export.result import CaseResult, Failure, Finding, Parity
from mlactions.settings import Status
from mlactions.text import plural

MAX_VERDICT = 600


_PLAIN = (1e-3, 100.0)


def brief(value: float | None) -> str:
    """Return an error with two digits: 0.63, and 3.1e-7 where it is small."""
    if value is None:
        return "–"
    if value == 0 or _PLAIN[0] <= value < _PLAIN[1]:
        return f"{value:.2g}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def place(case: CaseResult) -> str:
    """Return where a case stands: batch, other axes, seed or the kind of its values."""
    axes = [f"{name} {length:,}" for name, length in case.axes.items() if name != "batch"]
    which = f"seed {case.seed}" if case.values == "random" else f"{case.values} input"
    return ", ".join([f"batch {case.batch:,}", *axes, which])


def off(case: CaseResult, row: Parity, count: int, gated: int) -> str:
    """Say what is wrong with an output: where, which element, how far, and what is allowed."""
    where = _capital(f"{place(case)}: output `{row.output}`")
    rest = f" {count - 1:,} more of {gated:,} cases are off too." if count > 1 else ""
    if row.index is None:
        return f"{where}: {row.hint or 'there is nothing to compare'}.{rest}"
    hint = f" {_capital(row.hint)}." if row.hint else ""
    element = f"element {list(row.index)} is {row.value} where torch has {row.reference}"
    return f"{where}, {element}{_how_far(row)}.{hint}{rest}"


def _how_far(row: Parity) -> str:
    if row.reason not in {"parity", "output-order"}:
        return ""
    if not row.allowed:
        return "; whole numbers must be equal"
    error, limit = error_of(row), row.allowed_relative_l2
    if error is not None and error <= row.allowed and limit is not None:
        return f"; relative L2 error {brief(row.relative_l2)}, allowed {brief(limit)}"
    return f"; {row.mode} error {brief(error)}, allowed {brief(row.allowed)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def verdict(status: Status, findings: Sequence[Finding], cases: Iterable[CaseResult]) -> str:
    """Return the verdict in one sentence, and how much more there is."""
    level = {Status.FAIL: "fail", Status.WARN: "warn"}.get(status)
    told = [finding for finding in findings if finding.level == level]
    if not told:
        return passed(cases)
    more = f" And {plural(len(told) - 1, f'more {_NOUNS[status]}')}." if told[1:] else ""
    first = told[0].message.replace("`", "")
    first = first if len(first) <= MAX_VERDICT else first[: MAX_VERDICT - 1] + "…"
    return f"{'' if status is Status.FAIL else passed(cases) + ' '}{first}{more}"


_NOUNS = {Status.FAIL: "failure", Status.WARN: "warning"}


def passed(cases: Iterable[CaseResult]) -> str:
    """Say what holds, and how close it is to the limit."""
    gated = [case for case in cases if case.kind == "gated"]
    rows = [(case, row) for case in gated for row in case.rows if row.scaled is not None]
    if not rows:
        return "Nothing was compared."
    case, row = max(rows, key=lambda pair: _share(pair[1]))
    return (
        f"The model matches torch in {plural(len(gated), 'case')}: largest {row.mode} error"
        f" {brief(error_of(row))} of {brief(row.allowed)} allowed ({row.output}, {place(case)})."
    )


def _share(row: Parity) -> float:
    return (error_of(row) or 0.0) / row.allowed if row.allowed else 0.0


def failure_verdict(failure: Failure) -> str:
    """Return the verdict on an export that gave no model."""
    where = f" ({failure.file}:{failure.line})" if failure.file and failure.line else ""
    message = " ".join(failure.message.split()).rstrip(".")
    return f"The export failed, {failure.kind}{where}: {message[:400]}."


def error_of(row: Parity) -> float | None:
    """Return the error that the mode gates."""
    return row.scaled if row.mode == "scaled" else row.max_absolute
