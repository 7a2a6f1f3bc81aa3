"""The parity matrix: every case on every execution provider, through workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mlactions.export.exported import Case, Exported
from mlactions.export.parity import Measures
from mlactions.export.result import Provider
from mlactions.export.session import Answer, Workers

MAX_RESTARTS = 3
CPU = "CPUExecutionProvider"
NOT_LOCAL = frozenset({"AzureExecutionProvider"})
"""Listed by every build of onnxruntime; it calls a service and runs no model."""


@dataclass(frozen=True)
class Ran:
    """What became of one case: the measures of its outputs, or why there are none.

    `samples` has digests of the samples that differ, by input; a few of them are enough.
    """

    case: Case
    outcome: Literal["compared", "refused", "crashed", "timed-out", "not-run"]
    measures: tuple[Measures, ...] = ()
    error: str = ""
    samples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """All cases on one provider."""

    provider: Provider
    runtime: str
    ran: tuple[Ran, ...]
    available: tuple[str, ...] = ()


def compare_all(workers: Workers, asked: Sequence[str], exported: Exported) -> tuple[Compared, ...]:
    """Run every case on the providers asked for; if none is, on each one that is present."""
    if asked:
        return tuple(compare(workers, provider, exported) for provider in asked)
    first = compare(workers, CPU, exported)
    others = [name for name in first.available if name not in {CPU, *NOT_LOCAL}]
    return (first, *(compare(workers, provider, exported) for provider in others))


def compare(workers: Workers, provider: str, exported: Exported) -> Compared:
    """Run every case on one provider; after a crash the cases behind it get another process."""
    found: dict[str, Ran] = {}
    about = {
        "inputs": {spec.name: list(spec.shape) for spec in exported.inputs},
        "outputs": [spec.name for spec in exported.outputs],
    }
    pending, peak = list(exported.cases), 0
    runtime: Mapping[str, Any] = {"version": "", "available": ()}
    state = Provider(provider, "used")
    for _ in range(1 + MAX_RESTARTS):
        asked = [_asked(workers, case) for case in pending]
        answer = workers.ask("compare", provider=provider, cases=asked, **about)
        opened = answer.first("session")
        peak = max(peak, answer.peak_memory_bytes or 0)
        runtime = answer.first("runtime") or runtime
        state = _state(provider, answer, opened, workers)
        if state.state != "used":
            break
        found |= _found(answer, pending, workers)
        pending = [case for case in pending if case.id not in found]
        if not pending or answer.outcome == "answered":
            break
    done = Provider(provider, state.state, state.detail, peak or None)
    ran = tuple(found.get(case.id) or Ran(case, "not-run") for case in exported.cases)
    return Compared(done, runtime["version"], ran, tuple(runtime["available"]))


def _asked(workers: Workers, case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "inputs": str(workers.bundle / case.inputs),
        "reference": str(workers.bundle / case.reference),
    }


def _state(
    name: str, answer: Answer, opened: Mapping[str, Any] | None, workers: Workers
) -> Provider:
    """Return whether there was a session on this provider, and if not, why."""
    if opened is None:
        ended: Literal["crashed", "timed-out"] = "crashed"
        if answer.outcome == "timed-out":
            ended = "timed-out"
        return Provider(name, ended, answer.detail)
    if not opened["ok"]:
        return Provider(name, "refused", workers.shown(opened["error"]))
    used = opened["providers"]
    if used[:1] != [name]:
        return Provider(name, "absent", f"the runtime took {', '.join(used)} instead")
    return Provider(name, "used")


def _found(answer: Answer, cases: Sequence[Case], workers: Workers) -> dict[str, Ran]:
    """Return what became of the cases this worker came to."""
    by_id = {case.id: case for case in cases}
    found: dict[str, Ran] = {}
    begun = ""
    for line in answer.lines:
        if line["event"] == "begin":
            begun = line["id"]
        elif line["event"] == "case":
            found[line["id"]] = _ran(by_id[line["id"]], line, workers)
    if begun and begun not in found and answer.outcome != "answered":
        found[begun] = Ran(by_id[begun], answer.outcome, (), answer.detail)
    return found


def _ran(case: Case, line: Mapping[str, Any], workers: Workers) -> Ran:
    if not line["ok"]:
        return Ran(case, "refused", (), workers.shown(line["error"]))
    samples = {name: tuple(found) for name, found in line["samples"].items()}
    return Ran(case, "compared", tuple(map(_measures, line["rows"])), samples=samples)


def _measures(row: Mapping[str, Any]) -> Measures:
    shapes = {name: tuple(row[name]) for name in ("reference_shape", "shape")}
    index = None if row["index"] is None else tuple(row["index"])
    return Measures(**{**row, **shapes, "index": index})
