"""What was not compared: no number can be off there, and nothing is proven. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlactions.export.exported import Axis, Exported
from mlactions.export.matrix import Compared
from mlactions.export.result import CaseResult, Finding
from mlactions.export.words import place
from mlactions.settings import Status
from mlactions.text import plural

BATCH = "batch"
BATCHES = (1, 2, 3, 7, 16)
"""Sizes that fall on and beside the powers of two that kernels are written for."""


def uncompared(exported: Exported, cases: Sequence[CaseResult]) -> Iterator[Finding]:
    """Fail where a gated case lacks an output, or an output has no number in any of them."""
    gated = [case for case in cases if case.kind == "gated" and case.outcome == "compared"]
    for output in dict.fromkeys(spec.name for spec in exported.outputs):
        without = [case for case in gated if all(row.output != output for row in case.rows)]
        if without:
            yield _missing(output, without)
        for provider in dict.fromkeys(case.provider for case in gated):
            rows = [
                r for c in gated if c.provider == provider for r in c.rows if r.output == output
            ]
            if rows and not any(row.max_absolute is not None or row.reason for row in rows):
                message = f"Output `{output}` has no finite element in any gated case."
                yield Finding("nothing-compared", "fail", message, provider=provider, output=output)


def _missing(output: str, cases: Sequence[CaseResult]) -> Finding:
    first = cases[0]
    rest = f" Nor is it in {plural(len(cases) - 1, 'more case')}." if cases[1:] else ""
    message = (
        f"At {place(first)}, output `{output}` is not on both sides, torch's and the model's:"
        f" it was not compared.{rest}"
    )
    return Finding(
        "output-missing", "fail", message, first.id, provider=first.provider, output=output
    )


def nothing(cases: Sequence[CaseResult], found: Sequence[Finding]) -> Iterator[Finding]:
    """Fail where a gated case did not pass and nothing else says so. No case passes by silence."""
    gated = [case for case in cases if case.kind == "gated"]
    if any(finding.level == "fail" for finding in found):
        return
    skipped = [case for case in gated if case.outcome == "not-run"]
    wrong = [case for case in gated if case.status is Status.FAIL]
    if skipped:
        message = f"{plural(len(skipped), 'gated case')} did not run."
    elif wrong:
        message = f"{plural(len(wrong), 'gated case')} did not pass, first {place(wrong[0])}."
    elif not any(row.elements for case in gated for row in case.rows):
        message = "No gated case was compared."
    else:
        return
    yield Finding("nothing-compared", "fail", message)


def alike(exported: Exported, compared: Sequence[Compared]) -> Iterator[Finding]:
    """Fail where no input has two samples that differ, and warn of each such input otherwise.

    A constant, a mean of the batch or the example's own result is right for samples all the same.
    Those of one batch have to differ; where there is no batch of two, those of all cases.
    """
    seen: dict[str, set[str]] = {}
    together: dict[str, int] = {}
    gated = [ran for one in compared for ran in one.ran if ran.case.kind == "gated"]
    for ran in gated:
        for name, found in ran.samples.items():
            seen.setdefault(name, set()).update(found)
            together[name] = max(together.get(name, 0), len(set(found)))
    several = any(ran.samples and ran.case.batch > 1 for ran in gated)
    batched = {spec.name for spec in exported.inputs if several and BATCH in spec.shape}
    counts = {n: together[n] if n in batched else len(samples) for n, samples in seen.items()}
    same = [name for name, count in counts.items() if count < 2]  # noqa: PLR2004
    if same and len(same) == len(seen):
        message = (
            "All samples of each gated case are the same: a model that gives one constant, or mixes"
            " the samples of a batch, would match. Give `example-inputs` of which at least four"
            " samples differ, or shapes."
        )
        yield Finding("inputs-alike", "fail", message)
        return
    for name in same:
        message = (
            f"Input `{name}` is the same in all samples of each gated case: what the model makes"
            " of samples with other values is not proven."
        )
        yield Finding("inputs-alike", "warn", message)


def untried(exported: Exported) -> Iterator[Finding]:
    """Say which declared lengths the matrix leaves out.

    An axis must be tried at two lengths and at its longest, the batch at 1, 2, 3, 7 and 16 too,
    unless it forbids one of them.
    """
    if exported.status != "ok":
        return
    gated = [case for case in exported.cases if case.kind == "gated"]
    for axis in exported.axes:
        tried = {length for case in gated if (length := case.axes.get(axis.name)) is not None}
        if axis.high not in tried or (axis.low < axis.high and len(tried) < 2):  # noqa: PLR2004
            message = (
                f"Axis `{axis.name}` is declared for {axis.low:,} to {axis.high:,} and was tried"
                f" at {_lengths(tried)}: its longest and one more length have to be."
            )
            yield Finding("matrix-incomplete", "fail", message)
        elif axis.name == BATCH:
            yield from _batches(axis, tried)
    if not exported.axes:
        sizes = _lengths(
            {length for spec in exported.inputs for length in _first_length(spec.shape)}
        )
        message = (
            f"No axis is dynamic: the model takes batches of {sizes} and no other. Write"
            " `batch` for the first length in `example-inputs` to leave it open."
        )
        yield Finding("batch-fixed", "warn", message)


def _batches(axis: Axis, tried: set[int]) -> Iterator[Finding]:
    left = {size for size in BATCHES if axis.low <= size <= axis.high} - tried
    if left:
        message = f"Batch size {_lengths(left)} was not tried."
        message = message if len(left) == 1 else f"Batch sizes {_lengths(left)} were not tried."
        yield Finding("matrix-incomplete", "fail", message)


def _first_length(shape: Sequence[int | str]) -> Sequence[int]:
    """Return the length of the first axis, if it is fixed."""
    return [length for length in shape[:1] if isinstance(length, int)]


def _lengths(lengths: set[int]) -> str:
    *others, last = [f"{length:,}" for length in sorted(lengths)] or ["none"]
    return f"{', '.join(others)} and {last}" if others else last
