"""Shapes and values of one tensor, checked strictly: nothing is cast, cut or wrapped in silence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from .contract import NUMPY, Axis, Tensor
from .refusal import RefusedError

Array = npt.NDArray[Any]


def check_shape(
    given: object, tensor: Tensor, axes: Mapping[str, Axis], seen: dict[str, int]
) -> tuple[int, ...]:
    """Return the shape. A dynamic axis has its range and one length in all inputs: `seen`."""
    if not isinstance(given, list) or any(type(size) is not int for size in given):
        raise RefusedError(
            400, f"`shape` of input `{tensor.name}` has to be a list of whole numbers"
        )
    if len(given) != len(tensor.shape):
        raise RefusedError(
            400,
            f"input `{tensor.name}` has {len(tensor.shape)} axes, not {len(given)}: {_of(tensor)}",
        )
    for position, (size, expected) in enumerate(zip(given, tensor.shape, strict=True)):
        if isinstance(expected, int):
            if size != expected:
                raise RefusedError(
                    400,
                    f"axis {position} of input `{tensor.name}` is {expected}, not {size}: "
                    f"{_of(tensor)}",
                )
        else:
            _check_axis(expected, size, axes.get(expected, Axis(1, 2**31 - 1)), seen)
    return tuple(given)


def _check_axis(name: str, size: int, axis: Axis, seen: dict[str, int]) -> None:
    if not axis.low <= size <= axis.high:
        raise RefusedError(400, f"axis `{name}` is {size}, outside {axis.low} to {axis.high}")
    if seen.setdefault(name, size) != size:
        raise RefusedError(400, f"axis `{name}` is {size} here and {seen[name]} in another input")


def _of(tensor: Tensor) -> str:
    return f"[{', '.join(map(str, tensor.shape))}]"


def from_json(data: object, tensor: Tensor, shape: tuple[int, ...]) -> Array:
    """Return the array of nested or flat (row-major) lists of numbers."""
    flat = _flat(data, tensor, shape)
    dtype = np.dtype(NUMPY[tensor.datatype])
    allowed = {bool} if dtype.kind == "b" else {int} if dtype.kind in "iu" else {int, float}
    # A set of types costs a tenth of what reading the numbers did; NumPy would cast in silence.
    if other := set(map(type, flat)) - allowed:
        found = "/".join(sorted(kind.__name__ for kind in other))
        raise RefusedError(
            400, f"`data` of input `{tensor.name}` holds {found}, not {tensor.datatype}"
        )
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, dtype).reshape(shape)
    except (OverflowError, ValueError):
        raise _outside(tensor) from None
    return _finite(array, tensor)


def _flat(data: object, tensor: Tensor, shape: tuple[int, ...]) -> list[Any]:
    if isinstance(data, list) and len(shape) > 1 and data and isinstance(data[0], list):
        rows: list[Any] = [data]
        for size in shape:
            if any(type(row) is not list or len(row) != size for row in rows):
                raise _mismatch(tensor, shape)
            rows = list(chain.from_iterable(rows))
        return rows
    if not shape and not isinstance(data, list):
        return [data]
    if not isinstance(data, list) or len(data) != math.prod(shape):
        raise _mismatch(tensor, shape)
    return data


def from_binary(data: bytes, tensor: Tensor, shape: tuple[int, ...]) -> Array:
    """Return the array of little-endian bytes in row-major order."""
    dtype = np.dtype(NUMPY[tensor.datatype])
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise _mismatch(tensor, shape)
    if dtype.kind == "b" and data.strip(b"\0\1"):
        raise _outside(tensor)
    return _finite(np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape), tensor)


def _finite(array: Array, tensor: Tensor) -> Array:
    """Refuse NaN and infinity, also those that a number too large for the type became."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _outside(tensor)
    return array


def _mismatch(tensor: Tensor, shape: tuple[int, ...]) -> RefusedError:
    expected = f"{math.prod(shape)} values in the shape {list(shape)}"
    return RefusedError(400, f"the data of input `{tensor.name}` is not {expected}")


def _outside(tensor: Tensor) -> RefusedError:
    return RefusedError(400, f"a value of input `{tensor.name}` is no finite {tensor.datatype}")
