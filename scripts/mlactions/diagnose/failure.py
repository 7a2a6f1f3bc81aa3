"""What `train` found of a training that ended too early: its class, the line, the advice. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlactions.diagnose.model import Cause, Failed, Level, Number, Sign, Strength

MEMORY = frozenset({"gpu-out-of-memory", "host-out-of-memory"})
"""Classes that a rule of our own speaks for."""

STOPPED = frozenset({"pre-empted", "time-limit", "cancelled"})
"""Classes of a training that nothing is wrong with."""

TITLES: Mapping[str, str] = {
    "nan-loss": "The loss became NaN or infinite",
    "nccl": "Processes lost each other",
    "data-missing": "Data are missing",
    "import-error": "A module cannot be imported",
    "config-changed": "The checkpoint is of another configuration",
    "stalled": "The training stalled",
    "disk-full": "The disk was full",
}
CODE = "train-failure"
_MAX = 400


def failure_signs(failed: Failed | None) -> Iterator[Sign]:
    """Yield what was seen at its end, with the line of the log and the place in the code."""
    if failed is None or failed.kind in MEMORY:
        return
    seen = failed.evidence.replace("`", "")[:_MAX].rstrip(".")
    place = f", in `{failed.place}`" if failed.place else ""
    values: dict[str, Number] = {"class": failed.kind, "line": failed.line}
    if failed.kind in STOPPED:
        yield Sign(CODE, "notice", f"It was stopped before its end: {seen}.", values=values)
    elif failed.line:
        message = f"`train.log` line {failed.line:,} says: {seen}{place}."
        yield Sign(CODE, "fail", message, values=values)
    else:
        yield Sign(CODE, "fail", f"`train` saw this: {seen}{place}.", values=values)


def failure_causes(failed: Failed | None) -> Iterator[Cause]:
    """Yield the class as a cause; a loss that is NaN has causes of its own, so it is only one."""
    if failed is None or failed.kind not in TITLES:
        return
    if failed.kind == "nan-loss":
        yield _cause(failed, "notice", "possible")
    else:
        yield _cause(failed, "fail", "shown")


def _cause(failed: Failed, level: Level, strength: Strength) -> Cause:
    remedy = " ".join(failed.advice)
    return Cause(failed.kind, level, strength, TITLES[failed.kind], (CODE,), remedy)
