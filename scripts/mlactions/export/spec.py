"""What a user writes about inputs and axes, and the cases that follow from it. Pure.

pixels: float32[batch,1,8,8]
tokens: int64[batch,sequence] in 0..30521
sequence=1..512
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlactions.errors import UserError
from mlactions.export.exported import Axis, TensorSpec, Values

BATCH = "batch"
BATCH_RANGE = (1, 64)
TRACED_BATCH = 2
"""The exporter takes an axis of length 1 for a constant, so two are traced."""

LARGEST_AXIS = 2**20
MAX_CASES = 500

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
_RANGES = {"int8": (-128, 127), "int16": (-(2**15), 2**15 - 1), "uint8": (0, 255)}

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TENSOR = re.compile(
    rf"(?P<name>{_NAME}(?:\.{_NAME})*)\s*:\s*(?P<dtype>[a-z]+\d*)\s*\[(?P<shape>[^\[\]]*)\]"
    rf"(?:\s+in\s+(?P<low>{_NUMBER})\s*\.\.\s*(?P<high>{_NUMBER}))?"
)
_AXIS = re.compile(rf"(?P<name>{_NAME})\s*=\s*(?P<low>\d{{1,9}})\s*\.\.\s*(?P<high>\d{{1,9}})")
_DYNAMIC = re.compile(rf"(?P<name>{_NAME}(?:\.{_NAME})*)\s*\[(?P<axes>[^\[\]]*)\]")
_TARGET = re.compile(rf"{_NAME}(?:\.{_NAME})*:{_NAME}(?:\.{_NAME})*")


@dataclass(frozen=True)
class Examples:
    """Where example inputs come from: shapes, a function, or a file. One of the three is set."""

    tensors: tuple[TensorSpec, ...] = ()
    target: str = ""
    path: str = ""


@dataclass(frozen=True)
class CasePlan:
    """One input to draw. `axes` holds the lengths that differ from the traced input's."""

    id: str
    kind: str
    axes: Mapping[str, int]
    seed: int
    values: Values
    noise: bool


def _wrong(field: str, line: str, why: str, hint: str) -> UserError:
    return UserError("bad input", f"`{field}` has {line!r}: {why}.", hint)


def parse_examples(lines: Sequence[str]) -> Examples:
    """Read `example-inputs`: declared tensors, one `package.module:function`, or one .npz."""
    if not lines:
        raise UserError(
            "bad input",
            "`example-inputs` is missing.",
            "Write for each input a line like `pixels: float32[batch,1,8,8]`.",
        )
    if len(lines) == 1 and lines[0].endswith(".npz"):
        return Examples(path=lines[0])
    if len(lines) == 1 and _TARGET.fullmatch(lines[0]):
        return Examples(target=lines[0])
    tensors = tuple(parse_tensor(line) for line in lines)
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise UserError("bad input", "`example-inputs` declares one name twice.")
    return Examples(tensors=tensors)


def parse_tensor(line: str) -> TensorSpec:
    """Read `name: dtype[axes] in low..high`."""
    field = "example-inputs"
    match = _TENSOR.fullmatch(line.strip())
    if match is None:
        hint = (
            "Write `pixels: float32[batch,1,8,8]`, `tokens: int64[batch,sequence] in 0..30521`,"
            " package.module:function, or the path of an .npz."
        )
        raise _wrong(field, line, "that is no declaration of an input", hint)
    dtype = match["dtype"]
    if dtype not in {*FLOATS, *INTEGERS, "bool"}:
        known = ", ".join((*FLOATS, *INTEGERS, "bool"))
        raise _wrong(field, line, f"`{dtype}` is no dtype that is supported", f"Use {known}.")
    low, high = _range(line, dtype, match["low"], match["high"])
    return TensorSpec(match["name"], dtype, _shape(line, match["shape"]), low, high)


def _shape(line: str, text: str) -> tuple[int | str, ...]:
    shape: list[int | str] = []
    for word in [part.strip() for part in text.split(",")] if text.strip() else []:
        if word.isdecimal() and 0 < int(word) <= LARGEST_AXIS:
            shape.append(int(word))
        elif re.fullmatch(_NAME, word):
            shape.append(word)
        else:
            hint = "Write a positive number for a fixed axis, a name for a dynamic one."
            raise _wrong("example-inputs", line, f"{word!r} is no axis", hint)
    return tuple(shape)


def _range(
    line: str, dtype: str, low_text: str | None, high_text: str | None
) -> tuple[float | None, float | None]:
    field = "example-inputs"
    if low_text is None or high_text is None:
        if dtype in INTEGERS:
            hint = f"Say which values it takes: `{line.strip()} in 0..30521`."
            raise _wrong(field, line, "an integer input needs its range", hint)
        return (0, 1) if dtype == "bool" else (None, None)
    if dtype == "bool":
        raise _wrong(field, line, "a bool has no range", "Leave out `in`.")
    low, high = float(low_text), float(high_text)
    if not (low <= high and math.isfinite(low) and math.isfinite(high)):
        raise _wrong(field, line, "the range is empty", "Write the smaller number first.")
    if dtype not in INTEGERS:
        return low, high
    bits = (-(2**31), 2**31 - 1) if dtype == "int32" else (-(2**53), 2**53)
    least, most = _RANGES.get(dtype, bits)
    if not (low.is_integer() and high.is_integer() and least <= low and high <= most):
        hint = f"Write whole numbers from {least} to {most}."
        raise _wrong(field, line, f"that is no range of {dtype}", hint)
    return int(low), int(high)


