"""Example inputs: drawn from declared shapes, or cut from what the user gives."""

from __future__ import annotations

import inspect
import random
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .loading import find
from .problems import BadInput, Sources, first_line
from .variation import bounds

Arrays = dict[str, "np.ndarray[Any, Any]"]
Axes = Mapping[str, int]

LARGE = 1e4
DENORMAL = 1e-40
"""Below the smallest normal float32, 1.2e-38."""

_DTYPES = {
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool",
}  # fmt: skip


class Source:
    """Where inputs come from. `tensors` are their declarations, with names for dynamic axes."""

    def __init__(self, tensors: list[dict[str, Any]]) -> None:
        self.tensors = tensors

    def random(self, axes: Axes, seed: int) -> Arrays:
        """Return one set of inputs whose dynamic axes have the lengths given."""
        raise NotImplementedError

    def draw(self, axes: Axes, seed: int, values: str) -> Arrays:
        """Return inputs of one kind: random, or one that tries the edges of the numbers."""
        arrays = self.random(axes, seed)
        if values == "random":
            return arrays
        found = {}
        for tensor in self.tensors:
            array = arrays[tensor["name"]]
            found[tensor["name"]] = _edge(array, self.limits(tensor, array), values)
        return found

    def limits(self, tensor: Mapping[str, Any], array: Any) -> tuple[Any, Any]:
        """Return the range of an input, which counts for whole numbers."""
        del array
        return tensor["low"], tensor["high"]


def _edge(array: Any, limits: tuple[Any, Any], values: str) -> Any:
    """Fill an input with one value; integers stay in their range, which has no denormals."""
    low, high = limits
    if array.dtype.kind == "b":
        return np.full_like(array, values == "large")
    if array.dtype.kind in "iu":
        nought = np.maximum(low, np.minimum(0, high))
        return np.full_like(array, high if values == "large" else nought)
    fill = {"zeros": 0.0, "large": LARGE, "denormal": DENORMAL}[values]
    return np.full_like(array, fill)


class Declared(Source):
    """Inputs drawn from shapes, dtypes and ranges."""

    def random(self, axes: Axes, seed: int) -> Arrays:
        """Draw every input from a generator of its own: one more input changes no other."""
        return {tensor["name"]: _draw(tensor, axes, seed) for tensor in self.tensors}


def _draw(tensor: Mapping[str, Any], axes: Axes, seed: int) -> Any:
    shape = [axes[length] if isinstance(length, str) else length for length in tensor["shape"]]
    key = zlib.crc32(repr((tensor["name"], shape)).encode())
    generator = np.random.default_rng([abs(seed), int(seed < 0), key])
    dtype, low, high = np.dtype(tensor["dtype"]), tensor["low"], tensor["high"]
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        return generator.integers(int(low), int(high), shape, dtype=dtype, endpoint=True)
    if low is None:
        return generator.standard_normal(shape).astype(dtype)
    return generator.uniform(low, high, shape).astype(dtype)


class Given(Source):
    """Inputs from a function or an .npz, resampled along their dynamic axes."""

    def __init__(self, arrays: Arrays, axes: Mapping[str, Sequence[str | None]], call: Any) -> None:
        self.arrays = arrays
        super().__init__([_observed(name, a, axes[name]) for name, a in arrays.items()])
        self._call = call

    def random(self, axes: Axes, seed: int) -> Arrays:
        """Ask the function for this batch, or draw rows of the example with replacement."""
        arrays = self.arrays
        if self._call is not None and "batch" in axes:
            seed_all(seed)
            arrays = self._call(axes["batch"])
        return {
            tensor["name"]: _resize(arrays[tensor["name"]], tensor["shape"], axes, seed)
            for tensor in self.tensors
        }

    def limits(self, tensor: Mapping[str, Any], array: Any) -> tuple[Any, Any]:
        """Return what was observed of whole numbers, by place."""
        return bounds(tensor, self.arrays[tensor["name"]], array)

    def lengths(self) -> dict[str, int]:
        """Return the length that every dynamic axis has in the example."""
        found: dict[str, int] = {}
        for tensor in self.tensors:
            for length, axis in zip(
                self.arrays[tensor["name"]].shape, tensor["shape"], strict=True
            ):
                if isinstance(axis, str) and found.setdefault(axis, length) != length:
                    raise BadInput(
                        f"`example-inputs` has `{axis}` with {found[axis]} and, in"
                        f" `{tensor['name']}`, with {length}.",
                        "Give both the same length, or another name in `dynamic`.",
                    )
        return found


def _resize(array: Any, shape: Sequence[int | str], axes: Axes, seed: int) -> Any:
    """Give the dynamic axes their lengths: rows of the batch are drawn, other axes repeat."""
    for position, axis in enumerate(shape):
        if not isinstance(axis, str):
            continue
        if axis == "batch":
            rows = _rows(array.shape[position], axes[axis], seed)
        else:
            rows = np.arange(axes[axis]) % array.shape[position]
        array = np.take(array, rows, axis=position)
    return np.array(array, order="C")  # ascontiguousarray makes a row of a scalar


