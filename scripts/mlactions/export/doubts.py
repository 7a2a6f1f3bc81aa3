"""What passed and deserves a look: warnings from the rows of gated cases. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlactions.export.result import CaseResult, Finding, Parity
from mlactions.export.words import brief, place
from mlactions.text import plural

_SAID: Mapping[str, str] = {
    "top1-changed": "has its largest score elsewhere than torch, within the tolerance",
    "small-values-off": "has small values that are off, behind larger ones of the same output",
}


def doubts(cases: Sequence[CaseResult]) -> Iterator[Finding]:
    """Yield each doubt about an output once, at the first case that shows it."""
    rows = [(case, row) for case in cases if case.kind == "gated" for row in case.rows]
    groups: dict[tuple[str, str], list[tuple[CaseResult, Parity]]] = {}
    for case, row in rows:
        if row.doubt:
            groups.setdefault((row.doubt, row.output), []).append((case, row))
    for (reason, output), found in groups.items():
        case, row = found[0]
        more = f" So it does in {plural(len(found) - 1, 'more case')}." if found[1:] else ""
        message = f"At {place(case)}, output `{output}` {_SAID[reason]}.{more}"
        yield _warning(reason, case, row, message)
    for output in dict.fromkeys(row.output for _, row in rows):
        case, row = next(pair for pair in rows if pair[1].output == output)
        if row.mode == "scaled" and row.allowed > 1:
            message = (
                f"The tolerance of `{output}`, {brief(row.allowed)}, allows errors larger than"
                " its largest value: it holds nothing back."
            )
            yield _warning("tolerance-large", case, row, message)


def _warning(reason: str, case: CaseResult, row: Parity, message: str) -> Finding:
    return Finding(reason, "warn", message, case.id, case.provider, row.output)
