"""What the cases that are off have in common: a batch size, another axis, or a seed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from mlactions.export.parity import GROSS
from mlactions.export.result import CaseResult
from mlactions.settings import Status

BATCH = "batch"
VARIED = "varied"
ALLOWED = 3.0
"""Times the tolerance: in fp16 and int8, rounding alone passes GROSS."""

UNCOMPARED = frozenset({"nothing-compared", "not-finite"})
"""Reasons of rows without a number to look at: they tell nothing of what the cases share."""


@dataclass(frozen=True)
class Pattern:
    """A reason, and the sentence that says which cases hold and which do not."""

    reason: str
    message: str
    axis: str = ""


def pattern(cases: Sequence[CaseResult]) -> Pattern | None:
    """Return what tells the gated cases of one provider that are off from those that hold.

    A case holds, or its values are others, or it has none; rounding that is a little too large is
    in between, and where there is such a case there is no pattern.
    """
    gated = [case for case in cases if case.kind == "gated" and case.outcome != "not-run"]
    bad = [case for case in gated if _off(case)]
    if bad and all(case.values == VARIED for case in bad):
        gated = [case for case in gated if case.values == VARIED]
        if len(bad) == len(gated):
            return Pattern("specialised-constant", _ALIKE)
    good = [case for case in gated if case.status is Status.PASS]
    stopped = any(case.outcome in {"crashed", "timed-out"} for case in bad)
    if not bad or not good or stopped or len(bad) + len(good) < len(gated):
        return None
    for axis in _axes(gated):
        wrong, right = ({_length(case, axis) for case in side} for side in (bad, good))
        mixed = axis == BATCH and right == {1} and not _refused(bad)  # samples meet: any batch does
        if not wrong & right and not mixed:
            return _specialised(axis, wrong, right, refused=_refused(bad))
    same = {_sizes(case) for case in bad} & {_sizes(case) for case in good}
    return _constant(bad, good) if same and not _refused(bad) else None


_ALIKE = (
    "the model holds where all samples are the example's and is far off where they vary: its result"
    " was fixed by the example input of the export"
)


def mixed(cases: Sequence[CaseResult]) -> bool:
    """Say whether the model is off at every batch but one: then samples meet in it."""
    gated = [case for case in cases if case.kind == "gated" and case.outcome == "compared"]
    bad = [case for case in gated if _off(case)]
    if bad and all(case.values == VARIED for case in bad):
        gated = [case for case in gated if case.values == VARIED]
    good = [case for case in gated if case not in bad]
    return bool(bad) and {case.batch for case in good} == {1} and all(c.batch > 1 for c in bad)


def _sizes(case: CaseResult) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(case.axes.items()))


def _off(case: CaseResult) -> bool:
    if case.outcome != "compared":
        return True
    return any(
        row.reason
        and row.reason not in UNCOMPARED
        and (row.relative_l2 is None or row.relative_l2 > max(GROSS, ALLOWED * row.allowed))
        for row in case.rows
    )


def _axes(cases: Iterable[CaseResult]) -> list[str]:
    names = {name for case in cases for name in case.axes} - {BATCH}
    return [BATCH, *sorted(names)]


def _length(case: CaseResult, axis: str) -> int:
    return case.batch if axis == BATCH else case.axes.get(axis, 0)


def _refused(cases: Iterable[CaseResult]) -> str:
    return next((case.error for case in cases if case.error), "")


def _specialised(
    axis: str, wrong: Collection[int], right: Collection[int], *, refused: str
) -> Pattern:
    name = "batch size" if axis == BATCH else f"length of `{axis}`"
    holds = f"the model holds at {name} {_numbers(right)} only"
    fails = f"at {_numbers(wrong)} it gives other values"
    if refused:
        fails = f"at {_numbers(wrong)} the runtime says: {refused}"
    reason = "batch-specialised" if axis == BATCH else "axis-specialised"
    return Pattern(reason, f"{holds}; {fails}", axis)


def _constant(bad: Sequence[CaseResult], good: Sequence[CaseResult]) -> Pattern:
    wrong, right = sorted({c.seed for c in bad}), sorted({c.seed for c in good})
    by_seed = not set(wrong) & set(right)
    which = f"{len(good):,} of {len(good) + len(bad):,} cases hold and the others are far off"
    if by_seed:
        which = f"the model holds for seed {_numbers(right)} and is far off for {_numbers(wrong)}"
    why = "a branch or a value was fixed by the example input of the export"
    return Pattern("specialised-constant", f"{which}: {why}")


def _numbers(values: Collection[int]) -> str:
    *most, last = [f"{value:,}" for value in sorted(values)]
    return f"{', '.join(most)} and {last}" if most else last
