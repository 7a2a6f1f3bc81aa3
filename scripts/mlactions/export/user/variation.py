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
    """The samples that were seen of every input, as digests, no more than ENOUGH of each.

    Those of one case count by themselves too: samples of a batch that are all the same hide that it
    is mixed, however much they differ from those of another case.
    """

    def __init__(self, tensors: Sequence[tuple[str, Sequence[int | str]]]) -> None:
        self._axes = {
            n: list(shape).index(BATCH) if BATCH in shape else None for n, shape in tensors
        }
        self.seen: dict[str, set[str]] = {name: set() for name in self._axes}
        self._together = dict.fromkeys(self._axes, 0)
        self._wanted = dict.fromkeys(self._axes, 0)

    def add(self, arrays: Mapping[str, Any]) -> None:
        """Look at one case's inputs."""
        for name in self.seen.keys() & set(arrays):
            count, found = 0, set[str]()
            for sample in _samples(arrays[name], self._axes[name]):
                count += 1
                found.add(_digest(sample))
                if len(found) >= ENOUGH:
                    break
            self._wanted[name] = max(self._wanted[name], min(count, ENOUGH))
            self._together[name] = max(self._together[name], len(found))
            self.seen[name] = set(sorted(self.seen[name] | found)[:ENOUGH])

    def alike(self) -> list[str]:
        """Return the inputs of which too few samples differ, in all cases or within each."""
        return [
            name
            for name, seen in self.seen.items()
            if len(seen) < ENOUGH or self._together[name] < self._wanted[name]
        ]


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
    found = dict(arrays)
    for tensor in tensors:
        array, shown = arrays[tensor["name"]], example[tensor["name"]]
        if set(np.unique(shown).tolist()) == {0, 1}:
            varied = _shuffled(array, tensor["shape"], generator)
        else:
            varied = _drawn(array, bounds(tensor, shown, array), generator)
        found[tensor["name"]] = np.asarray(varied)
    return found


def bounds(tensor: Mapping[str, Any], example: Any, array: Any) -> tuple[Any, Any]:
    """Return the range of whole numbers, by place: columns of a table have their own categories.

    Places along dynamic axes share one range. Where no place of the example has two values, as in
    one row, all of them have the range of the whole.
    """
    if array.dtype.kind not in "iu":
        return None, None
    dynamic = tuple(p for p, length in enumerate(tensor["shape"]) if isinstance(length, str))
    low, high = (pick(axis=dynamic, keepdims=True) for pick in (example.min, example.max))
    fits = all(one in {1, length} for one, length in zip(low.shape, array.shape, strict=True))
    return (low, high) if fits and (low < high).any() else (tensor["low"], tensor["high"])


def _drawn(array: Any, limits: tuple[Any, Any], generator: np.random.Generator) -> Any:
    """Redraw whole numbers within their range, and shrink all others a little."""
    if array.dtype.kind in "iu":
        return generator.integers(*limits, array.shape, dtype=array.dtype, endpoint=True)
    if array.dtype.kind != "f":
        return array
    share = SHRINK * generator.random(array.shape)
    return (array * (1 - share) if array.any() else share).astype(array.dtype)


def _shuffled(array: Any, shape: Sequence[int | str], generator: np.random.Generator) -> Any:
    """Shuffle flags along the last axis of a sample, so that as many are set in each row as before.

    A mask keeps one at least, a category exactly one. Where a sample is one flag, samples change
    places.
    """
    places = [p for p, axis in enumerate(shape) if axis != BATCH and array.shape[p] > 1]
    if places:
        return generator.permuted(array, axis=places[-1])
    return generator.permutation(array.reshape(-1)).reshape(array.shape)
