"""How far a model's output is from torch's: pure numpy, in pieces, so that memory stays bounded.

Sums are taken in float64. Nothing is added to a tolerance: `numpy.allclose` adds a relative term
of 1e-5 unless told otherwise, and then passes what is asked to be stricter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mlactions.export.arrays import Array

PIECE = 1 << 20
"""Elements looked at together: a few pieces in float64 take some 40 MB."""

GROSS = 1e-2
"""A relative L2 above this is no rounding: another value was computed."""

MOVED_ROWS = 4096
"""Rows that choose otherwise than torch, looked at: more tell nothing new."""

COLUMN_ROWS = 3
TINY = 1e-30
"""Torch's numbers below this may be zeros: of softmax, underflow is not wrong."""

HINT_ELEMENTS = 1 << 22
SWAPPED = "it equals torch's `"
"""How a hint begins that names another output."""


@dataclass(frozen=True)
class Measures:
    """One output of one case against the reference, before anything is decided.

    `max_absolute`, `relative_l2` and `cosine` are over the elements that are finite on both sides.
    `misplaced` counts elements that are NaN or infinite on one side only, or with another sign;
    `not_finite` those that are so in the reference. `index` is the first misplaced element if there
    is one, else the worst. `top1_lost` is by how much torch preferred its largest score to the
    model's, over max(1, largest magnitude of the row), in the worst row; `relative` the largest
    error over 1 + the element's own magnitude; `zeroed` a place of the last axis where the model
    gives zeros only, and torch none.
    """

    output: str
    reference_dtype: str
    dtype: str
    reference_shape: tuple[int, ...]
    shape: tuple[int, ...]
    elements: int = 0
    unequal: int = 0
    misplaced: int = 0
    not_finite: int = 0
    nan: int = 0
    largest: float = 0.0
    max_absolute: float | None = None
    relative_l2: float | None = None
    cosine: float | None = None
    top1: float | None = None
    top1_lost: float | None = None
    relative: float | None = None
    zeroed: int | None = None
    index: tuple[int, ...] | None = None
    reference: str = ""
    value: str = ""
    hint: str = ""

    @property
    def comparable(self) -> bool:
        """False where the shapes differ: there is nothing to subtract."""
        return self.reference_shape == self.shape

    @property
    def scaled(self) -> float | None:
        """The largest error over max(1, largest magnitude of the reference)."""
        return None if self.max_absolute is None else self.max_absolute / max(1.0, self.largest)


def measure(output: str, reference: Array, value: Array) -> Measures:
    """Measure one output against its reference."""
    about = Measures(
        output, str(reference.dtype), str(value.dtype), tuple(reference.shape), tuple(value.shape)
    )
    if not about.comparable or reference.size == 0:
        return about
    sums = _Sums()
    for start, r, v in _pieces(reference, value):
        sums.add(start, r, v)
    index = tuple(int(i) for i in np.unravel_index(sums.place, reference.shape))
    return Measures(
        **{name: getattr(about, name) for name in _NAMES},
        elements=int(reference.size),
        unequal=sums.unequal,
        misplaced=sums.misplaced,
        not_finite=sums.not_finite,
        nan=sums.nan,
        largest=sums.largest,
        max_absolute=_finite(sums.worst) if sums.compared else None,
        relative_l2=_ratio(sums.errors, sums.references),
        cosine=_cosine(sums),
        top1=_top1(reference, value),
        top1_lost=_top1_lost(reference, value),
        relative=_finite(sums.relative) if sums.compared else None,
        zeroed=_zeroed(reference, value),
        index=index,
        reference=_text(reference[index]),
        value=_text(value[index]),
    )


_NAMES = ("output", "reference_dtype", "dtype", "reference_shape", "shape")


class _Sums:
    """What is gathered over the pieces of an output."""

    def __init__(self) -> None:
        self.unequal = self.misplaced = self.not_finite = self.nan = self.compared = 0
        self.errors = self.references = self.values = self.products = 0.0
        self.largest, self.worst, self.place = 0.0, -1.0, 0
        self.relative = 0.0

    def add(self, start: int, reference: Array, value: Array) -> None:
        """Take one piece; `start` is the flat index of its first element."""
        self.unequal += int(np.count_nonzero(reference != value))
        r, v = reference.astype(np.float64), value.astype(np.float64)
        finite = np.isfinite(r) & np.isfinite(v)
        same = (r == v) | (np.isnan(r) & np.isnan(v))
        misplaced = ~finite & ~same
        if misplaced.any() and not self.misplaced:
            self.place = start + int(np.argmax(misplaced))
        self.misplaced += int(np.count_nonzero(misplaced))
        self.not_finite += int(np.count_nonzero(~np.isfinite(r)))
        self.nan += int(np.count_nonzero(np.isnan(r)))
        self.compared += int(np.count_nonzero(finite))
        r, v = np.where(finite, r, 0.0), np.where(finite, v, 0.0)
        self._add_finite(start, r, v, np.abs(v - r))

    def _add_finite(self, start: int, r: Array, v: Array, error: Array) -> None:
        worst = int(np.argmax(error))
        if error[worst] > self.worst:
            self.worst = float(error[worst])
            self.place = self.place if self.misplaced else start + worst
        self.largest = max(self.largest, float(np.abs(r).max()))
        self.relative = max(self.relative, float((error / (1.0 + np.abs(r))).max()))
        self.errors += float(np.dot(error, error))
        self.references += float(np.dot(r, r))
        self.values += float(np.dot(v, v))
        self.products += float(np.dot(r, v))


