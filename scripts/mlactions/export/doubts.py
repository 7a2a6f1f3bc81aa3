"""What passed and deserves a look, and what torch itself is no measure for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mlactions.export.exported import Exported
from mlactions.export.result import CaseResult, Finding, Parity
from mlactions.export.words import brief, place
from mlactions.text import plural

_SAID: Mapping[str, str] = {
    "top1-changed": "has its largest score elsewhere than torch, within the tolerance",
    "small-values-off": "has small values that are off, behind larger ones of the same output",
    "small-output-off": "is small, and its relative L2 error of {relative} is far above torch's",
    "tolerance-large": "may be off by {allowed}, more than its largest value: that holds nothing"
    " back",
}


def doubts(cases: Sequence[CaseResult]) -> Iterator[Finding]:
    """Yield each doubt about an output once, at the first case that shows it."""
    groups: dict[tuple[str, str], list[tuple[CaseResult, Parity]]] = {}
    for rows in _by_output(cases).values():
        for case, row in rows:
            if row.doubt:
                groups.setdefault((row.doubt, row.output), []).append((case, row))
    for (reason, output), found in groups.items():
        case, row = found[0]
        more = f" So it does in {plural(len(found) - 1, 'more case')}." if found[1:] else ""
        said = _SAID[reason].format(relative=brief(row.relative_l2), allowed=brief(row.allowed))
        message = f"At {place(case)}, output `{output}` {said}.{more}"
        yield _warning(reason, case, row, message)


def _warning(reason: str, case: CaseResult, row: Parity, message: str) -> Finding:
    return Finding(reason, "warn", message, case.id, case.provider, row.output)


def state_kept(exported: Exported) -> Iterator[Finding]:
    """Warn of buffers that change in eval mode: the file has them as they were when it was made."""
    if exported.model is not None and exported.model.state:
        names = ", ".join(f"`{name}`" for name in exported.model.state[:3])
        changed = plural(len(exported.model.state), "buffer")
        message = (
            f"Each forward pass changes {changed} of the model, {names}, and the file does not."
        )
        yield Finding("state-kept", "warn", message)


def own_noise(cases: Sequence[CaseResult]) -> Iterator[Finding]:
    """Warn where torch itself differs by more than is allowed."""
    for rows in _by_output(cases).values():
        known = [(_noise_of(row), case, row) for case, row in rows if row.reference]
        if not known:
            continue
        noise, case, row = max(known, key=lambda item: item[0])
        if noise > row.allowed > 0:
            message = (
                f"torch differs from itself by {brief(noise)} in `{row.output}` at {place(case)},"
                f" and {brief(row.allowed)} is allowed: a tolerance below this noise decides by"
                " chance."
            )
            found = _warning("tolerance-below-noise", case, row, message)
            yield replace(found, index=row.index)


def _noise_of(row: Parity) -> float:
    return max(row.noise_float64 or 0.0, row.noise_threads or 0.0)


def not_numbers(cases: Sequence[CaseResult]) -> Iterator[Finding]:
    """Fail where torch gives NaN for a gated input: what is no number can be held to nothing."""
    for rows in _by_output(cases).values():
        broken = [(case, row) for case, row in rows if row.nan]
        if not broken:
            continue
        case, row = broken[0]
        more = f" So it has in {plural(len(broken) - 1, 'more case')}." if broken[1:] else ""
        message = f"torch's own `{row.output}` has {row.nan:,} NaN at {place(case)}.{more}"
        found = _warning("reference-not-finite", case, row, message)
        yield replace(found, level="fail", index=row.index)


def _by_output(cases: Sequence[CaseResult]) -> dict[str, list[tuple[CaseResult, Parity]]]:
    """Return the rows of gated cases by output."""
    found: dict[str, list[tuple[CaseResult, Parity]]] = {}
    for case in cases:
        for row in case.rows if case.kind == "gated" else ():
            found.setdefault(row.output, []).append((case, row))
    return found
