"""What an output's error may be, and whether it is more. Pure: measures in, a row out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlactions.errors import UserError
from mlactions.export.parity import SWAPPED, Measures
from mlactions.export.result import Mode, Parity
from mlactions.settings import Status

DEFAULTS = {"fp32": 1e-5, "fp16": 5e-3, "int8": 1e-1}
"""Tolerances by precision; int8 is what weights of 8 bits leave (docs/benchmarks.md)."""

MOST_RELATIVE_L2 = 0.5
NOISE_FACTOR = 10.0
LOST_FACTOR = 3.0
"""Of torch's own noise, where the output is no longer torch's: its relative L2 is above 0.5."""

SOUND_RELATIVE_L2 = 10.0
"""Times the tolerance: how far a small output may be off as a whole before that is said."""


@dataclass(frozen=True)
class Gate:
    """The tolerance of one output; `named` where the user set it for this very output.

    `strict` for models of full precision: rank and small values count too. In reduced precision
    the task metric decides on them.
    """

    tolerance: float
    mode: Mode
    named: bool = False
    strict: bool = False

    @property
    def relative_l2(self) -> float:
        """Return how far the output as a whole may be off, relative to its own size.

        The scaled error says nothing of outputs far below 1: zeros would pass. Their relative L2
        error is 1. The square root of the tolerance asks for half of the digits that the tolerance
        asks of larger outputs, as is usual where digits cancel (Dennis and Schnabel, Numerical
        Methods for Unconstrained Optimization, 1983, 5.4, take the root of the machine's epsilon).
        """
        return min(MOST_RELATIVE_L2, math.sqrt(self.tolerance))


def read_gates(
    lines: Sequence[str], mode: Mode, precision: str, quantize: str, outputs: Sequence[str]
) -> dict[str, Gate]:
    """Return the gate of every output from lines like `1e-5` and `output=1e-4`."""
    kind = "int8" if quantize != "none" else precision
    named = _named(lines)
    _known(named, outputs)
    general = named.get("", DEFAULTS[kind])
    return {
        output: Gate(named.get(output, general), mode, output in named, kind == "fp32")
        for output in outputs
    }


def check_lines(lines: Sequence[str], outputs: Sequence[str] = ()) -> None:
    """Raise UserError for a line that cannot be; names are checked where `outputs` are known."""
    named = _named(lines)
    if outputs:
        _known(named, outputs)


def _named(lines: Sequence[str]) -> dict[str, float]:
    """Return tolerances by output; the one for all others has no name."""
    found: dict[str, float] = {}
    for line in lines:
        name, _, number = line.rpartition("=")
        found[name.strip()] = _tolerance(number or name, line)
    return found


def _known(named: Mapping[str, float], outputs: Sequence[str]) -> None:
    for name in named:
        if name and name not in outputs:
            known = ", ".join(outputs) or "none"
            raise _bad(f"{name}=", f"the model has no output {name!r}; it has: {known}")


def _tolerance(text: str, line: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise _bad(line, f"{text.strip()!r} is no finite number from 0 up")
    return value


def _bad(line: str, why: str) -> UserError:
    return UserError("bad input", f"`tolerance` {line!r}: {why}.", "Write 1e-5, or output=1e-4.")


@dataclass(frozen=True)
class Own:
    """How far torch is from itself: scaled errors, None where unknown.

    `elsewhere` is the largest such error of this output in all cases. `relative` holds each element
    against its own size: the rounding of large columns says nothing of small ones beside them.
    """

    float64: float | None = None
    threads: float | None = None
    elsewhere: float = 0.0
    relative: float | None = None

    @property
    def largest(self) -> float:
        """Return this case's own noise; another's where it was not measured."""
        known = [noise for noise in (self.float64, self.threads) if noise is not None]
        return max(known, default=self.elsewhere)


def hold(measured: Measures, gate: Gate, own: Own, types: Mapping[str, str]) -> Parity:
    """Hold one output against its gate. `types` has the dtypes allowed beside the reference's."""
    reason, hint = _reason(measured, gate, own, types), measured.hint
    exact = _exact(measured, gate)
    if reason == "output-shape" and not hint:
        hint = f"its shape is {list(measured.shape)}, torch's {list(measured.reference_shape)}"
    elif reason == "output-type":
        hint = f"its type is {measured.dtype}, torch's {measured.reference_dtype}"
    elif reason == "nothing-compared":
        hint = "torch's own output has no finite element"
    elif reason == "top1-changed":
        hint = "the largest score is elsewhere than torch's, by more than the tolerance"
    doubt = "" if reason else _doubt(measured, gate, own)
    small = _small(measured, gate, own)
    return Parity(
        output=measured.output,
        status=Status.FAIL if reason else Status.PASS,
        reason=reason,
        elements=measured.elements,
        mode=gate.mode,
        allowed=0.0 if exact else gate.tolerance,
        allowed_relative_l2=gate.relative_l2 if small else None,
        max_absolute=measured.max_absolute,
        scaled=measured.scaled,
        relative_l2=measured.relative_l2,
        cosine=measured.cosine,
        top1=measured.top1,
        not_finite=measured.not_finite,
        index=measured.index,
        reference=measured.reference,
        value=measured.value,
        noise_float64=own.float64,
        noise_threads=own.threads,
        hint=hint,
        nan=measured.nan,
        doubt=doubt,
    )


def _reason(measured: Measures, gate: Gate, own: Own, types: Mapping[str, str]) -> str:
    if measured.hint.startswith(SWAPPED):
        return "output-order"
    if not measured.comparable:
        return "output-shape"
    if measured.dtype not in {measured.reference_dtype, types.get(measured.reference_dtype)}:
        return "output-type"
    if measured.misplaced:
        return "not-finite"
    if measured.max_absolute is None:
        infinite = measured.not_finite == measured.elements and not measured.nan
        return "" if infinite else "nothing-compared"
    if _exact(measured, gate):
        return "parity" if measured.unequal else ""
    if not _within(measured, gate, own):
        return "parity"
    return "top1-changed" if gate.strict and (measured.top1_lost or 0.0) > gate.tolerance else ""


def _doubt(measured: Measures, gate: Gate, own: Own) -> str:
    """Say what the error of the whole output hides; nothing within the noise of torch itself."""
    if _exact(measured, gate):
        return ""
    hidden = _hidden(measured, gate, own) if gate.strict else ""
    largest = 1.0 if gate.mode == "scaled" else max(1.0, measured.largest)
    return hidden or ("tolerance-large" if gate.tolerance > largest else "")


def _hidden(measured: Measures, gate: Gate, own: Own) -> str:
    if (measured.top1_lost or 0.0) > NOISE_FACTOR * own.largest:
        return "top1-changed"
    if measured.zeroed is not None:
        return "small-values-off"
    noise = own.largest * max(1.0, measured.largest) if own.relative is None else own.relative
    off = measured.relative or 0.0
    if off > max(gate.tolerance, NOISE_FACTOR * noise) and gate.mode == "scaled":
        return "small-values-off"
    whole = (measured.relative_l2 or 0.0) > SOUND_RELATIVE_L2 * gate.tolerance
    small = measured.largest < 1 and own.float64 is not None
    return "small-output-off" if whole and small and _small(measured, gate, own) else ""


def _within(measured: Measures, gate: Gate, own: Own) -> bool:
    """Return whether both errors are allowed; one that is no number is not."""
    error = measured.scaled if gate.mode == "scaled" else measured.max_absolute
    if error is None or not error <= gate.tolerance:
        return False
    relative = measured.relative_l2
    return relative is None or not _small(measured, gate, own) or relative <= gate.relative_l2


def _exact(measured: Measures, gate: Gate) -> bool:
    """Return whether every element must be the same: indices and counts have no rounding.

    A tolerance counts for them if it names the output.
    """
    return not measured.reference_dtype.startswith("float") and not gate.named


def _small(measured: Measures, gate: Gate, own: Own) -> bool:
    """Return whether the relative L2 error counts.

    Not where the error is as small as torch's own: what is nothing but rounding has no digits. An
    output that is lost altogether, as zeros are, has to be closer to that noise.
    """
    if _exact(measured, gate) or measured.max_absolute is None or measured.relative_l2 is None:
        return False
    lost = measured.relative_l2 > MOST_RELATIVE_L2
    noise = own.largest * max(1.0, measured.largest)
    return measured.max_absolute > (LOST_FACTOR if lost else NOISE_FACTOR) * noise