def _pieces(reference: Array, value: Array) -> Iterator[tuple[int, Array, Array]]:
    flat, other = reference.reshape(-1), value.reshape(-1)
    for start in range(0, flat.size, PIECE):
        yield start, flat[start : start + PIECE], other[start : start + PIECE]


def _ratio(errors: float, references: float) -> float | None:
    """Return a relative L2 error; None where the reference is all zeros."""
    return _finite(math.sqrt(errors / references)) if references > 0 else None


def _cosine(sums: _Sums) -> float | None:
    both = math.sqrt(sums.references) * math.sqrt(sums.values)
    return _finite(sums.products / both) if both > 0 else None


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _top1(reference: Array, value: Array) -> float | None:
    """Return the share of rows whose largest element is at the same place."""
    scores = np.issubdtype(reference.dtype, np.floating) and reference.ndim > 1
    if not scores or reference.shape[-1] < 2:  # noqa: PLR2004  # one score has no rival
        return None
    return float(np.mean(np.argmax(reference, axis=-1) == np.argmax(value, axis=-1)))


def _top1_lost(reference: Array, value: Array) -> float | None:
    """Return how much of torch's preference was lost in the worst row that chooses otherwise."""
    if _top1(reference, value) is None:
        return None
    width = reference.shape[-1]
    rows, others = reference.reshape(-1, width), value.reshape(-1, width)
    own, chosen = np.argmax(rows, axis=-1), np.argmax(others, axis=-1)
    moved = np.flatnonzero(own != chosen)[:MOVED_ROWS]
    if not moved.size:
        return None
    picked = rows[moved].astype(np.float64)
    places = np.arange(moved.size)
    lost = picked[places, own[moved]] - picked[places, chosen[moved]]
    found = lost / np.maximum(1.0, np.abs(picked).max(axis=-1))
    return float(found[np.isfinite(found)].max(initial=0.0))


def _zeroed(reference: Array, value: Array) -> int | None:
    """Return a place of the last axis that is zero in every row, and in none of torch's."""
    if reference.ndim < 2 or not np.issubdtype(reference.dtype, np.floating):  # noqa: PLR2004  # one row has no columns
        return None
    width = reference.shape[-1]
    rows, others = reference.reshape(-1, width), value.reshape(-1, width)
    if len(rows) < COLUMN_ROWS:
        return None
    empty = np.flatnonzero(~others.any(axis=0))
    there = (np.abs(rows[:, empty]) > TINY).all(axis=0)
    return int(empty[there][0]) if there.any() else None


def _text(value: np.generic) -> str:
    return f"{value:.9g}" if isinstance(value, np.floating) else str(value)


def hint(output: str, references: Mapping[str, Array], value: Array) -> str:
    """Say what a wrong output looks like; nothing where it looks like nothing known.

    Outputs of more than 4 million elements are not searched: it costs more than it tells.
    """
    reference = references[output]
    if value.size > HINT_ELEMENTS or value.size == 0:
        return ""
    if value.shape == reference.shape and not np.any(value) and np.any(reference):
        return "all of it is zero"
    for name, other in references.items():
        if name != output and _alike(other, value):
            return f"{SWAPPED}{name}`"
    if value.ndim > 1 and _alike(np.swapaxes(reference, -1, -2), value):
        return "it equals torch's with the last two axes swapped"
    if value.shape == reference.shape and value.ndim > 0 and value.shape[0] > 1:
        for shift in (1, -1):
            if _alike(np.roll(reference, shift, axis=0), value):
                return "it equals torch's with the samples shifted by one"
    return ""


def _alike(reference: Array, value: Array) -> bool:
    if reference.shape != value.shape:
        return False
    r, v = reference.astype(np.float64), value.astype(np.float64)
    scale = float(np.linalg.norm(np.nan_to_num(r)))
    return scale > 0 and float(np.linalg.norm(np.nan_to_num(v) - np.nan_to_num(r))) < GROSS * scale