def _rows(there: int, wanted: int, seed: int) -> Any:
    """Draw rows with replacement; of as many as there are, another order for every seed but 0."""
    generator = np.random.default_rng([abs(seed), int(seed < 0), wanted])
    if there != wanted:
        return generator.integers(0, there, wanted)
    rows = np.arange(there)
    mixed = generator.permutation(there) if seed else rows
    return np.roll(rows, 1) if seed and np.array_equal(mixed, rows) else mixed


def _observed(name: str, array: Any, axes: Sequence[str | None]) -> dict[str, Any]:
    """Return the declaration of an array; the range of integers is what was observed."""
    if str(array.dtype) not in _DTYPES:
        raise BadInput(
            f"`example-inputs` has `{name}` as {array.dtype}.",
            f"Use one of {', '.join(sorted(_DTYPES))}.",
        )
    if array.size == 0:
        raise BadInput(f"`example-inputs` has `{name}` of shape {list(array.shape)}: it is empty.")
    shape = [axis or int(length) for length, axis in zip(array.shape, axes, strict=True)]
    whole = array.dtype.kind in "iu"
    low, high = (int(array.min()), int(array.max())) if whole else (None, None)
    return {"name": name, "dtype": str(array.dtype), "shape": shape, "low": low, "high": high}


def open_source(request: Mapping[str, Any], names: Sequence[str], sources: Sources) -> Source:
    """Return where the inputs come from; `names` are the parameters of the model's forward."""
    given = request["examples"]
    if given["kind"] == "shapes":
        return Declared(given["tensors"])
    if given["kind"] == "npz":
        arrays, call = _read_npz(Path(given["path"]), given["source"]), None
    else:
        arrays, call = _call_function(given["target"], names, sources)
    return Given(arrays, _dynamic(arrays, request["dynamic"]), call)


def _dynamic(
    arrays: Arrays, declared: Mapping[str, Sequence[str | None]]
) -> dict[str, list[str | None]]:
    """Return the axes' names of every input; undeclared, the first axis is the batch."""
    unknown = [name for name in declared if name not in arrays]
    if unknown:
        raise BadInput(
            f"`dynamic` names `{unknown[0]}`, which is no example input.",
            f"They are: {', '.join(arrays)}.",
        )
    found: dict[str, list[str | None]] = {}
    for name, array in arrays.items():
        axes = list(declared.get(name, ["batch"] if name not in declared and array.ndim else []))
        if len(axes) > array.ndim:
            raise BadInput(
                f"`dynamic` gives `{name}` {len(axes)} axes; the example has {array.ndim}."
            )
        found[name] = axes + [None] * (array.ndim - len(axes))
    return found


def _read_npz(path: Path, source: str) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:
        raise BadInput(
            f"`example-inputs` is `{source}`, which cannot be read: {first_line(error)}.",
            "Write it with numpy.savez(path, name=array, …).",
        ) from error
    if not arrays:
        raise BadInput(f"`example-inputs` is `{source}`, which holds no array.")
    return arrays


def _call_function(target: str, names: Sequence[str], sources: Sources) -> tuple[Arrays, Any]:
    """Call the user's function once; where it takes `batch_size`, it is called for each batch."""
    function = find(target, "example-inputs", sources)
    sized = "batch_size" in _parameters(function)

    def call(batch: int) -> Arrays:
        try:
            found = function(batch_size=batch) if sized else function()
        except (Exception, SystemExit) as error:
            did = "called" if isinstance(error, SystemExit) else "raised"
            raise BadInput(
                f"`{target}` {did} {first_line(error)}.",
                title="the example inputs' function raised",
                place=sources.place_of_error(error),
            ) from error
        return _named(found, names, target)

    seed_all(0)
    return call(2), call if sized else None


def seed_all(seed: int) -> None:
    """Seed what example functions draw from; numpy takes no negative seed."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # the user's function may use the old generator


def _parameters(function: Any) -> Mapping[str, Any]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _named(found: Any, names: Sequence[str], target: str) -> Arrays:
    """Name what a function returned: by its keys, else by the model's own parameters."""
    if isinstance(found, Mapping):
        pairs = list(found.items())
    else:
        items = list(found) if isinstance(found, tuple | list) else [found]
        known = [*names[: len(items)], *(f"input_{n}" for n in range(len(names), len(items)))]
        pairs = list(zip(known, items, strict=True))
    for name, value in pairs:
        if not isinstance(value, torch.Tensor | np.ndarray):
            raise BadInput(
                f"`{target}` returned {type(value).__name__} for `{name}`.",
                "Return a tensor, a tuple of tensors, or a dict of tensors.",
            )
    return {
        str(name): value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        for name, value in pairs
    }
