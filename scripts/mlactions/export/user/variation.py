"""Whether inputs differ from sample to sample, and how they are made to where they do not.

A model that gives one constant, or mixes the samples of a batch, is right wherever all samples are
the same: an example of one row, repeated, proves nothing. Needs numpy alone; verify counts with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

BATCH = "batch"
ENOUGH = 4
"""Samples that differ; an input with fewer is varied."""

SHRINK = 0.2
"""Numbers lose up to this share, so they keep their sign and stay within what was observed."""


class Samples:
    """The samples that were seen of every input, as digests, no more than ENOUGH of each."""

    def __init__(self, tensors: Sequence[tuple[str, Sequence[int | str]]]) -> None:
        self._axes = {
            n: list(shape).index(BATCH) if BATCH in shape else None for n, shape in tensors
        }
        self.seen: dict[str, set[str]] = {name: set() for name in self._axes}

    def add(self, arrays: Mapping[str, Any]) -> None:
        """Look at one case's inputs."""
        for name in self.seen.keys() & set(arrays):
            seen = self.seen[name]
            for sample in _samples(arrays[name], self._axes[name]):
                if len(seen) >= ENOUGH:
                    break
                seen.add(_digest(sample))

    def alike(self) -> list[str]:
        """Return the inputs of which too few samples differ."""
        return [name for name, seen in self.seen.items() if len(seen) < ENOUGH]


def _samples(array: Any, axis: int | None) -> Iterator[Any]:
    """Yield the slices along the batch; an input without one is a single sample."""
    if axis is None or array.ndim <= axis:
        yield array
    else:
        yield from np.moveaxis(array, axis, 0)


def _digest(sample: Any) -> str:
    """Return a digest of the values; one value all over is the same at every length."""
    values = np.ascontiguousarray(sample).reshape(-1)
    if values.size and (values == values[0]).all():
        values = values[:1]
    return hashlib.blake2b(values.tobytes(), digest_size=8).hexdigest()


def vary(
    arrays: Mapping[str, Any],
    example: Mapping[str, Any],
    tensors: Sequence[Mapping[str, Any]],
    seed: int,
) -> dict[str, Any]:
    """Return inputs of which those of `tensors` differ from sample to sample.

    The example as a whole says which of them are flags: one row of a mask may be all ones.
    """
    generator = np.random.default_rng([abs(seed), int(seed < 0), len(tensors)])
    return dict(arrays) | {
        tensor["name"]: _shuffled(arrays[tensor["name"]], tensor["shape"], generator)
        if set(np.unique(example[tensor["name"]]).tolist()) == {0, 1}
        else _drawn(arrays[tensor["name"]], tensor, generator)
        for tensor in tensors
    }


def _drawn(array: Any, tensor: Mapping[str, Any], generator: np.random.Generator) -> Any:
    """Redraw whole numbers within their range, and shrink all others a little."""
    if array.dtype.kind in "iu":
        low, high = int(tensor["low"]), int(tensor["high"])
        return generator.integers(low, high, array.shape, dtype=array.dtype, endpoint=True)
    if array.dtype.kind != "f":
        return array
    share = SHRINK * generator.random(array.shape)
    return (array * (1 - share) if array.any() else share).astype(array.dtype)


def _shuffled(array: Any, shape: Sequence[int | str], generator: np.random.Generator) -> Any:
    """Shuffle flags within their sample: as many are set as before, in a mask at least one."""
    axis = list(shape).index(BATCH) if BATCH in shape else 0
    samples = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1) if array.ndim else array
    if array.ndim < 2:  # noqa: PLR2004  # a flag a sample
        return generator.permutation(samples.reshape(-1)).reshape(array.shape)
    mixed = generator.permuted(samples, axis=1)
    moved = [length for place, length in enumerate(array.shape) if place != axis]
    return np.ascontiguousarray(np.moveaxis(mixed.reshape(array.shape[axis], *moved), 0, axis))