def parse_axes(lines: Iterable[str]) -> dict[str, Axis]:
    """Read `sequence=1..512`; the batch, undeclared, is 1 to 64."""
    axes = {BATCH: Axis(BATCH, *BATCH_RANGE)}
    seen: set[str] = set()
    for line in lines:
        match = _AXIS.fullmatch(line.strip())
        if match is None:
            raise _wrong("axes", line, "that is no axis", "Write `sequence=1..512`.")
        name, low, high = match["name"], int(match["low"]), int(match["high"])
        if not 1 <= low < high <= LARGEST_AXIS or high < TRACED_BATCH:
            hint = "Write the shortest and the longest, `sequence=1..512`; one length is no axis."
            raise _wrong("axes", line, "those are no two lengths", hint)
        if name in seen:
            raise _wrong("axes", line, "this axis is declared twice", "Keep one of them.")
        seen.add(name)
        axes[name] = Axis(name, low, high)
    return axes


def parse_dynamic(lines: Iterable[str]) -> dict[str, tuple[str | None, ...]]:
    """Read `tokens[batch,sequence]`: the names of an array's axes, `_` for a fixed one."""
    found: dict[str, tuple[str | None, ...]] = {}
    hint = "Write `tokens[batch,sequence]`; `_` stands for a fixed axis."
    for line in lines:
        match = _DYNAMIC.fullmatch(line.strip())
        words = [w.strip() for w in match["axes"].split(",")] if match and match["axes"] else []
        if match is None or not all(re.fullmatch(_NAME, word) for word in words):
            raise _wrong("dynamic", line, "that names no axes", hint)
        if match["name"] in found:
            raise _wrong("dynamic", line, "this input is named twice", "Keep one of them.")
        found[match["name"]] = tuple(None if word == "_" else word for word in words)
    return found


def check_declared(examples: Examples, axes: Mapping[str, Axis]) -> None:
    """Refuse a dynamic axis of a declared input whose lengths nobody said."""
    for tensor in examples.tensors:
        for axis in tensor.shape:
            if isinstance(axis, str) and axis not in axes:
                raise UserError(
                    "bad input",
                    f"`{axis}` is a dynamic axis of `{tensor.name}`, and `axes` does not say how"
                    " long it may be.",
                    f"Write in `axes`: `{axis}=1..512`.",
                )


def traced_lengths(axes: Mapping[str, Axis]) -> dict[str, int]:
    """Return the length of every axis in the input that is traced.

    Two, or what comes closest, for the batch; the others differ from it and from each other, so
    that no two axes are taken for one.
    """
    lengths: dict[str, int] = {}
    for number, name in enumerate(sorted(axes, key=lambda name: (name != BATCH, name))):
        wanted = TRACED_BATCH if name == BATCH else 5 + 2 * number
        lengths[name] = min(max(wanted, axes[name].low), axes[name].high)
    return lengths


def plan_cases(
    axes: Mapping[str, Axis], batch_sizes: Sequence[int], seeds: Sequence[int]
) -> tuple[CasePlan, ...]:
    """Return the parity matrix: every batch with every seed, every other axis at five lengths.

    A longest batch that nobody asked for gets one seed, for it costs most. The edges (zeros, large,
    denormal) follow; they are reported, not gated.
    """
    batch = axes.get(BATCH)
    cases: list[CasePlan] = []
    for size in batches(batch, batch_sizes):
        given = {BATCH: size} if batch else {}
        asked = batch is None or size in batch_sizes or size == batch.low
        for seed in seeds if asked else seeds[:1]:
            noise = asked and seed == seeds[0]
            name = f"batch-{size}-seed-{seed}"
            cases.append(CasePlan(name, "gated", given, seed, "random", noise))
    for name in sorted(axes.keys() - {BATCH}):
        cases += [
            CasePlan(f"axis-{name}-{n}", "gated", {name: n}, seeds[0], "random", noise=True)
            for n in lengths(axes[name])
        ]
    kinds: tuple[Values, ...] = ("zeros", "large", "denormal")
    cases += [CasePlan(f"edge-{kind}", "edge", {}, seeds[0], kind, noise=False) for kind in kinds]
    if len(cases) > MAX_CASES:
        raise UserError(
            "bad input",
            f"`batch-sizes`, `seeds` and `axes` make {len(cases)} cases.",
            f"Name fewer: {MAX_CASES} at most.",
        )
    return tuple(cases)


def batches(axis: Axis | None, wanted: Sequence[int]) -> list[int]:
    """Return the batch sizes within the axis, the smallest and the largest always among them."""
    if axis is None:
        return [1]
    return sorted(
        {size for size in wanted if axis.low <= size <= axis.high} | {axis.low, axis.high}
    )


def lengths(axis: Axis) -> list[int]:
    """Return up to five lengths of an axis: both ends, their neighbours, the middle."""
    low, high = axis.low, axis.high
    return sorted({low, low + 1, (low + high) // 2, high - 1, high})
